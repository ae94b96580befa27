//! Restores: only what was backed up, only into an empty place, and nothing twice that may have been used since.

use std::{fs, path::Path};

use serde_json::Value;
use sovereign_proto::v1::FailureCode;

use crate::harness::{
    Raw, TestServer,
    scene::{self, Person},
};

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test]
async fn a_live_or_a_full_directory_is_left_alone() {
    let mut server = TestServer::start().await;
    Raw::sign_up(&server, "ada").await;
    let backup = server.backup("backup").await;
    let (code, _, error) = server.try_operate(&["restore", path(&backup)]).await;
    assert_eq!(code, Some(75), "it runs: {error}");
    server.terminate().await;
    let before = fs::read(server.data().join("sovereign.db")).expect("readable");
    let (code, _, error) = server.try_operate(&["restore", path(&backup)]).await;
    assert_eq!(code, Some(64), "{error}");
    assert!(error.contains("aside"), "it says what to do: {error}");
    assert_eq!(fs::read(server.data().join("sovereign.db")).expect("readable"), before);
    let (code, _, error) = server.try_operate(&["restore", path(&server.data().with_file_name("nothing"))]).await;
    assert_eq!(code, Some(64), "{error}");
    server.restart().await;
}

#[tokio::test]
async fn a_damaged_backup_is_noticed_and_puts_nothing_there() {
    let mut server = TestServer::start().await;
    Raw::sign_up(&server, "ada").await;
    let backup = server.backup("backup").await;
    server.terminate().await;
    fs::rename(server.data(), server.data().with_file_name("aside")).expect("moved");
    for name in ["sovereign.db", "server.key", "tls/ca.key"] {
        let file = backup.join(name);
        let sound = fs::read(&file).expect("readable");
        let mut damaged = sound.clone();
        damaged[sound.len() / 2] ^= 1;
        fs::write(&file, damaged).expect("written");
        let (code, _, error) = server.try_operate(&["restore", path(&backup)]).await;
        assert_eq!(code, Some(74), "{name}: {error}");
        assert!(error.contains(name) && !server.data().join("sovereign.db").exists(), "{name}: {error}");
        fs::write(&file, sound).expect("written");
    }
    let manifest = fs::read_to_string(backup.join("manifest.json")).expect("readable");
    fs::write(backup.join("manifest.json"), manifest.replace("\"server.key\"", "\"../server.key\"")).expect("written");
    let (code, _, error) = server.try_operate(&["restore", path(&backup)]).await;
    assert_eq!(code, Some(78), "a manifest leads nowhere else: {error}");
}

#[tokio::test]
async fn a_stale_log_is_removed_and_an_unfinished_restore_starts_no_server() {
    let mut server = TestServer::start().await;
    let (_, keys) = Raw::sign_up(&server, "ada").await;
    let backup = server.backup("backup").await;
    Raw::sign_up(&server, "eve").await;
    server.kill().await;
    // What somebody does who deletes the database alone: its log would bring rows back into any other.
    let old = server.data().with_file_name("aside");
    fs::rename(server.data(), &old).expect("moved");
    fs::create_dir(server.data()).expect("made");
    for name in ["sovereign.db-wal", "sovereign.db-shm"] {
        fs::copy(old.join(name), server.data().join(name)).expect("copied");
    }
    fs::create_dir(server.data().join("restoring")).expect("made");
    let (code, _, error) = server.try_operate(&["serve"]).await;
    assert_eq!(code, Some(78), "{error}");
    let said = server.operate(&["restore", path(&backup), "--json"]).await;
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["stale_files_removed"], serde_json::json!(["sovereign.db-wal", "sovereign.db-shm"]));
    server.restart().await;
    Raw::sign_in(&server, &keys).await;
    assert!(!server.operate(&["user", "list"]).await.contains("eve"), "only what was backed up");
}

#[tokio::test]
async fn what_may_have_been_used_is_never_given_again() {
    let mut server = TestServer::start().await;
    let (mut ada, bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let invite = server.invite_code().await;
    let group = ada.create_group().await;
    let backup = server.backup("backup").await;
    let handed_out = ada.claim(&group, &[&bob.keys]).await;
    assert_eq!(handed_out.len(), 1);
    server.kill().await;
    server.restore(&backup).await;

    let (mut adas, _) = Raw::sign_in(&server, &ada.keys).await;
    adas.until_live().await;
    let request = scene::claim_request(group.group_id().as_slice(), &[&bob.keys]);
    let claimed = adas.call(request).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert!(claimed.key_packages.is_empty(), "not even one that nobody is known to have");
    assert_eq!(claimed.exhausted.len(), 1);
    let mut guest = Raw::connect(&server).await;
    let keys = crate::harness::raw::Keys::new();
    let request = guest.sign_up_request(&keys, "eve", &invite);
    assert_eq!(guest.refused(request).await, FailureCode::Forbidden, "the invite may be used up");
}
