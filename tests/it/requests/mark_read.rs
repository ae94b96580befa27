//! `MarkRead`.

use sovereign_proto::v1::FailureCode;

use crate::harness::{
    Member, TestServer,
    attendance::{acquainted, read_request},
    scene::Person,
};

#[tokio::test]
async fn moves_forward_up_to_the_head_and_is_told_to_the_other() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let id = ada.group.group_id().to_vec();
    let first = ada.person.send(&mut ada.group, "one").await.seq;
    let second = ada.person.send(&mut ada.group, "two").await.seq;
    let mut read = async |seq| bob.person.raw.call(read_request(&id, seq)).await.expect("noted").seq;
    assert_eq!(read(first).await, first);
    assert_eq!(read(second).await, second);
    assert_eq!(read(first).await, second, "never back");
    assert_eq!(read(u64::MAX).await, second, "never beyond the head");
    ada.person.raw.until_progress(&id, &bob.person.keys, 0, second).await;
}

#[tokio::test]
async fn foreign_unknown_and_former_groups_are_not_found() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut stranger = Person::new(&server, "mallory").await;
    let foreign = stranger.raw.call(read_request(&id, 1)).await.err().expect("refused");
    let unknown = stranger.raw.call(read_request(&[9; 32], 1)).await.err().expect("refused");
    assert_eq!((foreign.code(), foreign.message), (FailureCode::NotFound, unknown.message), "the same answer");
    assert_eq!(stranger.raw.refused(read_request(b"short", 1)).await, FailureCode::InvalidArgument);
    let leaf = Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    assert_eq!(bob.person.raw.refused(read_request(&id, 1)).await, FailureCode::NotFound);
}
