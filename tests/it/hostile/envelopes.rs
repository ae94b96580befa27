//! Frames that are no Envelope, and Envelopes that are no request.

use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, FailureCode, ListDevicesRequest, PingRequest, envelope, request};

use super::memory::{Peak, TOLERATED};
use crate::harness::{Carrier, Raw, TestServer, scene::pair};

over_both!(
    one_malformed_request_is_refused_and_the_next_ends_the_connection,
    an_id_in_flight_is_refused_and_the_first_request_is_answered_all_the_same
);

fn ping(id: u64) -> Vec<u8> {
    let body = Some(request::Body::Ping(PingRequest { client_time_ms: 1 }));
    Envelope { request_id: id, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec()
}

async fn failure(raw: &mut Raw) -> (u64, FailureCode) {
    let envelope = raw.any_answer().await.expect("an answer");
    let Some(envelope::Body::Failure(failure)) = envelope.body else { panic!("no failure") };
    (envelope.request_id, failure.code())
}

/// What has to follow a frame.
enum Then {
    /// It is refused under this id, once, and the connection goes on.
    Refused(u64, FailureCode),
    /// 4007.
    Closed,
}
use Then::{Closed, Refused};

/// `field { inner }`, the length before it.
fn within(field: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.extend(inner);
    bytes
}

/// Messages within messages, all of field 2.
fn nested(depth: usize) -> Vec<u8> {
    let mut backwards: Vec<u8> = Vec::new();
    for _ in 0..depth {
        let mut length = Vec::new();
        prost::encoding::encode_varint(backwards.len() as u64, &mut length);
        backwards.extend(length.iter().rev());
        backwards.push(0x12);
    }
    backwards.reverse();
    backwards
}

/// Every wrong form of a frame: what it is, its bytes, and what follows.
fn rows() -> Vec<(&'static str, Vec<u8>, Then)> {
    use FailureCode::{InvalidArgument, Unimplemented};
    let id = |rest: &[u8]| [&[0x08, 9][..], rest].concat();
    let masses = |field| within(field, b"").repeat(300_000);
    let username = |name: &[u8]| id(&within(2, &within(17, &within(1, name))));
    let eleven = [&[0xff; 10][..], &[1]].concat();
    vec![
        ("nothing", vec![], Closed),
        ("text", b"hello".to_vec(), Closed),
        ("a JSON object", br#"{"request_id":1}"#.to_vec(), Closed),
        ("ones", vec![0xff; 64], Closed),
        ("zeros", vec![0; 64], Closed),
        ("tag 0", vec![0x00, 1], Closed),
        ("a tag beyond 2^29", vec![0xf8, 0xff, 0xff, 0xff, 0x7f, 1], Closed),
        ("wire type 6", vec![0x0e, 1], Closed),
        ("wire type 7", vec![0x0f, 1], Closed),
        ("a group", vec![0x0b, 0x08, 1, 0x0c], Closed),
        ("the end of a group", vec![0x0c], Closed),
        ("100,000 groups in one another", vec![0x0b; 100_000], Closed),
        ("100,000 messages in one another", nested(100_000), Closed),
        ("100,000 messages in one another under an id", id(&nested(100_000)), Refused(9, InvalidArgument)),
        ("an id of 11 bytes", [&[0x08][..], &eleven].concat(), Closed),
        ("an id as a string", vec![0x0a, 1, 9], Closed),
        ("an id as eight bytes", vec![0x09, 9, 0, 0, 0, 0, 0, 0, 0], Closed),
        ("a length of 2^31", id(&[0x12, 0x80, 0x80, 0x80, 0x80, 0x08]), Refused(9, InvalidArgument)),
        (
            "a length of 2^64 - 1",
            id(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Refused(9, InvalidArgument),
        ),
        ("a length of 11 bytes", id(&[&[0x12][..], &eleven].concat()), Refused(9, InvalidArgument)),
        ("an id alone", id(b""), Refused(9, InvalidArgument)),
        ("a request without a body", id(&within(2, b"")), Refused(9, Unimplemented)),
        ("a request as a number", id(&[0x10, 1]), Refused(9, InvalidArgument)),
        ("a body as a number", id(&within(2, &[0x08, 1])), Refused(9, InvalidArgument)),
        ("two requests", id(&[within(2, &within(1, b"")), within(2, &within(1, b""))].concat()), Refused(9, InvalidArgument)),
        ("a request and a notice", id(&[within(2, &within(1, b"")), within(6, b"")].concat()), Refused(9, InvalidArgument)),
        ("a response", id(&within(3, &within(1, b""))), Refused(9, InvalidArgument)),
        ("a failure", id(&within(4, b"")), Refused(9, InvalidArgument)),
        ("a push", id(&within(5, &within(3, b""))), Refused(9, InvalidArgument)),
        ("a request without an id", within(2, &within(1, b"")), Refused(0, InvalidArgument)),
        ("masses in a request", id(&within(2, &within(50, &masses(5)))), Refused(9, InvalidArgument)),
        (
            "masses in many bodies of a request",
            id(&within(2, &within(50, &within(5, b"").repeat(500)).repeat(300))),
            Refused(9, InvalidArgument),
        ),
        (
            "masses in the first of two requests",
            id(&[within(2, &within(50, &masses(5))), within(2, &within(1, b""))].concat()),
            Refused(9, InvalidArgument),
        ),
        ("masses in a notice", id(&within(6, &within(1, &masses(1)))), Refused(9, InvalidArgument)),
        ("masses in a response", id(&within(3, &within(65, &masses(1)))), Refused(9, InvalidArgument)),
        ("masses in a push", id(&within(5, &within(2, &masses(2)))), Refused(9, InvalidArgument)),
        ("masses of unknown fields", id(&within(1000, b"").repeat(200_000)), Refused(9, InvalidArgument)),
        ("a name that is no UTF-8", username(b"ad\xffa"), Refused(9, InvalidArgument)),
        ("a name cut within a character", username(b"ad\xc3"), Refused(9, InvalidArgument)),
        ("a name with a surrogate", username(b"\xed\xa0\x80"), Refused(9, InvalidArgument)),
    ]
}

#[tokio::test]
async fn every_wrong_form_of_a_frame_is_refused_or_ends_its_connection_and_holds_no_memory() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let (_eve, eves) = Raw::sign_up(&server, "eve").await;
    let (rows, peak, mut wrong) = (rows(), Peak::of(&server), Vec::new());
    for (what, frame, then) in rows {
        let (mut eve, _) = Raw::sign_in(&server, &eves).await;
        eve.frame(frame).await;
        let answer = eve.any_answer().await;
        let told = match answer {
            Ok(Envelope { request_id, body: Some(envelope::Body::Failure(failure)) }) => Ok((request_id, failure.code())),
            Ok(_) => panic!("{what} was answered"),
            Err(ended) => Err(ended.code),
        };
        match then {
            Refused(id, code) if told == Ok((id, code)) => {
                eve.call(PingRequest { client_time_ms: 0 })
                    .await
                    .unwrap_or_else(|_| panic!("the connection goes on after {what}"));
            }
            Closed if told == Err(Some(4007)) => {}
            Refused(id, code) => wrong.push(format!("{what}: {told:?} instead of {code:?} under {id}")),
            Closed => wrong.push(format!("{what}: {told:?} instead of 4007")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("frames of wrong forms hold {} bytes at most", peak.growth());
    assert!(peak.growth() < TOLERATED, "frames of wrong forms hold {} bytes", peak.growth());
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

async fn one_malformed_request_is_refused_and_the_next_ends_the_connection(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
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

async fn an_id_in_flight_is_refused_and_the_first_request_is_answered_all_the_same(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
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
