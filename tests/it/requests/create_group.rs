//! `CreateGroup`.

use bytes::Bytes;
use sovereign_proto::v1::{CreateGroupRequest, FailureCode, ReserveGroupRequest};

use crate::harness::{
    Member, TestServer,
    scene::{Person, claim_request},
};

fn create(group_id: &[u8], group_info: Bytes, direct_key: &[u8]) -> CreateGroupRequest {
    CreateGroupRequest { group_id: Bytes::copy_from_slice(group_id), group_info, direct_key: Bytes::copy_from_slice(direct_key) }
}

#[tokio::test]
async fn only_a_reserved_id_and_only_once() {
    let server = TestServer::start().await;
    let (mut ada, mut eve) = (Person::new(&server, "ada").await, Person::new(&server, "eve").await);
    let reserved = ada.raw.call(ReserveGroupRequest {}).await.expect("an id").group_id;
    let squatter = eve.member.create(&reserved);
    let request = create(&reserved, eve.member.group_info(&squatter), &[]);
    assert_eq!(eve.raw.refused(request).await, FailureCode::Conflict);
    let group = ada.member.create(&reserved);
    let request = create(&reserved, ada.member.group_info(&group), &[]);
    ada.raw.call(request.clone()).await.expect("created");
    ada.raw.call(request).await.expect("who got no answer may ask again");
    let other = Member::new(&ada.keys);
    let another = create(&reserved, other.group_info(&other.create(&reserved)), &[]);
    assert_eq!(ada.raw.refused(another).await, FailureCode::Conflict);
}

#[tokio::test]
async fn two_who_start_with_the_same_people_converge_on_one_group() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let key = sovereign_proto::log::direct_key(&[ada.keys.account, bob.keys.account]);
    let (adas, bobs) = (
        ada.raw.call(ReserveGroupRequest {}).await.expect("an id").group_id,
        bob.raw.call(ReserveGroupRequest {}).await.expect("an id").group_id,
    );
    let mut group = ada.member.create(&adas);
    let request = create(&adas, ada.member.group_info(&group), &key);
    let first = ada.raw.call(request).await.expect("created").existing_group_id;
    assert!(first.is_empty());
    ada.add(&mut group, &[&bob.keys]).await;
    let lost = bob.member.create(&bobs);
    let request = create(&bobs, bob.member.group_info(&lost), &key);
    let existing = bob.raw.call(request).await.expect("told").existing_group_id;
    assert_eq!(existing, adas);
}

#[tokio::test]
async fn a_group_info_of_somebody_else_or_of_another_group_is_refused() {
    let server = TestServer::start().await;
    let (mut ada, bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let reserved = ada.raw.call(ReserveGroupRequest {}).await.expect("an id").group_id;
    let bobs = bob.member.create(&reserved);
    let other = ada.member.create(&[7; 32]);
    for info in [bob.member.group_info(&bobs), ada.member.group_info(&other), Bytes::from_static(b"junk"), Bytes::new()] {
        assert_eq!(ada.raw.refused(create(&reserved, info, &[])).await, FailureCode::InvalidArgument);
    }
    let group = ada.member.create(&reserved);
    let request = create(&reserved, ada.member.group_info(&group), &[]);
    ada.raw.call(request).await.expect("the reservation was not used up by what was refused");
    ada.raw.call(claim_request(&reserved, &[&bob.keys])).await.expect("the group stands");
}
