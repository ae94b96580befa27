//! `SignInWithPassword`.

use bytes::Bytes;
use sovereign_proto::{
    signed::PURPOSE_ENROL,
    v1::{DeviceState, FailureCode, ListDevicesRequest, ReserveGroupRequest, SignInWithPasswordRequest},
};

use crate::harness::{Raw, TestServer, raw::Keys};

const PASSWORD: &str = "correct horse battery staple";

async fn with_password(server: &TestServer) -> (Raw, Keys) {
    let (mut raw, keys) = (Raw::connect(server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "ada", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    raw.call(request).await.expect("signed up");
    (raw, keys)
}

pub fn enrol(raw: &Raw, keys: &Keys, username: &str, password: &str) -> SignInWithPasswordRequest {
    SignInWithPasswordRequest {
        username: username.to_owned(),
        password: password.to_owned(),
        device_id: Bytes::copy_from_slice(&keys.device),
        device_key: Bytes::copy_from_slice(keys.key.verifying_key().as_bytes()),
        proof: Some(keys.proof(&raw.hello, [0; 16], PURPOSE_ENROL)),
    }
}

#[tokio::test]
async fn a_password_alone_makes_a_pending_device_that_may_do_nothing() {
    let server = TestServer::start().await;
    let (mut ada, keys) = with_password(&server).await;
    let second = keys.further_device();
    let mut raw = Raw::connect(&server).await;
    let request = enrol(&raw, &second, "Ada", PASSWORD);
    let session = raw.call(request).await.expect("enrolled").session.expect("a session");
    assert_eq!(session.device_state(), DeviceState::Pending);
    assert_eq!(raw.refused(ReserveGroupRequest {}).await, FailureCode::Forbidden);
    let devices = ada.call(ListDevicesRequest {}).await.expect("the list").devices;
    let states: Vec<_> = devices.iter().map(sovereign_proto::v1::Device::state).collect();
    assert_eq!(states.len(), 2);
    assert!(states.contains(&DeviceState::Pending), "the owner sees the pending device");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_is_not_locked_out() {
    let server = TestServer::start().await;
    let (_ada, keys) = with_password(&server).await;
    let mut codes = Vec::new();
    while codes.last() != Some(&FailureCode::RateLimited) {
        assert!(codes.len() < 20, "guessing is never slowed down");
        let mut raw = Raw::connect(&server).await;
        let request = enrol(&raw, &keys.further_device(), "ada", "a wrong guess");
        codes.push(raw.refused(request).await);
    }
    Raw::sign_in(&server, &keys).await;
}

#[tokio::test]
async fn wrong_password_and_unknown_name_say_the_same() {
    let server = TestServer::start().await;
    let (_ada, keys) = with_password(&server).await;
    let (_bob, _) = Raw::sign_up(&server, "bob").await;
    let mut messages = Vec::new();
    for (name, password) in [("ada", "wrong password"), ("nobody", PASSWORD), ("bob", PASSWORD), ("ad a", PASSWORD)] {
        let mut raw = Raw::connect(&server).await;
        let request = enrol(&raw, &keys.further_device(), name, password);
        let failure = raw.call(request).await.err().expect("refused");
        assert_eq!(failure.code(), FailureCode::Unauthenticated);
        messages.push(failure.message);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "one text for all of them: {messages:?}");
}
