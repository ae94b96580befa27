//! Backups: made while people talk or while nobody is there, complete, private, and verified.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use super::objects;
use crate::harness::{Home, TestServer, scene};

fn manifest(backup: &Path) -> Value {
    serde_json::from_slice(&fs::read(backup.join("manifest.json")).expect("a manifest")).expect("JSON")
}

/// A place for a backup that is not there yet.
fn place(server: &TestServer, name: &str) -> (std::path::PathBuf, String) {
    let path = server.data().with_file_name(name);
    let text = path.to_str().expect("UTF-8").to_owned();
    (path, text)
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_whole_private_and_described() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = scene::pair(&server).await;
    for number in 0..200 {
        ada.person.send(&mut ada.group, &format!("message {number}")).await;
    }
    let (path, text) = place(&server, "backup");
    let told = objects(&server, &["backup", &text]).await;
    let manifest = manifest(&path);
    assert_eq!(told[0]["rows"], manifest["rows"]);
    assert_eq!((&manifest["rows"]["accounts"], &manifest["rows"]["groups"]), (&2.into(), &1.into()));
    assert!(manifest["rows"]["entries"].as_u64().expect("a number") > 200, "{manifest}");
    let names: Vec<&str> = manifest["files"].as_array().expect("files").iter().filter_map(|file| file["name"].as_str()).collect();
    assert_eq!(names, ["sovereign.db", "server.key", "tls/ca.pem", "tls/ca.key", "tls/server.pem", "tls/server.key"]);
    for name in names.into_iter().chain(["manifest.json"]) {
        let mode = fs::metadata(path.join(name)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700);
    let beside: Vec<_> =
        fs::read_dir(path.parent().expect("a parent")).expect("readable").flatten().map(|e| e.file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().contains("partial")), "{beside:?}");

    let (code, _, error) = server.try_operate(&["backup", &text]).await;
    assert_eq!(code, Some(64), "a backup is never written over");
    assert!(error.contains("already"), "{error}");
}

#[tokio::test]
async fn a_stopped_server_is_backed_up_by_the_same_verb() {
    let mut server = TestServer::start().await;
    Home::join(&server, "ada").await;
    server.terminate().await;
    let (path, text) = place(&server, "backup");
    let said = server.operate(&["backup", &text]).await;
    assert!(said.contains("verified") && said.contains("1 accounts"), "{said}");
    assert_eq!(manifest(&path)["rows"]["accounts"], 1);
    let (code, _, error) = server.try_operate(&["backup", "/does/not/exist/backup"]).await;
    assert_eq!(code, Some(64), "{error}");
}
