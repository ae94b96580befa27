//! `ReserveGroup`.

use sovereign_proto::v1::ReserveGroupRequest;

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn every_reservation_is_another_id() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let first = ada.call(ReserveGroupRequest {}).await.expect("an id").group_id;
    let second = ada.call(ReserveGroupRequest {}).await.expect("an id").group_id;
    assert_eq!((first.len(), second.len()), (32, 32));
    assert_ne!(first, second);
}
