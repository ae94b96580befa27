//! `SignUp`.

use bytes::Bytes;
use sovereign_proto::v1::{DeviceState, FailureCode};

use crate::harness::{Raw, TestServer, eventually, raw::Keys};

#[tokio::test]
async fn an_invited_person_gets_an_account_with_an_active_device() {
    let server = TestServer::start().await;
    let (mut raw, keys) = (Raw::connect(&server).await, Keys::new());
    let request = raw.sign_up_request(&keys, "Ada", &server.invite_code().await);
    let session = raw.call(request).await.expect("signed up").session.expect("a session");
    assert_eq!(session.username, "ada");
    assert_eq!(session.device_state(), DeviceState::Active);
    assert_eq!((session.account_id.as_ref(), session.manifest_version), (&keys.account[..], 1));
    assert!(!session.administrator);
}

#[tokio::test]
async fn an_invite_of_one_use_admits_exactly_one_of_two_who_race() {
    let server = TestServer::start().await;
    let link = server.operate(&["invite", "create", "--uses", "1"]).await;
    let code = link.trim().split(['#', '&']).find_map(|part| part.strip_prefix("c=")).expect("a code");
    let (mut first, mut second) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let (one, two) = (first.sign_up_request(&Keys::new(), "one", code), second.sign_up_request(&Keys::new(), "two", code));
    let answers = tokio::join!(first.call(one), second.call(two));
    let admitted = [answers.0.is_ok(), answers.1.is_ok()];
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 1, "{admitted:?}");
    let refused = answers.0.err().or(answers.1.err()).expect("one is refused");
    assert_eq!(refused.code(), FailureCode::Forbidden);
}

#[tokio::test]
async fn without_a_good_invite_nobody_gets_in() {
    let server = TestServer::start().await;
    for code in ["", "guessed-guessed-guessed"] {
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_up_request(&Keys::new(), "ada", code);
        assert_eq!(raw.refused(request).await, FailureCode::Forbidden);
    }
}

#[tokio::test]
async fn a_closed_server_takes_nobody_and_prints_no_link() {
    let mut server = TestServer::start_with(&["--registration-mode", "closed"]).await;
    eventually("what there is to say", || async { server.log().contains("Nobody can sign up").then_some(()) }).await;
    assert!(!server.log().contains("/join#"), "{}", server.log());
    let code = server.invite_code().await;
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "ada", &code);
    assert_eq!(raw.refused(request).await, FailureCode::Forbidden);

    server.terminate().await;
    server.set_arguments(&[]);
    server.restart().await;
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "ada", &code);
    raw.call(request).await.expect("the invite made meanwhile is good once people are taken again");
}

#[tokio::test]
async fn a_taken_name_and_a_known_account_are_refused() {
    let server = TestServer::start().await;
    let (_ada, keys) = Raw::sign_up(&server, "ada").await;
    let code = server.invite_code().await;
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "ADA", &code);
    assert_eq!(raw.refused(request).await, FailureCode::Conflict);
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&keys, "ada2", &code);
    assert_eq!(raw.refused(request).await, FailureCode::Conflict);
}

#[tokio::test]
async fn a_forged_manifest_a_foreign_proof_and_a_bad_name_are_refused() {
    let server = TestServer::start().await;
    let code = server.invite_code().await;
    let keys = Keys::new();

    let mut raw = Raw::connect(&server).await;
    let mut forged = raw.sign_up_request(&keys, "ada", &code);
    forged.manifest = Some(Keys { identity: Keys::new().identity, ..keys.clone() }.genesis());
    assert_eq!(raw.refused(forged).await, FailureCode::InvalidArgument);

    let (mut raw, other) = (Raw::connect(&server).await, Raw::connect(&server).await);
    let mut foreign = raw.sign_up_request(&keys, "ada", &code);
    foreign.proof = other.sign_up_request(&keys, "ada", &code).proof;
    assert_eq!(raw.refused(foreign).await, FailureCode::Unauthenticated);

    for name in ["a", "a b c", "ad\u{430}", "x\u{202e}y"] {
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_up_request(&keys, name, &code);
        assert_eq!(raw.refused(request).await, FailureCode::InvalidArgument, "{name:?}");
    }

    let mut raw = Raw::connect(&server).await;
    let mut short = raw.sign_up_request(&keys, "ada", &code);
    short.identity_key = Bytes::from_static(&[1; 31]);
    assert_eq!(raw.refused(short).await, FailureCode::InvalidArgument);
}
