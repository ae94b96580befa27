//! `SignIn`.

use sovereign_proto::v1::FailureCode;

use crate::harness::{Carrier, Raw, TestServer, raw::Keys};

over_both!(a_second_sign_in_supersedes_the_first, wrong_key_unknown_device_and_replayed_proof_are_refused_alike_and_closed);

#[tokio::test]
async fn a_device_signs_in_by_its_key_alone() {
    let server = TestServer::start().await;
    let (ada, keys) = Raw::sign_up(&server, "ada").await;
    drop(ada);
    let (mut raw, session) = Raw::sign_in(&server, &keys).await;
    assert_eq!(session.username, "ada");
    assert!(raw.until_live().await.is_empty(), "there was nothing to deliver");
}

async fn a_second_sign_in_supersedes_the_first(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut first, keys) = Raw::sign_up(&server, "ada").await;
    let (_second, _) = Raw::sign_in(&server, &keys).await;
    assert_eq!(first.ended().await.code, Some(4009));
}

async fn wrong_key_unknown_device_and_replayed_proof_are_refused_alike_and_closed(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (_ada, keys) = Raw::sign_up(&server, "ada").await;
    let wrong_key = Keys { key: Keys::new().key, ..keys.clone() };
    let mut messages = Vec::new();
    for keys in [&wrong_key, &Keys::new()] {
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_in_request(keys);
        let failure = raw.call(request).await.err().expect("refused");
        assert_eq!(failure.code(), FailureCode::Unauthenticated);
        messages.push(failure.message);
        assert_eq!(raw.ended().await.code, Some(4002));
    }
    assert_eq!(messages[0], messages[1], "a stranger cannot tell which devices exist");
    let (mut raw, other) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let replayed = other.sign_in_request(&keys);
    assert_eq!(raw.refused(replayed).await, FailureCode::Unauthenticated);
}

#[tokio::test]
async fn a_rolled_back_store_is_told_so() {
    let server = TestServer::start().await;
    let (_ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut raw = Raw::connect(&server).await;
    let mut request = raw.sign_in_request(&keys);
    request.incarnation = 7;
    raw.call(request).await.expect("signed in");
    let mut raw = Raw::connect(&server).await;
    let mut request = raw.sign_in_request(&keys);
    request.incarnation = 6;
    assert_eq!(raw.refused(request).await, FailureCode::Conflict);
}

#[tokio::test]
async fn who_is_signed_in_cannot_sign_in_again_on_the_same_connection() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let request = ada.sign_in_request(&keys);
    assert_eq!(ada.refused(request).await, FailureCode::Conflict);
    ada.call(sovereign_proto::v1::PingRequest { client_time_ms: 0 }).await.expect("the connection lives on");
}
