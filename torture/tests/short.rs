//! The short run that every test run has: faults of processes and networks, and every class 0.

use std::process::Command;

/// Those of processes and networks.
const FAULTS: &str = "kill,term,stop,partition,one-way,loss,half-open,reset,drop-answers,delay,slow-reader,revoke";

#[test]
fn a_short_run_with_faults_breaks_no_promise() {
    let torture = env!("CARGO_BIN_EXE_torture");
    let server = std::path::Path::new(torture).with_file_name("sovereign");
    assert!(server.exists(), "there is no server beside the program: run `cargo build --workspace --bins` first");
    let target = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(torture);
    command
        .args(["--seconds", "12", "--kills", "4", "--nemesis", FAULTS, "--target"])
        .arg(target.path())
        .arg("--server")
        .arg(&server);
    let output = command.output().expect("the program runs");
    let (out, words) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words}\n{out}");
    let last = out.lines().last().expect("a last line");
    let count = |name: &str| -> u64 {
        let value = last.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {last:?}")).parse().expect("a number")
    };
    assert!(count("kills") >= 4 && count("sends") > 0 && count("deliveries") > count("sends"), "{last}");
    assert!(count("commits") > 2, "the groups were founded and changed: {last}");
}
