//! Accounts: listed, shown, shut out, given passwords, deleted.

use bytes::Bytes;
use sovereign::clock::monotonic;
use sovereign_proto::{
    signed::PURPOSE_SIGN_IN,
    v1::{PublishManifestRequest, SignInWithPasswordRequest},
};

use super::{audit, objects};
use crate::harness::{Home, Raw, TestServer, raw::Keys};

/// Devices that are connected at once when their account is disabled.
const DEVICES: usize = 5;

/// An account with so many live devices.
async fn crowd(server: &TestServer, username: &str) -> Vec<(Raw, Keys)> {
    let (mut raw, keys) = (Raw::connect(server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, username, &server.invite_code().await);
    request.password = "a good long password".into();
    raw.call(request).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let mut manifest = keys.genesis();
    let mut all = vec![keys.clone()];
    let mut connections = vec![(raw, keys.clone())];
    for _ in 1..DEVICES {
        let new = keys.further_device();
        let mut raw = Raw::connect(server).await;
        let request = SignInWithPasswordRequest {
            username: username.into(),
            password: "a good long password".into(),
            device_id: Bytes::copy_from_slice(&new.device),
            device_key: Bytes::copy_from_slice(new.key.verifying_key().as_bytes()),
            proof: Some(new.proof(&raw.hello, [0; 16], sovereign_proto::signed::PURPOSE_ENROL)),
        };
        raw.call(request).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        all.push(new.clone());
        manifest = keys.next_manifest(&manifest, &all.iter().collect::<Vec<_>>());
        let publish = PublishManifestRequest { manifest: Some(manifest.clone()) };
        connections[0].0.call(publish).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        let (mut raw, _) = Raw::sign_in(server, &new).await;
        raw.until_live().await;
        connections.push((raw, new));
    }
    connections
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_disables_an_account_with_five_live_connections() {
    let server = TestServer::start().await;
    let mut connections = crowd(&server, "mallory").await;
    let mut proven = Raw::connect(&server).await;
    let (mut bystander, _) = Raw::sign_up(&server, "ada").await;
    bystander.until_live().await;
    assert_eq!(objects(&server, &["session", "list", "mallory"]).await.len(), DEVICES);

    server.operate(&["user", "disable", "mallory"]).await;
    let disabled = monotonic();
    for (raw, _) in &mut connections {
        assert_eq!(raw.ended().await.code, Some(4005));
    }
    println!("the last connection was cut after {:?}", disabled.elapsed());

    let keys = &connections[0].1;
    let request = sovereign_proto::v1::SignInRequest {
        proof: Some(keys.proof(&proven.hello, keys.account, PURPOSE_SIGN_IN)),
        ..proven.sign_in_request(keys)
    };
    assert_eq!(proven.refused(request).await, sovereign_proto::v1::FailureCode::Unauthenticated);
    assert!(objects(&server, &["session", "list", "mallory"]).await.is_empty());
    bystander.call(sovereign_proto::v1::PingRequest { client_time_ms: 1 }).await.expect("nobody else noticed");
    server.operate(&["user", "enable", "mallory"]).await;
    Raw::sign_in(&server, keys).await;
}

#[tokio::test]
async fn verbs_work_with_the_server_running_and_stopped() {
    let mut server = TestServer::start().await;
    let (_ada, _bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    for running in [true, false] {
        if !running {
            server.terminate().await;
        }
        let table = server.operate(&["user", "list"]).await;
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.starts_with("NAME") && table.contains("\nada ") && table.contains("\nbob "), "{table}");
        let accounts = objects(&server, &["user", "list"]).await;
        assert_eq!((accounts.len(), &accounts[1]["username"], &accounts[1]["state"]), (2, &"bob".into(), &"enabled".into()));
        server.operate(&["user", "disable", "bob"]).await;
        let bob = objects(&server, &["user", "show", "bob"]).await;
        assert_eq!((&bob[0]["state"], &bob[0]["devices"][0]["state"]), (&"disabled".into(), &"active".into()));
        server.operate(&["user", "enable", "bob"]).await;
        let shown = server.operate(&["user", "show", "bob"]).await;
        assert!(shown.contains("enabled") && shown.contains("key packages".to_uppercase().as_str()), "{shown}");
        let password = server.operate(&["user", "reset-password", "bob"]).await;
        assert_eq!(password.lines().count(), 1, "{password}");

        let (code, output, error) = server.try_operate(&["user", "disable", "bbo"]).await;
        assert_eq!((code, output.as_str()), (Some(64), ""));
        assert!(error.contains("did you mean bob?"), "{error}");
    }
    assert_eq!(audit(&server), ["create invite", "disable account", "enable account", "reset password"]);
}

#[tokio::test]
async fn deleting_asks_first_and_is_for_good() {
    let mut server = TestServer::start().await;
    let home = Home::join(&server, "ada").await;
    let listener = home.listen().await;
    let (code, _, error) = server.try_operate(&["user", "delete", "ada"]).await;
    assert_eq!(code, Some(64));
    assert!(error.contains("--yes"), "{error}");
    assert_eq!(objects(&server, &["user", "show", "ada"]).await[0]["state"], "enabled", "nothing was done");

    server.operate(&["user", "delete", "ada", "--yes"]).await;
    let (lines, code) = listener.rest().await;
    assert_eq!(code, Some(77), "the person is told: {lines:?}");
    let out = home.try_sov(&["devices", "--timeout", "60"]).await;
    assert_eq!(out.code, Some(77), "{out:?}");
    let again = Home::new();
    let taken = again.try_sov(&["join", &server.invite().await, "--username", "ada"]).await;
    assert_eq!(taken.code, Some(1), "{taken:?}");
    for verb in [["user", "enable", "ada"], ["user", "reset-password", "ada"]] {
        let (code, _, error) = server.try_operate(&verb).await;
        assert_eq!(code, Some(64));
        assert!(error.contains("deleted for good"), "{error}");
    }
    server.terminate().await;
    assert_eq!(objects(&server, &["user", "list"]).await[0]["state"], "deleted");
    assert!(audit(&server).contains(&"delete account".to_owned()));
}

#[tokio::test]
async fn a_reset_password_enrols_a_device_that_waits_for_approval() {
    let server = TestServer::start().await;
    let phone = Home::join(&server, "ada").await;
    let laptop = Home::new();
    let chosen = laptop.file("chosen", "chosen by the operator");
    server.operate(&["user", "reset-password", "ada", "--password-file", &chosen]).await;
    let made = server.operate(&["user", "reset-password", "ada"]).await;
    let file = laptop.file("password", made.trim());
    let wrong = laptop.try_sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &chosen]).await;
    assert_eq!(wrong.code, Some(77), "{wrong:?}");
    let account = laptop.sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &file]).await;
    assert_eq!(account[0]["pending"], true);
    let devices = phone.sov(&["devices"]).await;
    assert!(devices.iter().any(|device| device["state"] == "pending"), "{devices:?}");
    assert!(!server.log().contains(made.trim()), "the password is in the log");
}
