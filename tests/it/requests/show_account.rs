//! `ShowAccount`.

use sovereign_proto::v1::{DeviceState, FailureCode, ShowAccountRequest};

use crate::harness::{Raw, TestServer, control::Control, scene};

#[tokio::test]
async fn operators_see_an_account_with_its_devices() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = scene::pair(&server).await;
    ada.person.send(&mut ada.group, "not for operators").await;
    let mut operator = Control::connect(&server).await;
    // Of the two entries he acknowledges the Welcome alone; it takes a moment to be written.
    let shown = loop {
        let shown = operator.call(ShowAccountRequest { username: "BOB".into() }).await.expect("there");
        if shown.devices.iter().all(|device| device.undelivered < 2) {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    let account = shown.account.expect("an account");
    assert_eq!((account.username.as_str(), account.has_password, shown.groups), ("bob", false, 1));
    let [device] = &shown.devices[..] else { panic!("one device") };
    assert_eq!((device.state(), device.connected, device.key_packages), (DeviceState::Active, true, 9));
    assert_eq!(device.undelivered, 1, "Bob has not acknowledged the message");
}

#[tokio::test]
async fn a_mistyped_name_gets_a_suggestion_and_devices_get_nothing() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    let unknown = operator.call(ShowAccountRequest { username: "adda".into() }).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    assert!(unknown.message.contains("did you mean ada?"), "{}", unknown.message);
    let far = operator.call(ShowAccountRequest { username: "somebody".into() }).await.err().expect("refused");
    assert!(!far.message.contains("ada"), "{}", far.message);
    let no_name = operator.call(ShowAccountRequest { username: "a b".into() }).await.err().expect("refused");
    assert_eq!(no_name.code(), FailureCode::InvalidArgument);
    assert_eq!(ada.refused(ShowAccountRequest { username: "ada".into() }).await, FailureCode::Forbidden);
}
