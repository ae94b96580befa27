//! `ChangePassword`.

use sovereign_proto::{
    signed::PURPOSE_CHANGE_PASSWORD,
    v1::{ChangePasswordRequest, FailureCode},
};

use super::sign_in_with_password::enrol;
use crate::harness::{Raw, TestServer, raw::Keys};

fn change(raw: &Raw, keys: &Keys, old: &str, new: &str) -> ChangePasswordRequest {
    let proof = Some(keys.proof(&raw.hello, keys.account, PURPOSE_CHANGE_PASSWORD));
    ChangePasswordRequest { old_password: old.to_owned(), new_password: new.to_owned(), proof }
}

#[tokio::test]
async fn the_old_password_ends_with_the_change_and_so_do_other_sessions() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let request = change(&ada, &keys, "", "first password");
    ada.call(request).await.expect("a first password is set");

    let mut pending = Raw::connect(&server).await;
    let thief = keys.further_device();
    let request = enrol(&pending, &thief, "ada", "first password");
    pending.call(request).await.expect("enrolled");

    let request = change(&ada, &keys, "first password", "second password");
    ada.call(request).await.expect("changed");
    assert_eq!(pending.ended().await.code, Some(4004));
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_in_request(&thief);
    assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated, "who knew the old password does not linger");
    let mut raw = Raw::connect(&server).await;
    let request = enrol(&raw, &keys.further_device(), "ada", "first password");
    assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated);
}

#[tokio::test]
async fn needs_the_old_password_the_devices_signature_and_a_fair_length() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let request = change(&ada, &keys, "", "first password");
    ada.call(request).await.expect("set");
    let request = change(&ada, &keys, "wrong", "second password");
    assert_eq!(ada.refused(request).await, FailureCode::Forbidden);
    let request = change(&ada, &Keys { key: Keys::new().key, ..keys.clone() }, "first password", "second password");
    assert_eq!(ada.refused(request).await, FailureCode::Unauthenticated);
    let request = change(&ada, &keys, "first password", "short");
    assert_eq!(ada.refused(request).await, FailureCode::InvalidArgument);
}

#[tokio::test]
async fn whoever_has_a_device_does_not_guess_the_password_by_it() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let request = change(&ada, &keys, "", "first password");
    ada.call(request).await.expect("set");
    let mut limited = None;
    for number in 0..20 {
        let request = change(&ada, &keys, &format!("guess {number}"), "a thief's password");
        let failure = ada.call(request).await.err().expect("wrong");
        if failure.code() == FailureCode::RateLimited {
            limited = Some(failure);
            break;
        }
        assert_eq!(failure.code(), FailureCode::Forbidden);
    }
    let limited = limited.expect("not twenty guesses in a row");
    assert!(limited.retry_after_ms > 0, "it says when to come back");
    let mut raw = Raw::connect(&server).await;
    let request = enrol(&raw, &keys.further_device(), "ada", "first password");
    raw.call(request).await.expect("what a device guesses shuts nobody out at the door");
}
