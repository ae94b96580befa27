//! `ClaimKeyPackages`.

use std::collections::HashSet;

use sovereign_proto::v1::FailureCode;

use crate::harness::{
    TestServer,
    raw::Keys,
    scene::{Person, claim_request},
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
