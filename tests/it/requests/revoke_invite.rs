//! `RevokeInvite`.

use sovereign_proto::v1::{FailureCode, RevokeInviteRequest};

use crate::harness::{Raw, TestServer, control, raw::Keys};

#[tokio::test]
async fn nobody_joins_by_a_revoked_invite() {
    let server = TestServer::start().await;
    let code = server.invite_code().await;
    let mut operator = control::Control::connect(&server).await;
    for invite in operator.call(sovereign_proto::v1::ListInvitesRequest {}).await.expect("the list").invites {
        operator.call(RevokeInviteRequest { id: invite.id }).await.expect("revoked");
    }
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "ada", &code);
    assert_eq!(raw.refused(request).await, FailureCode::Forbidden);
    let unknown = operator.call(RevokeInviteRequest { id: "00000000".into() }).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    let wild = operator.call(RevokeInviteRequest { id: "%%%%%%%%".into() }).await.err().expect("refused");
    assert_eq!(wild.code(), FailureCode::InvalidArgument);
}
