//! `SetRelation`.

use bytes::Bytes;
use sovereign_proto::v1::{
    FailureCode, ListGroupsRequest, ListManifestsRequest, Relation, RelationChange, SetRelationRequest, push,
    set_relation_request::Target,
};

use crate::harness::{
    Raw, TestServer,
    raw::Keys,
    scene::{Person, pair, relate, set_relation},
};

fn set_group(group: &[u8], change: RelationChange) -> SetRelationRequest {
    SetRelationRequest { target: Some(Target::GroupId(Bytes::copy_from_slice(group))), change: change.into() }
}

/// The next push about relations: whom it is about and what it says, and whether there is more.
async fn told(raw: &mut Raw) -> (Vec<(String, Relation)>, bool) {
    loop {
        if let push::Body::RelationChanged(changed) = raw.push().await {
            let contacts = changed.contacts.iter().map(|contact| (contact.username.clone(), contact.relation())).collect();
            return (contacts, changed.more);
        }
    }
}

#[tokio::test]
async fn accepting_is_told_to_both_and_blocking_to_one() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    assert_eq!(told(&mut ada.person.raw).await, (vec![("bob".into(), Relation::Requested)], false));
    let (adas, bobs) = (ada.person.keys.clone(), bob.person.keys.clone());
    assert_eq!(relate(&mut bob.person, &adas, RelationChange::Accept).await, Relation::Accepted);
    assert_eq!(told(&mut ada.person.raw).await, (vec![("bob".into(), Relation::Accepted)], false));
    assert_eq!(relate(&mut bob.person, &adas, RelationChange::Block).await, Relation::Blocked);
    assert_eq!(relate(&mut bob.person, &adas, RelationChange::Remove).await, Relation::Unspecified);
    // Ada hears of nothing but what she does herself.
    assert_eq!(relate(&mut ada.person, &bobs, RelationChange::Block).await, Relation::Blocked);
    assert_eq!(told(&mut ada.person.raw).await, (vec![("bob".into(), Relation::Blocked)], false));
}

#[tokio::test]
async fn all_devices_of_a_person_share_it() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let adas = ada.person.keys.clone();
    relate(&mut bob.person, &adas, RelationChange::Accept).await;
    // The very connection that asked is told, too.
    assert_eq!(told(&mut bob.person.raw).await.0, [("ada".into(), Relation::Accepted)]);
    let group = ada.group.group_id().as_slice();
    let answer = bob.person.raw.call(set_group(group, RelationChange::Accept)).await.expect("accepted, again");
    assert_eq!(answer.relation(), Relation::Accepted);
    assert_eq!(told(&mut bob.person.raw).await, (vec![], true), "the lists are to be read");
    ada.person.raw.call(ListGroupsRequest { after_group_id: Bytes::new() }).await.expect("answered");
}

#[tokio::test]
async fn a_group_is_accepted_without_its_adder() {
    let server = TestServer::start().await;
    let (ada, mut bob) = pair(&server).await;
    let group = ada.group.group_id().as_slice();
    let request = || ListGroupsRequest { after_group_id: Bytes::new() };
    let groups = bob.person.raw.call(request()).await.expect("the list").groups;
    assert_eq!((groups[0].request, groups[0].added_by.as_ref()), (true, &ada.person.keys.account[..]));
    assert_eq!(bob.person.raw.refused(set_group(group, RelationChange::Block)).await, FailureCode::InvalidArgument);
    bob.person.raw.call(set_group(group, RelationChange::Accept)).await.expect("accepted");
    let groups = bob.person.raw.call(request()).await.expect("the list").groups;
    assert_eq!((groups[0].request, groups[0].added_by.len()), (false, 0));
    let mut eve = Person::new(&server, "eve").await;
    let (theirs, nowhere) = (set_group(group, RelationChange::Accept), set_group(&[7; 32], RelationChange::Accept));
    let (theirs, nowhere) = (eve.raw.call(theirs).await, eve.raw.call(nowhere).await);
    assert!(theirs.is_err() && theirs.map(drop) == nowhere.map(drop), "a foreign group looks like none");
}

#[tokio::test]
async fn nonsense_and_nobody_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let own = ada.keys.clone();
    assert_eq!(ada.raw.refused(set_relation(&own, RelationChange::Accept)).await, FailureCode::InvalidArgument);
    assert_eq!(ada.raw.refused(set_relation(&bob.keys, RelationChange::Unspecified)).await, FailureCode::InvalidArgument);
    let unknown = SetRelationRequest { change: 99, ..set_relation(&bob.keys, RelationChange::Accept) };
    assert_eq!(ada.raw.refused(unknown).await, FailureCode::InvalidArgument);
    let nothing = SetRelationRequest { target: None, change: RelationChange::Accept.into() };
    assert_eq!(ada.raw.refused(nothing).await, FailureCode::InvalidArgument);
    for change in [RelationChange::Accept, RelationChange::Block, RelationChange::Remove] {
        assert_eq!(ada.raw.refused(set_relation(&Keys::new(), change)).await, FailureCode::NotFound);
    }
    assert_eq!(relate(&mut ada, &bob.keys, RelationChange::Remove).await, Relation::Unspecified, "strangers remain strangers");
}

#[tokio::test]
async fn who_has_blocked_the_caller_is_nobody() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    relate(&mut bob, &ada.keys, RelationChange::Block).await;
    for change in [RelationChange::Accept, RelationChange::Block, RelationChange::Remove] {
        let blocker = ada.raw.call(set_relation(&bob.keys, change)).await.map(drop);
        let nobody = ada.raw.call(set_relation(&Keys::new(), change)).await.map(drop);
        assert!(blocker.is_err() && blocker == nobody, "{change:?}");
    }
    let chain = |keys: &Keys| ListManifestsRequest { account_id: Bytes::copy_from_slice(&keys.account), after_version: 0 };
    let (blocker, nobody) = (ada.raw.call(chain(&bob.keys)).await.map(drop), ada.raw.call(chain(&Keys::new())).await.map(drop));
    assert!(blocker.is_err() && blocker == nobody);
}
