//! The documents say what the code says.

use sovereign::{
    config::{KEYS, Key},
    refusal::CloseCode,
};

use super::{files, read, root};

#[test]
fn decisions_are_numbered_without_holes() {
    let mut numbers = Vec::new();
    for path in files(&root().join("docs/adr"), "md") {
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if name == "README.md" {
            continue;
        }
        numbers.push(
            name.split('-')
                .next()
                .and_then(|number| number.parse::<usize>().ok())
                .unwrap_or_else(|| panic!("{name} has no number")),
        );
        let text = read(&path);
        for part in ["Status", "Date", "## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(part), "{name} says nothing under {part}");
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}

/// The contract's own tests look for requests and failures.
#[test]
fn the_protocol_page_has_every_close_code() {
    let page = read(&root().join("docs/protocol/README.md"));
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u16>().ok());
    // Smaller numbers are HTTP's.
    let codes: Vec<u16> = rows.filter(|code| *code >= 1000).collect();
    assert_eq!(codes, CloseCode::ALL.map(|code| code as u16), "the table of close codes is that of src/refusal.rs");
}

#[test]
fn the_operations_page_has_every_key() {
    let page = read(&root().join("docs/operations/README.md"));
    let row = |key: &Key| {
        let default = if key.default.is_empty() { "none".to_owned() } else { format!("`{}`", key.default) };
        format!("| `{}` | {default} | {} | {} |", key.name, key.bounds.replace('_', ","), key.help.trim())
    };
    let missing: Vec<String> = KEYS.iter().map(row).filter(|row| !page.contains(row)).collect();
    assert!(missing.is_empty(), "docs/operations/README.md lacks:\n{}", missing.join("\n"));
    let rows = page.lines().skip_while(|line| !line.starts_with("| key |")).skip(2).take_while(|line| line.starts_with('|'));
    assert_eq!(rows.count(), KEYS.len(), "docs/operations/README.md has a key too many");
}

/// A line of the contract that no test shows is a wish.
#[test]
fn the_delivery_contract_names_tests_that_exist() {
    let page = read(&root().join("docs/delivery-contract.md")).replace(". Checker\nclass", ". Checker class");
    let folders = ["tests", "src", "client/src"].map(|folder| files(&root().join(folder), "rs"));
    let code: String = folders.into_iter().flatten().map(|path| read(&path)).collect();
    let lines: Vec<&str> = page.split("\n## C").skip(1).collect();
    assert_eq!(lines.len(), 10, "the contract has ten lines");
    for line in page.split("\n## ").filter(|line| line.contains("Shown by:")) {
        let title = line.lines().next().unwrap_or_default();
        let shown = line.split("Shown by:").nth(1).unwrap_or_default().split("Checker class").next().unwrap_or_default();
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{title}: no test");
        // A story that is told over both carriers takes the carrier.
        let told = |test: &str| ["", "carrier: Carrier"].iter().any(|how| code.contains(&format!("fn {test}({how})")));
        let missing: Vec<&&str> = tests.iter().filter(|test| !told(test)).collect();
        assert!(missing.is_empty(), "{title}: there is no test {missing:?}");
    }
    for line in lines {
        assert!(line.contains("*For clients:*") && line.contains("Shown by:"), "a line without its meaning or its tests: {line}");
    }
}

#[test]
fn the_configuration_has_fewer_than_forty_keys() {
    assert!(sovereign::config::KEYS.len() < 40);
}
