//! `WatchPresence`.

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::v1::{FailureCode, PresenceState, WatchPresenceRequest};

use crate::harness::{
    Raw, TestServer,
    attendance::{acquainted, privacy, watch_request},
    scene::Person,
};

#[tokio::test]
async fn tells_of_the_other_in_a_group_at_once_and_when_it_changes() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    ada.person.raw.show(PresenceState::Online).await;
    let seen = bob.person.raw.watch(&[&ada.person.keys, &bob.person.keys]).await;
    assert_eq!(seen.len(), 1, "nobody watches themselves");
    assert_eq!(
        (&seen[0].account_id[..], seen[0].state(), seen[0].last_seen_ms),
        (&ada.person.keys.account[..], PresenceState::Online, 0)
    );
    drop(ada.person.raw);
    let gone = bob.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
    assert!(gone.last_seen_ms > 0 && gone.last_seen_ms % (5 * 60 * 1000) == 0, "coarse: {}", gone.last_seen_ms);
    let again = bob.person.raw.watch(&[&ada.person.keys]).await;
    assert_eq!((again[0].state(), again[0].last_seen_ms), (PresenceState::Offline, gone.last_seen_ms));
}

#[tokio::test]
async fn strangers_hidden_and_unknown_accounts_answer_in_the_same_bytes() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    eve.raw.show(PresenceState::Online).await;
    ada.person.raw.call(privacy(Some(true), None)).await.expect("hidden");
    ada.person.raw.show(PresenceState::Online).await;
    let mut answers = Vec::new();
    for account in [eve.keys.account, ada.person.keys.account, [9; 16]] {
        let mut answer = bob.person.raw.call(watch_request([account])).await.expect("answered");
        assert!(answer.number > 0);
        answer.number = 0;
        answers.push(answer.encode_to_vec());
    }
    assert!(answers.iter().all(Vec::is_empty), "{answers:?}");
}

#[tokio::test]
async fn a_list_replaces_the_one_before() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let eves = eve.join().await;
    eve.accept(&eves).await;
    bob.person.raw.watch(&[&ada.person.keys]).await;
    bob.person.raw.watch(&[&eve.keys]).await;
    ada.person.raw.show(PresenceState::Online).await;
    eve.raw.show(PresenceState::Online).await;
    let told = bob.person.raw.next_presence().await;
    assert!(told.len() == 1 && told[0].account_id == eve.keys.account[..], "only of whom is on the list");
}

#[tokio::test]
async fn lists_are_bounded_and_ids_have_their_length() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let ids = |count: u16| {
        watch_request((0..count).map(|number| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            id
        }))
    };
    ada.call(ids(512)).await.expect("taken");
    assert_eq!(ada.refused(ids(513)).await, FailureCode::TooLarge);
    let short = WatchPresenceRequest { account_ids: vec![Bytes::from_static(b"short")] };
    assert_eq!(ada.refused(short).await, FailureCode::InvalidArgument);
    let mut guest = Raw::connect(&server).await;
    assert_eq!(guest.refused(ids(1)).await, FailureCode::Unauthenticated);
}
