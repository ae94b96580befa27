//! `ListAccountDevices`.

use sovereign_proto::v1::{FailureCode, ListAccountDevicesRequest};

use crate::harness::{Raw, TestServer, control::Control};

#[tokio::test]
async fn operators_see_devices_of_one_account_or_of_all() {
    let server = TestServer::start().await;
    let (_ada, _) = Raw::sign_up(&server, "ada").await;
    let (bob, keys) = Raw::sign_up(&server, "bob").await;
    drop(bob);
    let mut operator = Control::connect(&server).await;
    let request = |username: &str, after, limit| ListAccountDevicesRequest { username: username.into(), after, limit };
    let first = operator.call(request("", 0, 1)).await.expect("a page");
    assert_eq!((first.devices.len(), first.devices[0].username.as_str()), (1, "ada"));
    let second = operator.call(request("", first.next, 1)).await.expect("a page");
    assert_eq!((second.devices[0].username.as_str(), second.next), ("bob", 0));
    let bobs = operator.call(request("bob", 0, 0)).await.expect("a page");
    assert_eq!((bobs.devices.len(), &bobs.devices[0].device_id[..]), (1, &keys.device[..]));
    let unknown = operator.call(request("bobb", 0, 0)).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
}

#[tokio::test]
async fn no_device_may_ask() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(ListAccountDevicesRequest::default()).await, FailureCode::Forbidden);
}
