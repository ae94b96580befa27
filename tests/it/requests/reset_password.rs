//! `ResetPassword`.

use bytes::Bytes;
use sovereign_proto::{
    signed::PURPOSE_ENROL,
    v1::{DeviceState, FailureCode, ListDevicesRequest, PingRequest, ResetPasswordRequest, Session, SignInWithPasswordRequest},
};

use crate::harness::{Raw, TestServer, control::Control, raw::Keys};

/// Enrols a further device with a password.
async fn enrol(server: &TestServer, keys: &Keys, password: &str) -> Result<(Raw, Session), FailureCode> {
    let mut raw = Raw::connect(server).await;
    let new = keys.further_device();
    let request = SignInWithPasswordRequest {
        username: "ada".into(),
        password: password.into(),
        device_id: Bytes::copy_from_slice(&new.device),
        device_key: Bytes::copy_from_slice(new.key.verifying_key().as_bytes()),
        proof: Some(new.proof(&raw.hello, [0; 16], PURPOSE_ENROL)),
    };
    match raw.call(request).await {
        Ok(response) => Ok((raw, response.session.expect("a session"))),
        Err(failure) => Err(failure.code()),
    }
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_makes_a_pending_device_and_no_more() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    let reset = ResetPasswordRequest { username: "ada".into(), password: String::new() };
    let made = operator.call(reset).await.expect("reset").password;
    assert!(made.len() >= 24, "{made}");
    assert_eq!(ada.ended().await.code, Some(4004));
    assert_eq!(enrol(&server, &keys, "something else").await.err(), Some(FailureCode::Unauthenticated));
    let (mut new, session) = enrol(&server, &keys, &made).await.expect("the new password is good");
    assert_eq!(session.device_state(), DeviceState::Pending);
    assert_eq!(new.refused(ListDevicesRequest {}).await, FailureCode::Forbidden);
    // The device that was there before signs in by its key as ever.
    let (mut ada, _) = Raw::sign_in(&server, &keys).await;
    ada.call(PingRequest { client_time_ms: 1 }).await.expect("alive");

    let reset = ResetPasswordRequest { username: "ada".into(), password: "chosen by hand".into() };
    assert_eq!(operator.call(reset).await.expect("reset").password, "", "a given one is not repeated");
    assert_eq!(new.ended().await.code, Some(4004));
    assert_eq!(enrol(&server, &keys, &made).await.err(), Some(FailureCode::Unauthenticated));
    enrol(&server, &keys, "chosen by hand").await.expect("the newest password is good");
}

#[tokio::test]
async fn bad_passwords_unknown_names_and_devices_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    let request = |username: &str, password: &str| ResetPasswordRequest { username: username.into(), password: password.into() };
    let short = operator.call(request("ada", "short")).await.err().expect("refused");
    assert_eq!(short.code(), FailureCode::InvalidArgument);
    let unknown = operator.call(request("eve", "")).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    assert_eq!(ada.refused(request("ada", "")).await, FailureCode::Forbidden);
}
