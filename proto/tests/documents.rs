//! The documents name everything that the contract has, and their links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use sovereign_proto::v1::{FailureCode, REQUEST_NAMES};

fn root() -> PathBuf {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR"));
    proto.parent().expect("the crate lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn protocol(name: &str) -> String {
    read(&root().join("docs/protocol").join(name))
}

#[test]
fn every_request_is_described() {
    let text = protocol("README.md");
    let operator =
        text.split("### Operator").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section for operators");
    let missing: Vec<_> =
        REQUEST_NAMES.iter().filter(|name| !text.contains(&format!("\n| {name} |")) && !operator.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/protocol/README.md says nothing of {missing:?}");
}

#[test]
fn every_failure_code_is_described() {
    let text = protocol("README.md");
    let codes = (1..).map_while(|number| FailureCode::try_from(number).ok());
    let row = |code: FailureCode| format!("\n| `{}` |", code.as_str_name().trim_start_matches("FAILURE_CODE_").to_lowercase());
    let missing: Vec<_> = codes.map(row).filter(|row| !text.contains(row)).collect();
    assert!(missing.is_empty(), "docs/protocol/README.md has no row {missing:?}");
}

#[test]
fn every_vector_is_named() {
    let text = protocol("mls.md");
    for entry in fs::read_dir(root().join("proto/vectors")).expect("there are vectors") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(text.contains(&format!("`{name}`")), "docs/protocol/mls.md does not name {name}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for path in documents() {
        let directory = path.parent().expect("a document lies in a directory");
        for target in links(&read(&path)) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { directory.join(file) };
            let found = file.exists() && (anchor.is_empty() || anchors(&read(&file)).contains(anchor));
            if !found {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The Markdown files of the root and of docs/.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join("docs")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of documents") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.extend(fs::read_dir(root()).expect("the root").map(|entry| entry.expect("an entry").path()));
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(found.len() > 10, "hardly any documents were found");
    found
}

/// Targets of `[text](target)` within the repository, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    let targets = prose.iter().flat_map(|prose| prose.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split(')').next()).filter(|target| !target.contains("://"));
    targets.map(str::to_owned).collect()
}

/// What headings are called in links: lower case, hyphens for spaces, nothing else but letters, digits and `_`.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let headings =
        prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let name = |c: char| match c {
        ' ' | '-' => Some('-'),
        c if c.is_alphanumeric() || c == '_' => Some(c),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(name).collect()).collect()
}
