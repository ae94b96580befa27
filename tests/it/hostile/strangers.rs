//! Strangers who claim, write and add without end: bounded for each of them and for each of those they are after.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sovereign::limits::{REQUESTS_PER_CLAIMER, REQUESTS_PER_TARGET, STRANGERS_CLAIMS_PER_TARGET, STRANGERS_GROUPS_PER_TARGET};
use sovereign_proto::v1::{ClaimKeyPackagesRequest, Contact, FailureCode, ListRelationsRequest, Relation, RelationChange};

use crate::harness::{
    Member, Raw, TestServer,
    raw::Keys,
    scene::{Person, claim_request, relate},
};

/// Requests that one connection has in flight here.
const IN_FLIGHT: usize = 48;

async fn open_server() -> TestServer {
    let open = ["--registration-mode", "open", "--connections-per-address-max", "2000"];
    // What is tried here is not how fast one may ask.
    TestServer::start_with(&[&open[..], &["--requests-per-second-max", "1000000"]].concat()).await
}

/// An account without an invite and without key packages.
async fn newcomer(server: &TestServer, name: &str) -> Person {
    let (mut raw, keys) = (Raw::connect(server).await, Keys::new());
    let request = raw.sign_up_request(&keys, name, "");
    raw.call(request).await.unwrap_or_else(|failure| panic!("sign-up refused: {}", failure.message));
    let member = Member::new(&keys);
    Person { raw, keys, member }
}

async fn contacts(person: &mut Person) -> Vec<Relation> {
    let list = person.raw.call(ListRelationsRequest { after_account_id: Bytes::new() }).await.expect("the list");
    list.contacts.iter().map(Contact::relation).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_claims_of_one_stranger_get_what_is_due_and_no_more() {
    let server = open_server().await;
    let many = stream::iter(0..REQUESTS_PER_CLAIMER + 20);
    let server_ref = &server;
    let targets: Vec<Keys> =
        many.map(|index| async move { newcomer(server_ref, &format!("target{index}")).await.keys }).buffered(16).collect().await;
    let (mut eve, mut bob) = (newcomer(&server, "eve").await, newcomer(&server, "bob").await);
    bob.publish(50).await;
    let group = eve.create_group().await;
    let id = group.group_id().as_slice();

    let (mut taken, mut refused, mut in_a_row, mut flying) = (0, 0, 0, VecDeque::new());
    for index in 0..10_000 {
        let whom = if index % 2 == 0 { &bob.keys } else { &targets[index / 2 % targets.len()] };
        flying.push_back(eve.raw.send(claim_request(id, &[whom])).await);
        if flying.len() < IN_FLIGHT && index + 1 < 10_000 {
            continue;
        }
        while let Some(request) = flying.pop_front() {
            match eve.raw.answer::<ClaimKeyPackagesRequest>(request).await {
                Ok(_) => (taken, in_a_row) = (taken + 1, 0),
                Err(failure) => {
                    assert_eq!(failure.code(), FailureCode::RateLimited, "{}", failure.message);
                    assert!(failure.retry_after_ms > 0, "it says when to come back");
                    (refused, in_a_row) = (refused + 1, in_a_row + 1);
                }
            }
        }
        // Whoever hears no refusal is sent away in the end, and comes back.
        if in_a_row > 800 {
            in_a_row = 0;
            (eve.raw, _) = Raw::sign_in(&server, &eve.keys).await;
        }
    }
    assert_eq!(taken + refused, 10_000);
    assert!((100..=1024).contains(&taken), "{taken} claims were taken");
    let mut ada = newcomer(&server, "ada").await;
    let adas = ada.create_group().await;
    let rest = 50 - usize::try_from(STRANGERS_CLAIMS_PER_TARGET).expect("small");
    relate(&mut bob, &ada.keys, RelationChange::Accept).await;
    for _ in 0..rest {
        assert_eq!(ada.claim(&adas, &[&bob.keys]).await.len(), 1, "Eve has not emptied Bob's stock");
    }
    assert!(contacts(&mut bob).await.len() <= 1, "claims alone are no requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_adds_somebody_to_a_few_groups_and_to_none_once_blocked() {
    let server = open_server().await;
    let (mut eve, mut bob) = (newcomer(&server, "eve").await, newcomer(&server, "bob").await);
    bob.publish(50).await;
    for _ in 0..STRANGERS_GROUPS_PER_TARGET {
        let mut group = eve.create_group().await;
        eve.add(&mut group, &[&bob.keys]).await;
    }
    let group = eve.create_group().await;
    let bobs = bob.keys.clone();
    let claim = || claim_request(group.group_id().as_slice(), &[&bobs]);
    assert_eq!(eve.raw.refused(claim()).await, FailureCode::RateLimited);
    assert_eq!(contacts(&mut bob).await, [Relation::Request], "one request, however many groups");
    relate(&mut bob, &eve.keys.clone(), RelationChange::Block).await;
    assert_eq!(eve.raw.refused(claim()).await, FailureCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_strangers_at_one_door_is_bounded_and_contacts_come_through() {
    let server = open_server().await;
    let (mut bob, mut ada) = (newcomer(&server, "bob").await, newcomer(&server, "ada").await);
    bob.publish(50).await;
    let (bobs, server_ref) = (&bob.keys, &server);
    let knock = |index: usize| async move {
        let mut stranger = newcomer(server_ref, &format!("stranger{index}")).await;
        let group = stranger.create_group().await;
        stranger.raw.call(claim_request(group.group_id().as_slice(), &[bobs])).await.map(drop)
    };
    let first: Vec<_> = stream::iter(0..REQUESTS_PER_TARGET).map(knock).buffered(16).collect().await;
    assert!(first.iter().all(Result::is_ok));
    let one_more = knock(REQUESTS_PER_TARGET).await.expect_err("too many wait already");
    assert_eq!(one_more.code(), FailureCode::RateLimited);
    let last_resort = bob.member.last_resort();
    let request = sovereign_proto::v1::PublishKeyPackagesRequest { key_packages: Vec::new(), last_resort, replace: false };
    bob.raw.call(request).await.expect("published");
    relate(&mut bob, &ada.keys, RelationChange::Accept).await;
    let group = ada.create_group().await;
    assert_eq!(ada.claim(&group, &[&bob.keys]).await.len(), 1, "the last resort is for people he knows");
}
