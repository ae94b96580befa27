//! `ListDevices`.

use sovereign_proto::v1::{DeviceState, ListDevicesRequest};

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn lists_the_own_devices_only() {
    let server = TestServer::start().await;
    let (_bob, _) = Raw::sign_up(&server, "bob").await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let devices = ada.call(ListDevicesRequest {}).await.expect("the list").devices;
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].device_id.as_ref(), devices[0].state()), (&keys.device[..], DeviceState::Active));
}
