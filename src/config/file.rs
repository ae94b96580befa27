//! The configuration file: a flat TOML table.

use std::{fs, path::Path};

use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Origin, suggestion};

/// A configuration is never this long.
const BYTES_MAX: u64 = 256 * 1024;

/// Sets what the file says.
pub(super) fn apply(config: &mut Config, path: &Path) -> Result<(), ConfigError> {
    let refuse = |problem: String| ConfigError { origin: None, problem: format!("{}: {problem}", path.display()) };
    let metadata = fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if metadata.len() > BYTES_MAX {
        return Err(refuse(format!("longer than {BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let at = |offset: usize| Origin::File(path.to_owned(), line(&text, offset));
    let table = DeTable::parse(&text).map_err(|error| ConfigError {
        origin: Some(at(error.span().map_or(0, |span| span.start))),
        problem: error.message().to_owned(),
    })?;
    for (key, value) in table.get_ref() {
        let (name, origin) = (key.get_ref().as_ref(), at(key.span().start));
        let Some(text) = text_of(value.get_ref()) else {
            let problem = match value.get_ref() {
                DeValue::Table(_) => format!("unknown table [{name}]: keys stand on their own; {}", suggestion(name)),
                _ => format!("{name} has to be a text, a number, true, false, or a list of texts"),
            };
            return Err(ConfigError { origin: Some(origin), problem });
        };
        config.set(name, &text, origin)?;
    }
    Ok(())
}

/// As the environment and flags write it; `None` for what no key is.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
