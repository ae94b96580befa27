//! The doctor: quiet where all is well, and useful where it is not.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::objects;
use crate::harness::{Home, TestServer};

fn check<'a>(told: &'a Value, name: &str) -> &'a Value {
    let found = told["checks"].as_array().expect("checks").iter().find(|check| check["check"] == name);
    found.unwrap_or_else(|| panic!("no check {name:?}: {told}"))
}

#[tokio::test]
async fn a_fresh_server_is_well_but_for_its_backup() {
    let mut server = TestServer::start().await;
    Home::join(&server, "ada").await;
    let running = objects(&server, &["doctor"]).await;
    assert_eq!((&running[0]["healthy"], &running[0]["running"]), (&true.into(), &true.into()), "{}", running[0]);
    for name in ["disk", "permissions", "server key", "certificate", "write-ahead log", "clock", "schema", "integrity", "groups"]
    {
        assert_eq!(check(&running[0], name)["state"], "ok", "{}", running[0]);
    }
    assert_eq!(check(&running[0], "backup")["state"], "warning");
    let place = server.data().with_file_name("backup");
    server.operate(&["backup", place.to_str().expect("UTF-8")]).await;
    server.terminate().await;
    let stopped = objects(&server, &["doctor", "--deep"]).await;
    assert_eq!((&stopped[0]["healthy"], &stopped[0]["running"]), (&true.into(), &false.into()));
    assert_eq!(check(&stopped[0], "backup")["state"], "ok", "{}", stopped[0]);
    let people = server.operate(&["doctor"]).await;
    assert!(people.starts_with("stopped\n  ok") && !people.contains('\x1b'), "{people}");
}

#[tokio::test]
async fn what_is_broken_is_named_with_what_to_do_and_turns_the_exit_code() {
    let mut server = TestServer::start().await;
    Home::join(&server, "ada").await;
    server.terminate().await;
    let key = server.data().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
    let (code, said, _) = server.try_operate(&["doctor", "--json"]).await;
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let found = check(&told, "permissions");
    assert_eq!(found["state"], "problem");
    assert!(found["says"].as_str().expect("words").contains("server.key"), "{found}");
    assert!(found["do"].as_str().expect("words").contains("chmod"), "{found}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");

    // Half of the database's pages are overwritten, and the clock is set back by a year.
    let path = server.data().join("sovereign.db");
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..].fill(0x55);
    fs::write(&path, bytes).expect("written");
    let (code, said, _) = server.try_operate(&["doctor", "--json", "--clock-offset-seconds=-31536000"]).await;
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let damaged = ["integrity", "database"].iter().any(|name| {
        told["checks"].as_array().expect("checks").iter().any(|check| check["check"] == *name && check["state"] == "problem")
    });
    assert!(damaged, "{told}");
    assert_eq!(check(&told, "clock")["state"], "problem", "{told}");
}
