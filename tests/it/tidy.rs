//! The house's rules as ordinary tests: they read the source, so the rules outlive their authors.

mod dependencies;
mod documents;
mod imports;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sovereign::refusal::CloseCode;
use sovereign_proto::v1::{FailureCode, REQUEST_NAMES};

/// What may stand in the root of the repository.
const ROOT: &[&str] = &[
    ".ci",
    ".git",
    ".gitignore",
    ".cargo",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "benches",
    "build.rs",
    "cli",
    "client",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "docs",
    "fuzz",
    "migrations",
    "proto",
    "rustfmt.toml",
    "scripts",
    "src",
    "target",
    "tests",
    "torture",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let found = files_if_any(directory, extension);
    assert!(!found.is_empty(), "no .{extension} files under {}: the rule would check nothing", directory.display());
    found
}

fn files_if_any(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                // What tools have put there is nobody's text.
                if !["target", "artifacts", "coverage", "corpus"].iter().any(|name| path.ends_with(name)) {
                    open.push(path);
                }
            } else if path.extension().unwrap_or_default() == extension {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Source files of a crate with their path below its `src/` and their code without comments and test modules.
fn sources(src: &str) -> Vec<(String, String)> {
    let src = root().join(src);
    let in_tests = |name: &str| name.contains("/tests/") || name.ends_with("/tests.rs");
    let code = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("below src").to_str().expect("UTF-8").to_owned();
        let text = read(&path);
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    files(&src, "rs").into_iter().map(code).filter(|(name, _)| !in_tests(name)).collect()
}

/// Whether the code names the dependency.
fn names(code: &str, dependency: &str) -> bool {
    code.match_indices(dependency).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + dependency.len()..];
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            && [":", ";", " as "].iter().any(|end| after.starts_with(end))
    })
}

#[test]
fn the_root_holds_what_is_listed() {
    let entries = fs::read_dir(root()).expect("the root is readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let strangers: Vec<String> = names.filter(|name| !ROOT.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "not on the root's allow-list: {strangers:?}");
}

#[test]
fn every_request_has_a_handler_and_a_test() {
    for request in REQUEST_NAMES {
        let file = snake(request);
        for path in [format!("src/requests/{file}.rs"), format!("tests/it/requests/{file}.rs")] {
            let text = read(&root().join(&path));
            assert!(
                text.contains(request) && (path.starts_with("src") || text.contains("#[tokio::test]")),
                "{path} says nothing of {request}"
            );
        }
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The integration tests but this file, and the tests beside sessions and requests.
fn all_tests() -> String {
    let tests = root().join("tests/it");
    let integration =
        files(&tests, "rs").into_iter().filter(|path| !path.starts_with(tests.join("tidy")) && !path.ends_with("tidy.rs"));
    let beside = ["src/requests/tests.rs", "src/session/tests.rs"].map(|path| root().join(path));
    integration.chain(beside).map(|path| read(&path)).collect()
}

#[test]
fn every_failure_code_is_provoked() {
    let tests = all_tests();
    let codes = (1..).map_while(|number| FailureCode::try_from(number).ok());
    let missing: Vec<String> =
        codes.map(|code| format!("{code:?}")).filter(|code| !tests.contains(&format!("FailureCode::{code}"))).collect();
    assert!(missing.is_empty(), "no test provokes {missing:?}");
}

#[test]
fn every_close_code_is_provoked() {
    let tests = all_tests();
    let provoked =
        |code: &CloseCode| tests.contains(&format!("{})", *code as u16)) || tests.contains(&format!("CloseCode::{code:?}"));
    let missing: Vec<CloseCode> = CloseCode::ALL.into_iter().filter(|code| !provoked(code)).collect();
    assert!(missing.is_empty(), "no test provokes {missing:?}");
}

#[test]
fn no_test_sleeps() {
    let call = ["sleep", "("].concat();
    for path in files(&root().join("tests"), "rs") {
        let text = read(&path);
        let sleeping: Vec<&str> = text.lines().filter(|line| line.contains(&call)).collect();
        assert!(sleeping.is_empty(), "{} sleeps: {sleeping:?}", path.display());
    }
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    let places = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"], ["/tm", "p/"], ["/Use", "rs/"]].map(|parts| parts.concat());
    let folders = [
        "src",
        "client",
        "cli",
        "proto",
        "fuzz",
        "tests",
        "torture",
        "docs",
        "migrations",
        "scripts",
        ".ci",
        "benches",
        "deploy",
    ];
    let listed =
        folders.iter().flat_map(|folder| ["rs", "md", "proto", "sql", "toml", "c", "service", ""].map(|kind| (*folder, kind)));
    let mut named = Vec::new();
    for path in listed.flat_map(|(folder, kind)| files_if_any(&root().join(folder), kind)) {
        let text = read(&path);
        named.extend(
            places.iter().filter(|place| text.contains(place.as_str())).map(|place| format!("{}: {place}", path.display())),
        );
    }
    assert!(named.is_empty(), "paths that only one machine has:\n{}", named.join("\n"));
}
