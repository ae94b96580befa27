//! `SetPrivacy`.

use sovereign_proto::v1::{FailureCode, PresenceState};

use crate::harness::{
    Raw, TestServer,
    attendance::{acquainted, privacy},
};

#[tokio::test]
async fn hiding_shows_at_once_and_showing_again_too() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    ada.person.raw.show(PresenceState::Online).await;
    bob.person.raw.watch(&[&ada.person.keys]).await;
    ada.person.raw.call(privacy(Some(true), None)).await.expect("hidden");
    let hidden = bob.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
    assert_eq!(hidden.last_seen_ms, 0, "no trace");
    ada.person.raw.call(privacy(Some(false), None)).await.expect("shown");
    bob.person.raw.until_shown(&ada.person.keys, PresenceState::Online).await;
}

#[tokio::test]
async fn each_switch_stands_for_itself_and_outlives_the_server() {
    let mut server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let told = ada.call(privacy(None, None)).await.expect("told");
    assert!(!told.hide_presence && !told.hide_receipts);
    ada.call(privacy(Some(true), None)).await.expect("hidden");
    let told = ada.call(privacy(None, Some(true))).await.expect("hidden");
    assert!(told.hide_presence && told.hide_receipts);
    ada.call(privacy(Some(false), None)).await.expect("shown");
    server.kill().await;
    server.restart().await;
    let (mut ada, _) = Raw::sign_in(&server, &keys).await;
    let told = ada.call(privacy(None, None)).await.expect("told");
    assert!(!told.hide_presence && told.hide_receipts);
}

#[tokio::test]
async fn guests_hide_nothing() {
    let server = TestServer::start().await;
    let mut guest = Raw::connect(&server).await;
    assert_eq!(guest.refused(privacy(Some(true), None)).await, FailureCode::Unauthenticated);
}
