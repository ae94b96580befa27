//! `ConfirmEpoch`.

use bytes::Bytes;
use sovereign_proto::v1::{ConfirmEpochRequest, FailureCode, confirm_epoch_request::Verdict};

use crate::harness::{
    TestServer,
    scene::{Person, Seat, pair, send_request},
};

pub fn confirm(seat: &Seat, verdict: Verdict) -> ConfirmEpochRequest {
    ConfirmEpochRequest {
        group_id: Bytes::copy_from_slice(seat.group.group_id().as_slice()),
        epoch: seat.group.epoch().as_u64(),
        verdict: Some(verdict),
    }
}

#[tokio::test]
async fn the_only_other_member_freezes_a_commit_that_does_not_work_for_it() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let response = bob.person.raw.call(confirm(&bob, Verdict::Nack(true))).await.expect("noted");
    assert!(response.frozen);
    let message = ada.person.member.message(&mut ada.group, "hello?");
    let request = send_request(ada.group.group_id().as_slice(), message);
    assert_eq!(ada.person.raw.refused(request).await, FailureCode::Forbidden);
}

#[tokio::test]
async fn a_confirmed_epoch_cannot_be_frozen_any_more() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let eves = Seat { group: eve.join().await, person: eve };
    let (mut eve, tag) = (eves, Verdict::Tag(Bytes::from_static(&[1; 32])));
    assert!(!eve.person.raw.call(confirm(&eve, tag)).await.expect("noted").frozen);
    let nack = ConfirmEpochRequest { epoch: eve.group.epoch().as_u64(), ..confirm(&bob, Verdict::Nack(true)) };
    assert!(!bob.person.raw.call(nack).await.expect("noted").frozen, "a lone nack never freezes");
}

#[tokio::test]
async fn strangers_confirm_nothing() {
    let server = TestServer::start().await;
    let (ada, _bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    assert_eq!(stranger.raw.refused(confirm(&ada, Verdict::Nack(true))).await, FailureCode::NotFound);
}
