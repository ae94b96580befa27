//! `GetReceipts`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, GetReceiptsRequest, LeaveGroupRequest};

use crate::harness::{
    TestServer,
    attendance::{acquainted, read_request},
    scene::Person,
};

fn request(group_id: &[u8]) -> GetReceiptsRequest {
    GetReceiptsRequest { group_id: Bytes::copy_from_slice(group_id) }
}

#[tokio::test]
async fn tells_how_far_everybody_has_got() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let id = ada.group.group_id().to_vec();
    let seq = ada.person.send(&mut ada.group, "one").await.seq;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "one");
    bob.person.raw.call(read_request(&id, seq)).await.expect("noted");
    ada.person.raw.until_progress(&id, &bob.person.keys, seq, seq).await;
    let mut expected = vec![(ada.person.keys.account.to_vec(), 0, 0), (bob.person.keys.account.to_vec(), seq, seq)];
    expected.sort_unstable();
    assert_eq!(ada.person.raw.receipts(&id).await, expected);
}

#[tokio::test]
async fn who_is_not_a_member_finds_nothing() {
    let server = TestServer::start().await;
    let (ada, mut bob) = acquainted(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut stranger = Person::new(&server, "mallory").await;
    let foreign = stranger.raw.call(request(&id)).await.err().expect("refused");
    let unknown = stranger.raw.call(request(&[9; 32])).await.err().expect("refused");
    assert_eq!((foreign.code(), foreign.message), (FailureCode::NotFound, unknown.message), "the same answer");
    assert_eq!(stranger.raw.refused(request(b"")).await, FailureCode::InvalidArgument);
    bob.person.raw.call(LeaveGroupRequest { group_id: id.clone().into() }).await.expect("left");
    assert_eq!(bob.person.raw.refused(request(&id)).await, FailureCode::NotFound, "nor does who is leaving");
}
