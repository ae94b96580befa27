//! Every target on its corpus, and on some thousand inputs made of it.

use std::{fs, path::Path};

use sovereign_fuzz_targets::{TARGETS, corpus, drive, drive::Until, refusal, target};

/// Changed by whoever wants other inputs in the normal run.
const SEED: u64 = 20_261_121;

macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),+];
        $(#[test]
        fn $name() {
            let target = target(stringify!($name)).expect("the target is listed");
            let cases = drive(target, SEED, Until::Cases(target.cases)).unwrap_or_else(|finding| panic!("{finding}"));
            assert!(cases > target.cases, "the corpus has nothing of it");
        })+
    };
}

tests!(
    envelope,
    exchange,
    secrets,
    manifest,
    layouts,
    join_link,
    config,
    content,
    headers,
    key_package,
    group_info,
    proposal,
    commit,
    web,
    client,
    session,
);

#[test]
fn every_target_is_tested_has_seeds_and_is_known_to_cargo_fuzz() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("cargo-fuzz has its crate");
    for target in TARGETS {
        let name = target.name;
        assert!(TESTED.contains(&name), "{name} is not tested");
        assert!(!corpus::files(&corpus::directory().join(name)).is_empty(), "{name} has no seeds");
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap_or_default();
        assert!(source.contains(&format!("\"{name}\"")), "{name} has no file in fuzz_targets");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in cargo-fuzz's manifest");
        let bytes: usize = corpus::files(&corpus::directory().join(name)).iter().map(|(_, seed)| seed.len()).sum();
        assert!(bytes < 16 * 1024, "the seeds of {name} have {bytes} bytes");
    }
}

#[test]
fn what_was_good_when_the_corpus_was_made_is_still_taken() {
    let mut refused = Vec::new();
    for target in TARGETS {
        for (name, seed) in corpus::files(&corpus::directory().join(target.name)) {
            refused.extend(refusal(target.name, &name, &seed).map(|why| format!("{}/{name}: {why}", target.name)));
        }
    }
    assert!(refused.is_empty(), "make the corpus anew: ./scripts/fuzz --write-seeds fuzz/corpus\n{}", refused.join("\n"));
}
