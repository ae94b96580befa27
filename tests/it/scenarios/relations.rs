//! Strangers, contacts and blocks, as the server keeps them.

use bytes::Bytes;
use sovereign_proto::v1::{Contact, ListGroupsRequest, ListRelationsRequest, Relation, RelationChange, entry::Body};

use crate::harness::{
    Raw, TestServer,
    raw::Keys,
    scene::{Person, Seat, pair, relate},
};

/// How somebody stands to somebody, on a fresh list.
async fn side(raw: &mut Raw, other: &Keys) -> Relation {
    let list = raw.call(ListRelationsRequest { after_account_id: Bytes::new() }).await.expect("the list").contacts;
    let contact = list.iter().find(|contact| contact.account_id == other.account.as_slice());
    contact.map_or(Relation::Unspecified, Contact::relation)
}

/// Whether each of the own groups is a request, ordered by id.
async fn requests(raw: &mut Raw) -> Vec<bool> {
    let groups = raw.call(ListGroupsRequest { after_group_id: Bytes::new() }).await.expect("the list").groups;
    groups.iter().map(|group| group.request).collect()
}

#[tokio::test]
async fn a_strangers_first_message_arrives_as_a_request_and_a_contacts_does_not() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = (Person::new(&server, "ada").await, Person::new(&server, "bob").await);
    let mut group = ada.create_group().await;
    ada.add(&mut group, &[&bob.keys]).await;
    ada.send(&mut group, "may I?").await;
    let (seq, welcome) = bob.welcome().await;
    assert_eq!((welcome.added_by.as_ref(), welcome.request), (&ada.keys.account[..], true));
    let mut bobs = bob.member.join(&welcome.welcome);
    bob.raw.acknowledge(&[], seq).await;
    assert_eq!(bob.next_text(&mut bobs).await, "may I?", "a request is delivered like everything else");
    relate(&mut bob, &ada.keys, RelationChange::Accept).await;

    let mut second = ada.create_group().await;
    ada.add(&mut second, &[&bob.keys]).await;
    let (_, welcome) = bob.welcome().await;
    assert!(!welcome.request, "from a contact");
    assert_eq!(requests(&mut bob.raw).await, [false, false]);
    assert_eq!(
        (side(&mut ada.raw, &bob.keys).await, side(&mut bob.raw, &ada.keys).await),
        (Relation::Accepted, Relation::Accepted)
    );
}

#[tokio::test]
async fn one_commit_tells_each_of_those_it_adds_what_it_is_to_them() {
    let server = TestServer::start().await;
    let mut ada = Person::new(&server, "ada").await;
    let (mut bob, mut carol) = (Person::new(&server, "bob").await, Person::new(&server, "carol").await);
    relate(&mut carol, &ada.keys, RelationChange::Accept).await;
    let mut group = ada.create_group().await;
    ada.add(&mut group, &[&bob.keys, &carol.keys]).await;
    assert!(bob.welcome().await.1.request);
    assert!(!carol.welcome().await.1.request);
    assert_eq!(side(&mut ada.raw, &bob.keys).await, Relation::Requested);
    assert_eq!(side(&mut ada.raw, &carol.keys).await, Relation::Accepted);
    assert_eq!(side(&mut bob.raw, &carol.keys).await, Relation::Unspecified, "a group makes no contacts");
}

#[tokio::test]
async fn a_block_leaves_the_log_as_it_is_and_keeps_new_groups_out() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let (adas, bobs) = (ada.person.keys.clone(), bob.person.keys.clone());
    relate(&mut bob.person, &adas, RelationChange::Block).await;
    ada.person.send(&mut ada.group, "are you there?").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "are you there?", "what is in the log is in the log");
    let id = ada.person.create_group().await.group_id().to_vec();
    let claim = crate::harness::scene::claim_request(&id, &[&bobs]);
    assert!(ada.person.raw.call(claim).await.is_err());
    // Within the group they share, Ada's part of keeping it goes on.
    let claim = crate::harness::scene::claim_request(ada.group.group_id().as_slice(), &[&bobs]);
    ada.person.raw.call(claim).await.expect("a member's further devices");
}

#[tokio::test]
async fn relations_outlive_a_crash() {
    let mut server = TestServer::start().await;
    let (ada, mut bob) = pair(&server).await;
    let (adas, bobs) = (ada.person.keys.clone(), bob.person.keys.clone());
    relate(&mut bob.person, &adas, RelationChange::Block).await;
    server.kill().await;
    server.restart().await;
    let (mut raw, _) = Raw::sign_in(&server, &bobs).await;
    assert_eq!(side(&mut raw, &adas).await, Relation::Blocked);
    let (mut raw, _) = Raw::sign_in(&server, &adas).await;
    assert_eq!(side(&mut raw, &bobs).await, Relation::Requested, "she is told nothing");
}

#[tokio::test]
async fn a_group_of_two_is_a_request_again_once_the_contact_is_forgotten() {
    let server = TestServer::start().await;
    let (ada, mut bob) = pair(&server).await;
    let adas = ada.person.keys.clone();
    assert_eq!(requests(&mut bob.person.raw).await, [true]);
    relate(&mut bob.person, &adas, RelationChange::Accept).await;
    assert_eq!(requests(&mut bob.person.raw).await, [false]);
    relate(&mut bob.person, &adas, RelationChange::Remove).await;
    assert_eq!(requests(&mut bob.person.raw).await, [true]);
    let Seat { person: mut ada, mut group } = ada;
    assert_eq!(requests(&mut ada.raw).await, [false], "her own");
    let carol = Person::new(&server, "carol").await;
    ada.add(&mut group, &[&carol.keys]).await;
    let entries = bob.person.raw.entries(group.group_id().as_slice()).await;
    assert!(matches!(entries[0].body, Some(Body::Commit(_))));
    relate(&mut bob.person, &adas, RelationChange::Accept).await;
    relate(&mut bob.person, &adas, RelationChange::Remove).await;
    assert_eq!(requests(&mut bob.person.raw).await, [false], "a group with others in it is no matter of two");
}
