//! `IssueTicket`, and upgrades that carry a ticket.

use sovereign_proto::v1::IssueTicketRequest;

use crate::harness::{Raw, TestServer, raw::Carry};

#[tokio::test]
async fn a_ticket_signs_in_once() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let ticket = ada.call(IssueTicketRequest {}).await.expect("a ticket").ticket;
    let mut first = Raw::connect_with(&server, Carry::Ticket(&ticket)).await.expect("accepted");
    assert_eq!(first.signed_in().await.username, "ada");
    let mut second = Raw::connect_with(&server, Carry::Ticket(&ticket)).await.expect("the upgrade itself works");
    assert_eq!(second.ended().await.code, Some(4002));
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_and_not_logged() {
    let server = TestServer::start_with(&["--log-level", "trace"]).await;
    let status = Raw::connect_with(&server, Carry::Query("token", "canary-in-the-query")).await.err();
    assert_eq!(status, Some(400));
    assert!(!server.log().contains("canary-in-the-query"));
}
