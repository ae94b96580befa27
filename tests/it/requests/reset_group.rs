//! `ResetGroup`.

use bytes::Bytes;
use sovereign_proto::v1::{
    FailureCode, ListGroupsRequest, ReserveGroupRequest, ResetGroupRequest, confirm_epoch_request::Verdict,
};

use super::confirm_epoch::confirm;
use crate::harness::{
    TestServer,
    scene::{Person, Seat, pair},
};

async fn reset(group_id: Vec<u8>, epoch: u64, person: &mut Person) -> ResetGroupRequest {
    let new_group_id = person.raw.call(ReserveGroupRequest {}).await.expect("an id").group_id;
    let group = person.member.create(&new_group_id);
    ResetGroupRequest { group_id: group_id.into(), epoch, group_info: person.member.group_info(&group), new_group_id }
}

fn id(seat: &Seat) -> (Vec<u8>, u64) {
    (seat.group.group_id().to_vec(), seat.group.epoch().as_u64())
}

#[tokio::test]
async fn a_frozen_group_is_replaced_once_and_everybody_learns_by_which() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let nack = confirm(&bob, Verdict::Nack(true));
    assert!(bob.person.raw.call(nack).await.expect("noted").frozen);
    let (group, epoch) = id(&bob);
    let request = reset(group.clone(), epoch, &mut bob.person).await;
    let first = bob.person.raw.call(request).await.expect("reset").successor;
    let late = reset(group, epoch, &mut ada.person).await;
    assert_eq!(ada.person.raw.call(late).await.expect("told").successor, first);
    let groups = ada.person.raw.call(ListGroupsRequest { after_group_id: Bytes::new() }).await.expect("the list").groups;
    assert!(groups.iter().any(|group| group.successor == first));
}

#[tokio::test]
async fn a_healthy_group_is_not_reset_and_strangers_learn_nothing() {
    let server = TestServer::start().await;
    let (ada, mut bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let (group, epoch) = id(&ada);
    let request = reset(group.clone(), epoch, &mut bob.person).await;
    assert_eq!(bob.person.raw.refused(request).await, FailureCode::Conflict);
    let request = reset(group, epoch, &mut stranger).await;
    assert_eq!(stranger.raw.refused(request).await, FailureCode::NotFound);
}
