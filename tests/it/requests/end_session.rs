//! `EndSession`.

use sovereign_proto::v1::{EndSessionRequest, FailureCode, ListSessionsRequest};

use crate::harness::{Raw, TestServer, control::Control};

#[tokio::test]
async fn an_ended_session_is_closed_and_its_device_may_come_back() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    let sessions = operator.call(ListSessionsRequest::default()).await.expect("a page").sessions;
    assert_eq!(ada.refused(EndSessionRequest { id: sessions[0].id }).await, FailureCode::Forbidden);
    operator.call(EndSessionRequest { id: sessions[0].id }).await.expect("ended");
    assert_eq!(ada.ended().await.code, Some(4004));
    Raw::sign_in(&server, &keys).await;
    let unknown = operator.call(EndSessionRequest { id: sessions[0].id }).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound, "a number is never given twice");
}
