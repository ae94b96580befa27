//! `SignOut`.

use sovereign_proto::v1::SignOutRequest;

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn is_answered_and_then_the_connection_ends() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    ada.call(SignOutRequest { forget_tokens: true }).await.expect("signed out");
    assert_eq!(ada.ended().await.code, Some(1000));
    Raw::sign_in(&server, &keys).await;
}
