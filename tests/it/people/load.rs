//! `sov load` as an operator runs it: what it counts is what happened, also when the server dies under it.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Carrier, TestServer, eventually, sov, within};

/// The load measures `WebSockets`, and does without where they are cut.
const MEASURED: Carrier = Carrier::WebSocket;

/// Also a fast machine is refused nothing.
const UNLIMITED: [&str; 4] = ["--messages-per-second-max", "1000000", "--requests-per-second-max", "1000000"];

fn command(place: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(sov::binary());
    command.args(["load", "--json"]).args(arguments).env("TMPDIR", place.path()).env_remove("HOME").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs it to its end; exit code, the report, standard error.
async fn load(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let output = within("sov load", command(&place, arguments).output()).await.expect("sov runs");
    assert!(fs::read_dir(place.path()).expect("readable").next().is_none(), "nothing is left behind");
    read(output)
}

fn read(output: Output) -> (Option<i32>, Value, String) {
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    let report = if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).expect("one object") };
    (output.status.code(), report, error)
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} is no count in {report}"))
}

#[tokio::test]
async fn everything_that_is_accepted_is_delivered_beside_idle_ones_and_a_storm() {
    let server = TestServer::over(MEASURED, &UNLIMITED).await;
    let (link, pid) = (server.invite().await, server.pid().to_string());
    let parts = ["--pairs", "5", "--idle", "50", "--reconnect-storm", "20", "--duration", "2", "--pid", &pid];
    let (code, report, error) = load(&[&[link.as_str()], &parts[..]].concat()).await;
    assert_eq!((code, &report["held"]), (Some(0), &true.into()), "{report} {error}");
    assert!(count(&report, "accepted") > 0);
    assert_eq!(count(&report, "accepted"), count(&report, "sent"));
    assert_eq!(count(&report, "delivered"), count(&report, "accepted"), "one other member each");
    assert_eq!((count(&report, "lost"), count(&report, "away"), count(&report, "reconnects")), (0, 0, 0));
    assert!(
        report["refused"].as_object().expect("by code").is_empty() && report["broken"].as_object().expect("by why").is_empty()
    );
    assert_eq!(count(&report["back_us"], "count"), 20);
    for kind in ["accepted_us", "delivered_us"] {
        let times: Vec<u64> = ["p50", "p90", "p99", "p999", "max"].map(|name| count(&report[kind], name)).to_vec();
        assert!(times[0] > 0 && times.is_sorted(), "{kind}: {times:?}");
        assert_eq!(count(&report[kind], "count"), count(&report, "accepted"));
    }
    if cfg!(target_os = "linux") {
        assert!(report["server"]["cpu_us_per_message"].as_f64().is_some_and(|each| each > 0.0), "{report}");
    }
}

#[tokio::test]
async fn a_schedule_is_kept_in_groups_on_a_server_of_ones_own() {
    let server = env!("CARGO_BIN_EXE_sovereign");
    let arguments = ["--server", server, "--groups", "2", "--members", "6", "--rate", "60", "--duration", "2", "--size", "4000"];
    let (code, report, error) = load(&arguments).await;
    assert_eq!(code, Some(0), "{report} {error}");
    assert_eq!((count(&report, "sent"), count(&report, "unsent")), (120, 0), "60 a second for two seconds");
    assert_eq!((count(&report, "owed"), count(&report, "delivered")), (600, 600), "to five others each");
}

#[tokio::test]
async fn a_server_that_dies_under_the_load_loses_nothing_and_the_load_says_so() {
    let mut server = TestServer::over(MEASURED, &UNLIMITED).await;
    let link = server.invite().await;
    let place = tempfile::tempdir().expect("a temporary directory");
    let running =
        command(&place, &[&link, "--pairs", "4", "--outstanding", "16", "--duration", "3"]).spawn().expect("sov starts");
    let database = server.data().join("sovereign.db");
    eventually("some traffic", || async { (entries(&database)? > 60).then_some(()) }).await;
    server.kill().await;
    server.restart().await;
    let (code, report, error) = read(within("sov load", running.wait_with_output()).await.expect("sov ends"));
    assert_eq!(code, Some(0), "{report} {error}");
    assert_eq!(count(&report, "delivered"), count(&report, "accepted"));
    assert_eq!(count(&report, "accepted"), count(&report, "sent"), "what was outstanding was sent again, and is one message");
    assert!(count(&report, "reconnects") >= 8, "everybody was cut off: {report}");
    assert!(!report["broken"].as_object().expect("by why").is_empty());
}

/// How many entries the server has stored by now.
fn entries(database: &Path) -> Option<i64> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    database.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).ok()
}

#[tokio::test]
async fn foreign_servers_used_up_links_and_nonsense_are_refused() {
    let (code, _, error) = load(&["https://chat.example:8443/join#v=1&s=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&c=x"]).await;
    assert_eq!(code, Some(64), "{error}");
    assert!(error.contains("chat.example is not this machine") && error.contains("--yes-this-is-my-server"), "{error}");

    let server = TestServer::start().await;
    let link = server.operate(&["invite", "create", "--uses", "3"]).await;
    let (code, report, error) = load(&[link.trim(), "--pairs", "2"]).await;
    assert_eq!((code, &report), (Some(1), &Value::Null), "{error}");
    assert!(error.contains("while everybody was settling") && error.contains("--uses"), "{error}");

    for (arguments, told) in [
        (vec!["--pairs", "5001"], "5001"),
        (vec!["--groups", "1000", "--members", "1000"], "accounts"),
        (vec![link.trim(), "--pid", "4294967295"], "no process"),
        (vec!["--server", "nothing-of-this-name"], "is no program"),
    ] {
        let (code, _, error) = load(&arguments).await;
        assert!(matches!(code, Some(64 | 69)) && error.contains(told), "{arguments:?}: {code:?} {error}");
    }
}
