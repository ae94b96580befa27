//! What an operator does by hand, with the server running and stopped: the real binary, its output and exit codes.

mod accounts;
mod backup;
mod devices;
mod doctor;
mod metrics;
mod notices;
mod reload;
mod restore;
mod service;
mod status;

use serde_json::Value;

use crate::harness::TestServer;

/// The objects that a verb prints with `--json`.
async fn objects(server: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let output = server.operate(&[arguments, &["--json"]].concat()).await;
    output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))).collect()
}

/// What the audit table of a stopped server says: what was done, oldest first.
fn audit(server: &TestServer) -> Vec<String> {
    let bytes = std::fs::read(server.data().join("sovereign.db")).expect("the database is there");
    let known = [
        "create invite",
        "disable account",
        "enable account",
        "reset password",
        "delete account",
        "revoke device",
        "end session",
        "send notice",
    ];
    let found = |what: &&str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
    known.into_iter().filter(found).map(str::to_owned).collect()
}
