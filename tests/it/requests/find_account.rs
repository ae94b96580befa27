//! `FindAccount`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, FindAccountRequest, find_account_request::By};

use crate::harness::{Raw, TestServer};

fn find(by: By) -> FindAccountRequest {
    FindAccountRequest { by: Some(by) }
}

#[tokio::test]
async fn finds_by_exact_name_and_by_id_and_nothing_else() {
    let server = TestServer::start().await;
    let (_bob, keys) = Raw::sign_up(&server, "bob").await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let by_name = ada.call(find(By::Username("Bob".into()))).await.expect("found");
    let by_id = ada.call(find(By::AccountId(Bytes::copy_from_slice(&keys.account)))).await.expect("found");
    assert_eq!(by_name.account_id, by_id.account_id);
    assert_eq!(by_id.identity_key, keys.identity.verifying_key().as_bytes().as_slice());
    for name in ["bo", "bob2", "b_b", "b%b"] {
        let code = ada.refused(find(By::Username(name.into()))).await;
        assert!(matches!(code, FailureCode::NotFound | FailureCode::InvalidArgument), "{name}: {code:?}");
    }
    assert_eq!(ada.refused(find(By::AccountId(Bytes::from_static(&[9; 16])))).await, FailureCode::NotFound);
    assert_eq!(ada.refused(FindAccountRequest { by: None }).await, FailureCode::InvalidArgument);
}
