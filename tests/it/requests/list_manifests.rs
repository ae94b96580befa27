//! `ListManifests`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, ListManifestsRequest};

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn gives_the_chain_behind_a_version() {
    let server = TestServer::start().await;
    let (_bob, keys) = Raw::sign_up(&server, "bob").await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let account_id = Bytes::copy_from_slice(&keys.account);
    let all = ada.call(ListManifestsRequest { account_id: account_id.clone(), after_version: 0 }).await.expect("the chain");
    assert_eq!(all.manifests.len(), 1);
    assert_eq!(all.manifests[0].body, keys.genesis().body);
    let none = ada.call(ListManifestsRequest { account_id, after_version: 1 }).await.expect("the chain");
    assert!(none.manifests.is_empty() && !none.more);
    let unknown = ListManifestsRequest { account_id: Bytes::from_static(&[9; 16]), after_version: 0 };
    assert_eq!(ada.refused(unknown).await, FailureCode::NotFound);
}
