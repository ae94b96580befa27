//! `RevokeDevice`.

use data_encoding::HEXLOWER;
use sovereign_proto::{
    signed::PURPOSE_ISSUE_TOKEN,
    v1::{FailureCode, IssueTokenRequest, RevokeDeviceRequest, push},
};

use crate::harness::{Carrier, Raw, TestServer, control::Control, raw::Carry, scene};

over_both!(a_revoked_device_is_cut_off_with_its_tokens_and_asked_out_of_its_groups);

fn revoke(id: &str) -> RevokeDeviceRequest {
    RevokeDeviceRequest { id: id.to_owned() }
}

async fn a_revoked_device_is_cut_off_with_its_tokens_and_asked_out_of_its_groups(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = scene::pair(&server).await;
    let keys = bob.person.keys.clone();
    let proof = Some(keys.proof(&bob.person.raw.hello, keys.account, PURPOSE_ISSUE_TOKEN));
    let token = bob.person.raw.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;
    let id = HEXLOWER.encode(&keys.device);
    let mut operator = Control::connect(&server).await;
    let revoked = operator.call(revoke(&id[..8])).await.expect("revoked");
    assert_eq!((revoked.username.as_str(), revoked.groups, &revoked.device_id[..]), ("bob", 1, &keys.device[..]));
    assert_eq!(bob.person.raw.ended().await.code, Some(4004));

    let mut by_token = Raw::connect_with(&server, Carry::Header(&token)).await.expect("the upgrade itself works");
    assert_eq!(by_token.ended().await.code, Some(4002));
    let mut by_key = Raw::connect(&server).await;
    let request = by_key.sign_in_request(&keys);
    assert_eq!(by_key.refused(request).await, FailureCode::Unauthenticated);
    let needed = loop {
        if let push::Body::CommitNeeded(needed) = ada.person.raw.push().await {
            break needed;
        }
    };
    assert_eq!(needed.remove[0].device_id, keys.device[..]);
    let again = operator.call(revoke(&id)).await.err().expect("refused");
    assert_eq!(again.code(), FailureCode::Conflict);
}

#[tokio::test]
async fn what_is_no_id_or_nobodys_is_refused() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    for wrong in ["", "0123456", "%%%%%%%%", "0123456789abcdef0123456789abcdef0"] {
        let refused = operator.call(revoke(wrong)).await.err().expect("refused");
        assert_eq!(refused.code(), FailureCode::InvalidArgument, "{wrong}");
    }
    let mut other = keys.device;
    other[0] ^= 1;
    let unknown = operator.call(revoke(&HEXLOWER.encode(&other))).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    assert_eq!(ada.refused(revoke(&HEXLOWER.encode(&keys.device))).await, FailureCode::Forbidden);
}
