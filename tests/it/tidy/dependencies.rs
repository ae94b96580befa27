//! What a crate depends on, it uses.

use std::path::Path;

use super::{files, names, read, root};

/// Used by generated code alone, or by the integration tests' member of groups, which seeds are made with.
const GENERATED: &[(&str, &str)] =
    &[("proto", "prost"), ("fuzz/targets", "openmls_basic_credential"), ("fuzz/targets", "openmls_rust_crypto")];

#[test]
fn nothing_is_depended_on_in_vain() {
    let mut idle = Vec::new();
    for place in [".", "proto", "client", "cli", "torture", "fuzz/targets"] {
        let directory = root().join(place);
        let code = code(&directory);
        for dependency in dependencies(&read(&directory.join("Cargo.toml"))) {
            let used = code.iter().any(|code| names(code, &dependency.replace('-', "_")));
            if !used && !GENERATED.contains(&(place, &dependency)) {
                idle.push(format!("{place}/Cargo.toml: {dependency}"));
            }
        }
    }
    assert!(idle.is_empty(), "depended on and not used:\n{}", idle.join("\n"));
}

#[test]
fn the_workspace_offers_what_some_crate_takes() {
    let manifests =
        [".", "proto", "client", "cli", "torture", "fuzz/targets"].map(|place| read(&root().join(place).join("Cargo.toml")));
    let offered = section(&manifests[0], &["[workspace.dependencies]"]);
    let taken = |name: &str| {
        let line =
            |line: &str| line.starts_with(&format!("{name}.workspace")) || line.starts_with(&format!("{name} = {{ workspace"));
        manifests.iter().any(|manifest| manifest.lines().any(line))
    };
    let idle: Vec<String> = offered.into_iter().filter(|name| !taken(name)).collect();
    assert!(idle.is_empty(), "nobody takes {idle:?} of the workspace's dependencies");
}

/// What the crate needs to be built; tests and measurements may take more.
fn dependencies(manifest: &str) -> Vec<String> {
    section(manifest, &["[dependencies]", "[build-dependencies]"])
}

/// The names in sections of a manifest.
fn section(manifest: &str, titles: &[&str]) -> Vec<String> {
    let mut open = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            open = titles.contains(&line);
        } else if let (true, Some((name, _))) = (open && !line.starts_with('#'), line.split_once(['.', ' '])) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The crate's source, its build script included.
fn code(directory: &Path) -> Vec<String> {
    let build = Some(directory.join("build.rs")).filter(|path| path.exists());
    files(&directory.join("src"), "rs").into_iter().chain(build).map(|path| read(&path)).collect()
}
