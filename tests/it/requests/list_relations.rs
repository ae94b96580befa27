//! `ListRelations`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, ListRelationsRequest, Relation, RelationChange};

use crate::harness::{
    TestServer,
    raw::Keys,
    scene::{Person, pair, relate, set_relation},
};

fn list(after: &[u8]) -> ListRelationsRequest {
    ListRelationsRequest { after_account_id: Bytes::copy_from_slice(after) }
}

#[tokio::test]
async fn lists_the_own_side_and_nobody_elses() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let adas = ada.person.raw.call(list(&[])).await.expect("the list");
    assert_eq!((adas.contacts.len(), adas.more), (1, false));
    let contact = &adas.contacts[0];
    assert_eq!((contact.account_id.as_ref(), contact.username.as_str()), (&bob.person.keys.account[..], "bob"));
    assert_eq!(contact.relation(), Relation::Requested);
    assert!(contact.since_ms > 0);
    let bobs = bob.person.raw.call(list(&[])).await.expect("the list").contacts;
    assert_eq!((bobs.len(), bobs[0].relation()), (1, Relation::Request));
    assert_eq!(ada.person.raw.refused(list(&[7; 15])).await, FailureCode::InvalidArgument);
}

#[tokio::test]
async fn goes_on_behind_any_id_in_order() {
    let server = TestServer::start().await;
    let mut ada = Person::new(&server, "ada").await;
    let mut ids = Vec::new();
    for name in ["bob", "cleo", "dan"] {
        let person = Person::new(&server, name).await;
        assert_eq!(relate(&mut ada, &person.keys, RelationChange::Block).await, Relation::Blocked);
        ids.push(person.keys.account);
    }
    ids.sort_unstable();
    let listed = |page: sovereign_proto::v1::ListRelationsResponse| -> Vec<Vec<u8>> {
        page.contacts.iter().map(|contact| contact.account_id.to_vec()).collect()
    };
    assert_eq!(listed(ada.raw.call(list(&[])).await.expect("all")), ids);
    assert_eq!(listed(ada.raw.call(list(&ids[0])).await.expect("the rest")), ids[1..]);
    // An id that means nothing is a place in the order like any other.
    assert_eq!(listed(ada.raw.call(list(&[0; 16])).await.expect("all")), ids);
    assert!(listed(ada.raw.call(list(&[255; 16])).await.expect("none")).is_empty());
    assert_eq!(ada.raw.refused(set_relation(&Keys::new(), RelationChange::Block)).await, FailureCode::NotFound);
}
