//! Devices and sessions: listed, revoked, ended.

use super::{audit, objects};
use crate::harness::{Home, TestServer, eventually, sov::text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_the_operator_revokes_is_out_and_its_owner_strikes_it() {
    let mut server = TestServer::start().await;
    let password = "correct horse battery staple";
    let phone = Home::join_with_password(&server, "ada", password).await;
    let bob = Home::join(&server, "bob").await;
    let laptop = Home::new();
    let file = laptop.file("password", password);
    let account = laptop.sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &file]).await;
    let id = text(&account[0]["device_id"]);
    phone.sov(&["devices", "approve", &id[..8]]).await;
    let sent = phone.sov(&["send", "--to", "bob", "from the phone"]).await;
    let group = text(&sent[0]["group"]);
    let mut laptops = laptop.listen().await;
    laptops.event("joined").await;
    let _bobs = bob.listen().await;
    let _phones = phone.listen().await;

    let listed = objects(&server, &["device", "list", "ada"]).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().any(|device| device["device_id"] == id.as_str() && device["connected"] == true), "{listed:?}");
    server.operate(&["device", "revoke", &id[..10]]).await;
    let (lines, code) = laptops.rest().await;
    assert_eq!(code, Some(77), "the laptop is told that it is out: {lines:?}");
    let out = laptop.try_sov(&["send", "--group", &group, "let me in", "--timeout", "60"]).await;
    assert_eq!(out.code, Some(77), "{out:?}");

    // The leaf goes when the account itself strikes the device.
    phone.sov(&["devices", "revoke", &id[..8]]).await;
    eventually("the laptop's leaf to go", || async {
        let groups = bob.groups().await;
        let members = groups[0]["members"].as_array().expect("members").clone();
        members.iter().any(|member| member["name"] == "ada" && member["devices"] == 1).then_some(())
    })
    .await;
    let (code, _, error) = server.try_operate(&["device", "revoke", &id]).await;
    assert_eq!(code, Some(64));
    assert!(error.contains("already"), "{error}");
    server.terminate().await;
    let stopped = objects(&server, &["device", "list"]).await;
    assert_eq!(stopped.len(), 3);
    assert!(audit(&server).contains(&"revoke device".to_owned()));
}

#[tokio::test]
async fn an_ended_session_comes_back_by_itself() {
    let mut server = TestServer::start().await;
    let ada = Home::join(&server, "ada").await;
    let _listener = ada.listen().await;
    let sessions = objects(&server, &["session", "list"]).await;
    assert_eq!((sessions.len(), &sessions[0]["username"]), (1, &"ada".into()));
    let first = sessions[0]["id"].clone();
    let id = first.to_string();
    server.operate(&["session", "end", &id]).await;
    // A listener tells how it stands and not every step: it may be back before it has told that it was gone.
    eventually("another session", || async {
        let sessions = objects(&server, &["session", "list"]).await;
        sessions.iter().any(|session| session["username"] == "ada" && session["id"] != first).then_some(())
    })
    .await;
    let (code, _, error) = server.try_operate(&["session", "end", &id]).await;
    assert_eq!(code, Some(64));
    assert!(error.contains("session list"), "{error}");
    server.terminate().await;
    assert!(objects(&server, &["session", "list"]).await.is_empty(), "nobody is connected to a stopped server");
    assert!(audit(&server).contains(&"end session".to_owned()));
}
