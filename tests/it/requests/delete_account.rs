//! `DeleteAccount`.

use sovereign_proto::v1::{
    AccountState, DeleteAccountRequest, FailureCode, FindAccountRequest, SetAccountEnabledRequest, ShowAccountRequest,
    find_account_request::By, push,
};

use crate::harness::{Raw, TestServer, control::Control, raw::Keys, scene};

#[tokio::test]
async fn a_deleted_account_is_gone_and_nobody_takes_its_name() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = scene::pair(&server).await;
    bob.person.send(&mut bob.group, "this stays").await;
    assert_eq!(ada.person.next_text(&mut ada.group).await, "this stays");
    let mut operator = Control::connect(&server).await;
    let deleted = operator.call(DeleteAccountRequest { username: "bob".into() }).await.expect("deleted");
    assert_eq!((deleted.devices, deleted.groups), (1, 1));
    assert_eq!(bob.person.raw.ended().await.code, Some(4005));

    // The other member is asked to remove it, may, and reads on what it said.
    let needed = loop {
        if let push::Body::CommitNeeded(needed) = ada.person.raw.push().await {
            break needed;
        }
    };
    assert_eq!(needed.remove.len(), 1);
    assert_eq!(needed.remove[0].account_id, bob.person.keys.account[..]);
    let leaf = crate::harness::Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;

    let by = Some(By::Username("bob".into()));
    assert_eq!(ada.person.raw.refused(FindAccountRequest { by }).await, FailureCode::NotFound);
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_in_request(&bob.person.keys);
    assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated);
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "bob", &server.invite_code().await);
    assert_eq!(raw.refused(request).await, FailureCode::Conflict);

    let shown = operator.call(ShowAccountRequest { username: "bob".into() }).await.expect("operators see what is left");
    assert_eq!(shown.account.expect("an account").state(), AccountState::Deleted);
    assert_eq!(shown.devices[0].key_packages, 0);
    let enable = SetAccountEnabledRequest { username: "bob".into(), enabled: true };
    for again in [operator.call(enable).await.err(), operator.call(DeleteAccountRequest { username: "bob".into() }).await.err()] {
        let again = again.expect("refused");
        assert_eq!(again.code(), FailureCode::Conflict);
        assert!(again.message.contains("deleted"), "{}", again.message);
    }
}

#[tokio::test]
async fn no_device_may_do_it() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(DeleteAccountRequest { username: "ada".into() }).await, FailureCode::Forbidden);
}
