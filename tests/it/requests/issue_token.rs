//! `IssueToken`, and upgrades that carry a token.

use sovereign_proto::{
    signed::PURPOSE_ISSUE_TOKEN,
    v1::{DeviceProof, FailureCode, IssueTokenRequest, SignOutRequest},
};

use crate::harness::{
    Raw, TestServer,
    raw::{Carry, Keys},
};

fn issue(token: &str, proof: Option<DeviceProof>) -> IssueTokenRequest {
    IssueTokenRequest { token: token.to_owned(), proof }
}

async fn first_token(raw: &mut Raw, keys: &Keys) -> String {
    let proof = keys.proof(&raw.hello, keys.account, PURPOSE_ISSUE_TOKEN);
    raw.call(issue("", Some(proof))).await.expect("a token").token
}

#[tokio::test]
async fn a_token_signs_in_from_a_header_and_from_the_subprotocol_list() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let token = first_token(&mut ada, &keys).await;
    for carry in [Carry::Header(&token), Carry::Subprotocol(&token)] {
        let mut raw = Raw::connect_with(&server, carry).await.expect("accepted");
        assert_eq!(raw.signed_in().await.username, "ada");
        raw.until_live().await;
    }
}

#[tokio::test]
async fn a_rotation_keeps_the_old_token_until_the_new_one_is_used_and_repeats_its_answer() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let old = first_token(&mut ada, &keys).await;
    let new = ada.call(issue(&old, None)).await.expect("rotated").token;
    assert_ne!(old, new);
    assert_eq!(ada.call(issue(&old, None)).await.expect("the answer was lost").token, new);
    let mut by_old = Raw::connect_with(&server, Carry::Header(&old)).await.expect("accepted");
    by_old.signed_in().await;
    let mut by_new = Raw::connect_with(&server, Carry::Header(&new)).await.expect("accepted");
    by_new.signed_in().await;
    let mut late = Raw::connect_with(&server, Carry::Header(&old)).await.expect("the upgrade itself works");
    assert_eq!(late.ended().await.code, Some(4002), "the old token ended with the first use of the new one");
}

#[tokio::test]
async fn replaying_a_rotated_token_revokes_the_family() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let old = first_token(&mut ada, &keys).await;
    let new = ada.call(issue(&old, None)).await.expect("rotated").token;
    let mut by_new = Raw::connect_with(&server, Carry::Header(&new)).await.expect("accepted");
    by_new.signed_in().await;
    assert_eq!(by_new.refused(issue(&old, None)).await, FailureCode::Unauthenticated);
    let mut raw = Raw::connect_with(&server, Carry::Header(&new)).await.expect("the upgrade itself works");
    assert_eq!(raw.ended().await.code, Some(4002), "the thief's and the owner's token are both dead");
}

#[tokio::test]
async fn needs_the_key_and_ends_with_the_sign_out() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(issue("", None)).await, FailureCode::Unauthenticated);
    assert_eq!(ada.refused(issue("not-a-token", None)).await, FailureCode::Unauthenticated);
    let token = first_token(&mut ada, &keys).await;
    ada.call(SignOutRequest { forget_tokens: true }).await.expect("signed out");
    let mut raw = Raw::connect_with(&server, Carry::Header(&token)).await.expect("the upgrade itself works");
    assert_eq!(raw.ended().await.code, Some(4002));
}
