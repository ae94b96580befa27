//! `sov demo` as somebody runs it who has never seen any of this.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::harness::{eventually, sov, within};

const SERVER: &str = env!("CARGO_BIN_EXE_sovereign");

/// A `sov` whose temporary directories are made in `place`.
fn command(place: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(sov::binary());
    command.args(arguments).env("TMPDIR", place.path()).env_remove("HOME").env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(place: &TempDir, arguments: &[&str]) -> Output {
    within("sov demo", command(place, arguments).output()).await.expect("sov runs")
}

fn place() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("readable").next().is_none()
}

#[tokio::test]
async fn the_demonstration_holds_and_leaves_nothing_behind() {
    let place = place();
    let output = run(&place, &["demo", "--server", SERVER]).await;
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for told in [
        " 1  Start a server",
        "      ✓ Carol sees that he types",
        "      ✓ Ann sees that she has gone",
        "Kill the server with SIGKILL",
        "      it ended by signal: 9",
        " were on their way",
        "      ✓ Ann, Bob, Carol: the same order for everybody",
        "      ✓ none of the ",
    ] {
        assert!(text.contains(told), "{told:?} is not told:\n{text}");
    }
    let last = text.lines().next_back().expect("a last line");
    assert!(last.starts_with("All ") && last.contains(" checks held, in "), "{last}");
    assert!(!text.contains("FAILED") && !text.contains('\u{1b}'), "{text}");
    assert!(is_empty(place.path()), "the directory is removed");
}

#[tokio::test]
async fn programs_get_objects_and_whoever_wants_to_look_gets_the_directory() {
    let place = place();
    let output = run(&place, &["demo", "--server", SERVER, "--json", "--keep"]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("output is UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let (verdict, steps) = lines.split_last().expect("some lines");
    let checks: Vec<&Value> = steps.iter().flat_map(|step| step["checks"].as_array().expect("checks")).collect();
    assert!(checks.iter().all(|check| check["held"] == true), "{text}");
    assert_eq!((&verdict["event"], &verdict["held"]), (&"verdict".into(), &true.into()));
    assert_eq!((&verdict["checks"], &verdict["steps"]), (&checks.len().into(), &steps.len().into()));
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    let kept = error.lines().find_map(|line| line.strip_prefix("kept: ")).expect("it says where");
    assert!(Path::new(kept).starts_with(place.path()));
    for home in ["ann", "bob", "carol", "server"] {
        assert!(Path::new(kept).join(home).is_dir(), "{home} is kept");
    }
}

#[tokio::test]
async fn ctrl_c_ends_it_with_its_server_and_its_directory() {
    let place = place();
    let mut child = command(&place, &["demo", "--server", SERVER]).spawn().expect("sov starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
    let mut told = async || within("a line of sov", lines.next_line()).await.expect("readable").expect("sov goes on");
    while !told().await.contains("has an account") {}
    let server = eventually("the server's process", || async { server_in(place.path()) }).await;

    let pid = Pid::from_raw(i32::try_from(child.id().expect("it runs")).expect("a process id fits")).expect("not 0");
    kill_process(pid, Signal::INT).expect("the signal is sent");
    let status = within("the end of sov", child.wait()).await.expect("sov ends");
    assert_eq!(status.code(), Some(130));
    assert!(test_kill_process(server).is_err(), "the server is gone");
    assert!(is_empty(place.path()), "the directory is removed");
}

/// The process that serves below this directory.
fn server_in(place: &Path) -> Option<Pid> {
    let directory = fs::read_dir(place).ok()?.next()?.ok()?.path();
    let ready: Value = serde_json::from_slice(&fs::read(directory.join("server/ready.json")).ok()?).ok()?;
    Pid::from_raw(i32::try_from(ready["pid"].as_i64()?).ok()?)
}

#[tokio::test]
async fn what_cannot_be_started_is_told_and_is_no_success() {
    let place = place();
    let output = run(&place, &["demo", "--server", "nothing-of-this-name"]).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains("nothing-of-this-name is no program"), "{error}");
    assert!(output.stdout.is_empty());

    // A program that is no server: the first step fails, and says so in the last line.
    let output = run(&place, &["demo", "--server", sov::binary().to_str().expect("UTF-8")]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("✗ FAILED: the step can be finished"), "{text}");
    assert!(text.lines().next_back().is_some_and(|line| line.starts_with("1 of 1 checks FAILED")), "{text}");
    assert!(is_empty(place.path()));
}
