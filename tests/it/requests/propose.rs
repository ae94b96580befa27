//! Propose.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, LeaveGroupRequest, ProposeRequest, entry::Body};

use crate::harness::{
    Member, TestServer,
    member::wire,
    scene::{Seat, pair},
};

fn propose(seat: &Seat, proposal: Bytes) -> ProposeRequest {
    ProposeRequest { group_id: Bytes::copy_from_slice(seat.group.group_id().as_slice()), proposal }
}

#[tokio::test]
async fn a_member_proposes_its_own_removal_and_another_commits_it() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let proposal = bob.group.leave_group(&bob.person.member.provider, &bob.person.member.signer).expect("a proposal");
    let request = propose(&bob, wire(&proposal));
    let seq = bob.person.raw.call(request.clone()).await.expect("taken").seq;
    assert_eq!(bob.person.raw.call(request).await.expect("taken once").seq, seq);
    let id = ada.group.group_id().to_vec();
    loop {
        let entries = ada.person.raw.entries(&id).await;
        entries.iter().for_each(|entry| drop(ada.person.member.apply(&mut ada.group, entry)));
        if entries.iter().any(|entry| matches!(entry.body, Some(Body::Proposal(_)))) {
            break;
        }
    }
    let bundle = ada.person.member.commit_pending(&mut ada.group);
    ada.person.submit(&mut ada.group, &bundle).await;
    assert_eq!(ada.group.members().count(), 1);
}

#[tokio::test]
async fn who_is_leaving_may_still_propose_to_go() {
    let server = TestServer::start().await;
    let (_ada, mut bob) = pair(&server).await;
    let group_id = Bytes::copy_from_slice(bob.group.group_id().as_slice());
    bob.person.raw.call(LeaveGroupRequest { group_id }).await.expect("he may leave");
    let proposal = bob.group.leave_group(&bob.person.member.provider, &bob.person.member.signer).expect("a proposal");
    let request = propose(&bob, wire(&proposal));
    bob.person.raw.call(request).await.expect("taken");
}

#[tokio::test]
async fn proposals_about_others_of_strangers_and_of_old_epochs_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let leaf = Member::leaf(&bob.group, &ada.person.keys);
    let (proposal, _) =
        bob.group.propose_remove_member(&bob.person.member.provider, &bob.person.member.signer, leaf).expect("a proposal");
    let about_ada = propose(&bob, wire(&proposal));
    assert_eq!(bob.person.raw.refused(about_ada.clone()).await, FailureCode::InvalidArgument);
    assert_eq!(ada.person.raw.refused(about_ada).await, FailureCode::InvalidArgument, "signed by somebody else");
    let mut stranger = crate::harness::scene::Person::new(&server, "mallory").await;
    let own = bob.group.leave_group(&bob.person.member.provider, &bob.person.member.signer).expect("a proposal");
    assert_eq!(stranger.raw.refused(propose(&bob, wire(&own))).await, FailureCode::NotFound);
    let bundle = ada.person.member.update(&mut ada.group);
    ada.person.submit(&mut ada.group, &bundle).await;
    assert_eq!(bob.person.raw.refused(propose(&bob, wire(&own))).await, FailureCode::StaleEpoch);
}
