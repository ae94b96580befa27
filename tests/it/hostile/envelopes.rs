//! Frames that are no Envelope, and Envelopes that are no request.

use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, FailureCode, ListDevicesRequest, PingRequest, envelope, request};

use crate::harness::{Raw, TestServer, scene::pair};

fn ping(id: u64) -> Vec<u8> {
    let body = Some(request::Body::Ping(PingRequest { client_time_ms: 1 }));
    Envelope { request_id: id, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec()
}

async fn failure(raw: &mut Raw) -> (u64, FailureCode) {
    let envelope = raw.any_answer().await.expect("an answer");
    let Some(envelope::Body::Failure(failure)) = envelope.body else { panic!("no failure") };
    (envelope.request_id, failure.code())
}

#[tokio::test]
async fn random_bytes_end_the_connection_and_disturb_nobody() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    for junk in [&b"\xff\xff\xff\xff"[..], b"hello", &[0x0b; 64], &[0x00, 0x01], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        let mut raw = Raw::connect(&server).await;
        raw.frame(junk.to_vec()).await;
        assert_eq!(raw.ended().await.code, Some(4007), "{junk:?}");
    }
    ada.call(PingRequest { client_time_ms: 0 }).await.expect("others notice nothing");
}

#[tokio::test]
async fn every_cut_of_a_request_is_refused_under_its_id_or_ends_the_connection() {
    let server = TestServer::start().await;
    let (_ada, keys) = Raw::sign_up(&server, "ada").await;
    let whole = ping(77);
    for cut in 1..whole.len() {
        let (mut raw, _) = Raw::sign_in(&server, &keys).await;
        raw.frame(whole[..cut].to_vec()).await;
        match raw.any_answer().await {
            Ok(envelope) => {
                assert_eq!(envelope.request_id, 77, "cut at {cut}");
                assert!(matches!(envelope.body, Some(envelope::Body::Failure(_))), "cut at {cut} was answered");
            }
            Err(ended) => assert_eq!(ended.code, Some(4007), "cut at {cut}"),
        }
    }
}

#[tokio::test]
async fn one_malformed_request_is_refused_and_the_next_ends_the_connection() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    // request_id 9, request { a length that lies }
    let lying = vec![0x08, 9, 0x12, 2, 0x0a, 9];
    ada.frame(lying.clone()).await;
    assert_eq!(failure(&mut ada).await, (9, FailureCode::InvalidArgument));
    ada.call(PingRequest { client_time_ms: 0 }).await.expect("once is forgiven");
    ada.frame(lying).await;
    assert_eq!(ada.ended().await.code, Some(4007));
}

#[tokio::test]
async fn a_newer_clients_request_is_unimplemented_however_often() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    for id in 100..110 {
        ada.frame(vec![0x08, id, 0x12, 3, 0xa2, 0x1f, 0]).await;
        assert_eq!(failure(&mut ada).await, (u64::from(id), FailureCode::Unimplemented));
    }
}

#[tokio::test]
async fn request_id_zero_is_refused() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    ada.frame(ping(0)).await;
    assert_eq!(failure(&mut ada).await, (0, FailureCode::InvalidArgument));
}

#[tokio::test]
async fn an_id_in_flight_is_refused_and_the_first_request_is_answered_all_the_same() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut frame = |text: &str| {
        let message = ada.person.member.message(&mut ada.group, text);
        let body = Some(request::Body::SendMessage(crate::harness::scene::send_request(&id, message)));
        Envelope { request_id: 500, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec()
    };
    let (first, second) = (frame("first"), frame("second"));
    ada.person.raw.frame(first).await;
    ada.person.raw.frame(second).await;
    let mut answered = 0;
    for _ in 0..2 {
        match ada.person.raw.any_answer().await.expect("an answer").body {
            Some(envelope::Body::Response(_)) => answered += 1,
            Some(envelope::Body::Failure(failure)) => assert_eq!(failure.code(), FailureCode::InvalidArgument),
            _ => panic!("neither response nor failure"),
        }
    }
    assert!(answered >= 1, "the first is answered whatever the second did");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "first");
}

#[tokio::test]
async fn requests_before_authentication_end_the_connection() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server).await;
    assert_eq!(raw.refused(ListDevicesRequest {}).await, FailureCode::Unauthenticated);
    assert_eq!(raw.ended().await.code, Some(4006));
}

#[tokio::test]
async fn masses_of_empty_submessages_are_refused_before_they_are_decoded() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let submessages = [0x2a, 0].repeat(400_000);
    let mut body = vec![0x92, 3];
    prost::encoding::encode_varint(submessages.len() as u64, &mut body);
    body.extend(submessages);
    let mut frame = vec![0x08, 9, 0x12];
    prost::encoding::encode_varint(body.len() as u64, &mut frame);
    frame.extend(body);
    ada.frame(frame).await;
    assert_eq!(failure(&mut ada).await, (9, FailureCode::InvalidArgument));
}

#[tokio::test]
async fn an_acknowledgement_of_a_guest_ends_the_connection_and_a_wild_one_moves_nothing() {
    let server = TestServer::start().await;
    let mut guest = Raw::connect(&server).await;
    guest.acknowledge(&[], 1).await;
    assert_eq!(guest.ended().await.code, Some(4006));
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    bob.person.raw.acknowledge(&id, u64::MAX).await;
    bob.person.raw.acknowledge(&[3; 32], 7).await;
    bob.person.raw.acknowledge(&[3; 5], 7).await;
    ada.person.send(&mut ada.group, "still here").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "still here");
}
