//! `LeaveGroup`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, LeaveGroupRequest, push};

use crate::harness::{
    Member, TestServer,
    scene::{Person, pair, send_request},
};

#[tokio::test]
async fn who_leaves_sends_no_more_and_one_live_member_is_asked_to_commit() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let group_id = Bytes::copy_from_slice(bob.group.group_id().as_slice());
    bob.person.raw.call(LeaveGroupRequest { group_id: group_id.clone() }).await.expect("left");
    let message = bob.person.member.message(&mut bob.group, "one more thing");
    assert_eq!(bob.person.raw.refused(send_request(&group_id, message)).await, FailureCode::NotFound);

    let needed = loop {
        if let push::Body::CommitNeeded(needed) = ada.person.raw.push().await {
            break needed;
        }
    };
    assert_eq!(needed.group_id, group_id);
    assert_eq!(needed.remove[0].device_id, &bob.person.keys.device[..]);
    let leaf = Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    assert_eq!(ada.group.members().count(), 1);
}

#[tokio::test]
async fn a_group_one_is_not_in_is_not_found() {
    let server = TestServer::start().await;
    let (ada, _bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let group_id = Bytes::copy_from_slice(ada.group.group_id().as_slice());
    assert_eq!(stranger.raw.refused(LeaveGroupRequest { group_id }).await, FailureCode::NotFound);
}
