//! `sovereign config print`: the effective values with their origins.

use std::fmt::Write as _;

use super::Config;

impl Config {
    /// A TOML file that would give this configuration; each value with what it does and where it came from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (key, value, origin) in self.effective() {
            let (name, help) = (key.name, key.help.trim());
            let value = if is_bare(&value) { value } else { format!("{value:?}") };
            writeln!(text, "# {help} ({origin})\n{name} = {value}\n").expect("a String takes every write");
        }
        text
    }

    /// An object of `{"value", "origin", "default"}` by key; all values are texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        let entries = self.effective().map(|(key, value, origin)| {
            let entry = serde_json::json!({ "value": value, "origin": origin.to_string(), "default": key.default });
            (key.name.to_owned(), entry)
        });
        serde_json::Value::Object(entries.collect()).to_string()
    }
}

/// Numbers and truths stand without quotes.
fn is_bare(value: &str) -> bool {
    value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok()
}
