//! Imports point down, and every dependency has one door.

use std::collections::{BTreeMap, BTreeSet};

use super::{names, root, sources};

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
    ("rates", 1),
    ("order", 1),
    ("memory", 1),
    ("config", 1),
    ("metrics", 1),
    ("telemetry", 1),
    ("private_file", 1),
    ("sabotage", 1),
    ("ids", 0),
    ("clock", 0),
    ("entropy", 0),
];

/// Dependency → the only places of the server's `src/` that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("axum", &["transport"]),
    ("hyper", &["transport"]),
    ("hyper_util", &["transport"]),
    ("tower", &["transport"]),
    ("tokio_websockets", &["transport"]),
    ("rustls", &["transport/tls"]),
    ("tokio_rustls", &["transport"]),
    ("rcgen", &["transport/tls"]),
    ("x509_parser", &["transport/tls"]),
    ("rusqlite", &["store"]),
    ("openmls", &["mls"]),
    ("openmls_rust_crypto", &["mls"]),
    ("openmls_traits", &["mls"]),
    ("tls_codec", &["mls"]),
    ("argon2", &["auth/password.rs"]),
    ("getrandom", &["entropy.rs"]),
    ("mimalloc", &["main.rs"]),
    ("prometheus_client", &["metrics"]),
];

/// The same for the client library.
const CLIENT_DOORS: &[(&str, &[&str])] = &[
    ("rusqlite", &["vault"]),
    ("chacha20poly1305", &["vault"]),
    ("argon2", &["vault"]),
    ("rustix", &["vault"]),
    ("openmls", &["mls"]),
    ("openmls_rust_crypto", &["mls"]),
    ("openmls_traits", &["mls", "vault/mls_storage.rs", "device_key.rs"]),
    ("tls_codec", &["mls"]),
    ("rustls", &["connection"]),
    ("tokio_rustls", &["connection"]),
    ("tokio_websockets", &["connection"]),
    ("getrandom", &["entropy.rs"]),
];

/// The same for the command line.
const CLI_DOORS: &[(&str, &[&str])] = &[
    ("hdrhistogram", &["load/latency.rs"]),
    ("ratatui", &["chat/terminal.rs", "chat/view.rs"]),
    ("rpassword", &["secret.rs"]),
    ("rustix", &["chat/terminal.rs", "load/process.rs"]),
    ("tempfile", &["local_server/scratch.rs"]),
    ("tracing_subscriber", &["telemetry.rs"]),
    ("unicode_segmentation", &["chat/cells.rs", "chat/compose.rs"]),
    ("unicode_width", &["chat/cells.rs"]),
];

/// The same for the torture.
const TORTURE_DOORS: &[(&str, &[&str])] = &[
    ("clap", &["args.rs", "main.rs", "measure/mod.rs", "nemesis.rs", "sabotage.rs"]),
    ("rusqlite", &["look.rs"]),
    ("rustix", &["nemesis.rs", "server.rs"]),
    ("tempfile", &["measure/street.rs", "run.rs"]),
];

#[test]
fn imports_point_down() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let layer = |module: &str| *layers.get(module).unwrap_or_else(|| panic!("module {module} has no layer in tests/it/tidy.rs"));
    let mut wrong = Vec::new();
    for (name, code) in sources("src") {
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
    let crates = [("src", DOORS), ("client/src", CLIENT_DOORS), ("cli/src", CLI_DOORS), ("torture/src", TORTURE_DOORS)];
    for (src, doors) in crates {
        for (name, code) in sources(src) {
            for (dependency, places) in doors {
                if names(&code, dependency) && !places.iter().any(|place| name.starts_with(place)) {
                    wrong.push(format!("{src}/{name} names {dependency}, whose door is {places:?}"));
                }
            }
        }
        for (dependency, places) in doors {
            let stale = |place: &&&str| !root().join(src).join(place).exists();
            wrong.extend(places.iter().filter(stale).map(|place| format!("{src}/{place}, a door of {dependency}, is gone")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_server_does_not_name_the_type_that_holds_group_secrets() {
    let holders: Vec<String> =
        sources("src").into_iter().filter(|(_, code)| code.contains("MlsGroup")).map(|(name, _)| name).collect();
    assert!(holders.is_empty(), "MlsGroup stands in {holders:?}");
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
