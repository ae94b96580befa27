//! `ClaimKeyPackages`.

use std::collections::HashSet;

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, PublishKeyPackagesRequest, RelationChange};

use crate::harness::{
    TestServer,
    raw::Keys,
    scene::{Person, claim_request, relate},
};

#[tokio::test]
async fn every_claim_gets_another_package_and_the_same_claim_the_same_one() {
    let server = TestServer::start().await;
    let (mut ada, bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let group = ada.create_group().await;
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let request = claim_request(group.group_id().as_slice(), &[&bob.keys]);
        let first = ada.raw.call(request.clone()).await.expect("claimed").key_packages;
        let again = ada.raw.call(request).await.expect("claimed").key_packages;
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].key_package, again[0].key_package, "a lost answer is asked for again");
        assert!(seen.insert(first[0].key_package.clone()), "a package was handed out twice");
    }
    let empty = ada.raw.call(claim_request(group.group_id().as_slice(), &[&bob.keys])).await.expect("answered");
    assert!(empty.key_packages.is_empty());
    assert_eq!(empty.exhausted.len(), 1, "the device without stock is named");
}

#[tokio::test]
async fn unknown_accounts_and_foreign_groups_are_not_found() {
    let server = TestServer::start().await;
    let (mut ada, mut eve) = (Person::new(&server, "ada").await, Person::new(&server, "eve").await);
    let group = ada.create_group().await;
    let id = group.group_id().as_slice();
    assert_eq!(ada.raw.refused(claim_request(id, &[&Keys::new()])).await, FailureCode::NotFound);
    assert_eq!(eve.raw.refused(claim_request(id, &[&ada.keys])).await, FailureCode::NotFound);
    assert_eq!(eve.raw.refused(claim_request(&[7; 32], &[&ada.keys])).await, FailureCode::NotFound);
}

#[tokio::test]
async fn a_claim_id_stands_for_one_claim() {
    let server = TestServer::start().await;
    let (mut ada, bob, eve) =
        (Person::new(&server, "ada").await, Person::new(&server, "bob").await, Person::new(&server, "eve").await);
    let group = ada.create_group().await;
    let first = claim_request(group.group_id().as_slice(), &[&bob.keys]);
    let mut other = claim_request(group.group_id().as_slice(), &[&eve.keys]);
    other.claim_id = first.claim_id.clone();
    ada.raw.call(first).await.expect("claimed");
    assert_eq!(ada.raw.refused(other).await, FailureCode::Conflict);
}

#[tokio::test]
async fn a_stranger_gets_no_last_resort_and_who_is_accepted_does() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let last_resort = bob.member.last_resort();
    let replaced = PublishKeyPackagesRequest { key_packages: Vec::new(), last_resort: last_resort.clone(), replace: true };
    bob.raw.call(replaced).await.expect("published");
    let group = ada.create_group().await;
    let id = group.group_id().as_slice();
    let claimed = ada.raw.call(claim_request(id, &[&bob.keys])).await.expect("answered");
    assert_eq!((claimed.key_packages.len(), claimed.exhausted.len()), (0, 1), "to a stranger there is none");
    relate(&mut bob, &ada.keys, RelationChange::Accept).await;
    let claimed = ada.raw.call(claim_request(id, &[&bob.keys])).await.expect("answered").key_packages;
    assert_eq!(claimed.iter().map(|claimed| claimed.key_package.clone()).collect::<Vec<Bytes>>(), [last_resort]);
}

#[tokio::test]
async fn who_has_blocked_the_claimer_looks_like_nobody() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let carol = Person::new(&server, "carol").await;
    let group = ada.create_group().await;
    let id = group.group_id().as_slice();
    relate(&mut bob, &ada.keys, RelationChange::Block).await;
    for others in [vec![], vec![&carol.keys]] {
        let with = |one| [others.as_slice(), &[one]].concat();
        let nobody = Keys::new();
        let blocker = ada.raw.call(claim_request(id, &with(&bob.keys))).await.map(drop);
        let unknown = ada.raw.call(claim_request(id, &with(&nobody))).await.map(drop);
        assert!(blocker.is_err() && blocker == unknown, "the same bytes");
    }
    relate(&mut bob, &ada.keys, RelationChange::Remove).await;
    relate(&mut ada, &bob.keys, RelationChange::Block).await;
    assert_eq!(ada.raw.refused(claim_request(id, &[&bob.keys])).await, FailureCode::Forbidden, "her own block");
}
