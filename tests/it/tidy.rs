//! The house's rules as ordinary tests: they read the source, so the rules outlive their authors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sovereign::refusal::CloseCode;
use sovereign_proto::v1::{FailureCode, REQUEST_NAMES};

/// Module → layer; imports point down or stay within a layer, and the parts of layer 2 are strangers to each other.
const LAYERS: &[(&str, u8)] = &[
    ("main", 7),
    ("command", 7),
    ("transport", 6),
    ("session", 5),
    ("requests", 4),
    ("server", 3),
    ("caller", 3),
    ("groups", 3),
    ("duties", 3),
    ("wire", 3),
    ("store", 2),
    ("hub", 2),
    ("mls", 2),
    ("auth", 2),
    ("codec", 1),
    ("identity", 1),
    ("refusal", 1),
    ("limits", 1),
    ("config", 1),
    ("telemetry", 1),
    ("private_file", 1),
    ("ids", 0),
    ("clock", 0),
    ("entropy", 0),
];

/// Dependency → the only places of `src/` that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("axum", &["transport"]),
    ("hyper", &["transport"]),
    ("hyper_util", &["transport"]),
    ("tower", &["transport"]),
    ("tokio_websockets", &["transport"]),
    ("rustls", &["transport/tls"]),
    ("tokio_rustls", &["transport"]),
    ("rcgen", &["transport/tls"]),
    ("rusqlite", &["store"]),
    ("openmls", &["mls"]),
    ("openmls_rust_crypto", &["mls"]),
    ("openmls_traits", &["mls"]),
    ("tls_codec", &["mls"]),
    ("argon2", &["auth/password.rs"]),
    ("getrandom", &["entropy.rs"]),
];

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
    "docs",
    "migrations",
    "proto",
    "rustfmt.toml",
    "scripts",
    "src",
    "target",
    "tests",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files under {}: the rule would check nothing", directory.display());
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Source files of the server with their path below `src/` and their code without comments and test modules.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
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

/// The modules of the crate that the code names.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (index, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if c.is_whitespace() => {}
                _ if start => {
                    found.insert(word(&list[index..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let layer = |module: &str| *layers.get(module).unwrap_or_else(|| panic!("module {module} has no layer in tests/it/tidy.rs"));
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        let module = name.split(['/', '.']).next().expect("a name");
        if module == "lib" {
            continue;
        }
        for import in imports(&code) {
            let (from, to) = (layer(module), layer(&import));
            if to > from || (to == 2 && from == 2 && import != module) {
                wrong.push(format!("{name} (layer {from}) imports {import} (layer {to})"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports point down only:\n{}", wrong.join("\n"));
}

#[test]
fn every_dependency_has_one_door() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        for (dependency, doors) in DOORS {
            let named = code.match_indices(&format!("{dependency}::")).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !doors.iter().any(|door| name.starts_with(door)) {
                wrong.push(format!("{name} names {dependency}, whose door is {doors:?}"));
            }
        }
        if code.contains("MlsGroup") {
            wrong.push(format!("{name} names MlsGroup, which holds group secrets"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_root_holds_what_is_listed() {
    let entries = fs::read_dir(root()).expect("the root is readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let strangers: Vec<String> = names.filter(|name| !ROOT.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "not on the root's allow-list: {strangers:?}");
}

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
    let integration = files(&root().join("tests/it"), "rs").into_iter().filter(|path| !path.ends_with("tidy.rs"));
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
fn the_configuration_has_fewer_than_forty_keys() {
    assert!(sovereign::config::KEYS.len() < 40);
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
