//! `ListGroups`.

use bytes::Bytes;
use sovereign_proto::v1::ListGroupsRequest;

use crate::harness::{TestServer, scene::pair};

#[tokio::test]
async fn lists_the_own_groups() {
    let server = TestServer::start().await;
    let (ada, mut bob) = pair(&server).await;
    let groups = bob.person.raw.call(ListGroupsRequest { after_group_id: Bytes::new() }).await.expect("the list").groups;
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].group_id, ada.group.group_id().as_slice());
    assert!(groups[0].joined && !groups[0].leaving && !groups[0].frozen);
    let behind = ListGroupsRequest { after_group_id: groups[0].group_id.clone() };
    assert!(bob.person.raw.call(behind).await.expect("the list").groups.is_empty());
}
