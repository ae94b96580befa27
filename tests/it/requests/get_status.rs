//! `GetStatus`.

use sovereign_proto::v1::{FailureCode, GetStatusRequest};

use crate::harness::{Raw, TestServer, control::Control, eventually, scene};

#[tokio::test]
async fn operators_see_the_server_in_numbers() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = scene::pair(&server).await;
    let seq = ada.person.send(&mut ada.group, "waits").await.seq;
    let mut operator = Control::connect(&server).await;
    let status = operator.call(GetStatusRequest {}).await.expect("told");
    assert_eq!((status.version.as_str(), status.connections), (env!("CARGO_PKG_VERSION"), 2));
    assert_eq!((status.accounts, status.accounts_disabled, status.devices_active), (2, 0, 2));
    assert_eq!((status.groups, status.groups_behind, status.groups_frozen), (1, 0, 0));
    assert_eq!((status.key_packages, status.devices_low), (19, 2));
    assert!(status.disk_free_bytes > 0 && status.undelivered > 0);
    let id = ada.group.group_id().as_slice().to_vec();
    bob.person.raw.acknowledge(&id, seq).await;
    ada.person.raw.acknowledge(&id, seq).await;
    eventually("the backlog to be empty", || async {
        let status = Control::connect(&server).await.call(GetStatusRequest {}).await.expect("told");
        (status.undelivered == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_device_may_ask() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(GetStatusRequest {}).await, FailureCode::Forbidden);
}
