//! `FetchEntries`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, FetchEntriesRequest};

use crate::harness::{
    TestServer,
    scene::{Person, pair},
};

fn fetch(group_id: &[u8], from_seq: u64, backward: bool, limit: u32) -> FetchEntriesRequest {
    FetchEntriesRequest { group_id: Bytes::copy_from_slice(group_id), from_seq, backward, limit }
}

#[tokio::test]
async fn pages_in_both_directions_and_only_within_the_window() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    for text in ["one", "two", "three"] {
        ada.person.send(&mut ada.group, text).await;
    }
    // seq 1 is the commit that added Bob.
    let forward = bob.person.raw.call(fetch(&id, 0, false, 2)).await.expect("a page");
    assert_eq!(forward.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((forward.head, forward.more), (4, true));
    let backward = bob.person.raw.call(fetch(&id, 100, true, 100)).await.expect("a page");
    assert_eq!(backward.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 3, 2], "nothing from before Bob's join");
    let mut stranger = Person::new(&server, "mallory").await;
    assert_eq!(stranger.raw.refused(fetch(&id, 0, false, 10)).await, FailureCode::NotFound);
    assert_eq!(stranger.raw.refused(fetch(&[1; 5], 0, false, 10)).await, FailureCode::InvalidArgument);
}
