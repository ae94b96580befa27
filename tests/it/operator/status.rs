//! How the server is, and where operators look for it.

use super::objects;
use crate::harness::{Carrier, Home, TestServer, eventually};

#[tokio::test]
async fn status_tells_a_running_server_from_a_stopped_one() {
    let mut server = TestServer::start().await;
    let ada = Home::join(&server, "ada").await;
    let _listener = ada.listen().await;
    // The connection by which she joined may still be on its way out.
    let running = eventually("one connection", || async {
        let running = objects(&server, &["status"]).await;
        (running[0]["connections"] == 1).then_some(running)
    })
    .await;
    assert_eq!((&running[0]["running"], &running[0]["accounts"]), (&true.into(), &1.into()));
    let people = server.operate(&["status"]).await;
    for word in ["running", "uptime", "connections", "accounts", "groups", "backlog", "write-ahead log", "disk"] {
        assert!(people.contains(word), "{word:?} is missing: {people}");
    }
    server.terminate().await;
    let stopped = objects(&server, &["status"]).await;
    assert_eq!((&stopped[0]["running"], &stopped[0]["connections"]), (&false.into(), &0.into()));
    assert!(server.operate(&["status"]).await.starts_with("stopped"));
}

#[tokio::test]
async fn a_directory_without_a_server_is_named_and_left_alone() {
    let server = TestServer::start().await;
    let elsewhere = server.data().with_file_name("elsewhere");
    let path = elsewhere.to_str().expect("the path is UTF-8");
    let mut verb = tokio::process::Command::new(env!("CARGO_BIN_EXE_sovereign"));
    let output = verb.env_remove(Carrier::CHOICE).args(["status", "--data", path]).output();
    let output = output.await.expect("the verb runs");
    assert_eq!(output.status.code(), Some(78));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("elsewhere") && error.contains("--data"), "{error}");
    assert!(!elsewhere.exists(), "nothing was made");
}

#[tokio::test]
async fn every_verb_explains_itself() {
    let server = TestServer::start().await;
    for verb in ["user", "device", "session", "invite", "status"] {
        let help = server.operate(&[verb, "--help"]).await;
        assert!(help.contains("Usage:"), "{verb}: {help}");
    }
    let help = server.operate(&["user", "delete", "--help"]).await;
    assert!(help.contains("Nobody else can take its name") && help.contains("--yes"), "{help}");
}
