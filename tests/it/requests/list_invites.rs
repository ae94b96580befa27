//! `ListInvites`.

use sovereign_proto::v1::{FailureCode, ListInvitesRequest};

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn operators_see_invites_and_never_their_codes() {
    let server = TestServer::start().await;
    let code = server.invite_code().await;
    let list = server.operate(&["invite", "list"]).await;
    assert!(!list.contains(&code));
    assert!(list.contains("1000"), "the uses that are left stand there: {list}");
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(ListInvitesRequest {}).await, FailureCode::Forbidden);
}
