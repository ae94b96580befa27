//! `SetAccountEnabled`.

use sovereign_proto::v1::{FailureCode, SetAccountEnabledRequest};

use crate::harness::{Raw, TestServer, control::Control};

#[tokio::test]
async fn a_disabled_account_is_cut_off_and_stays_out_until_it_is_enabled() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    operator.call(SetAccountEnabledRequest { username: "ada".into(), enabled: false }).await.expect("disabled");
    assert_eq!(ada.ended().await.code, Some(4005));
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_in_request(&keys);
    assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated);
    operator.call(SetAccountEnabledRequest { username: "ada".into(), enabled: true }).await.expect("enabled");
    Raw::sign_in(&server, &keys).await;
}

#[tokio::test]
async fn no_device_may_do_it() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let request = SetAccountEnabledRequest { username: "ada".into(), enabled: false };
    assert_eq!(ada.refused(request).await, FailureCode::Forbidden);
}
