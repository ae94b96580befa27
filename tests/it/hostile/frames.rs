//! WebSocket frames that are none, too large, or of the wrong kind.

use bytes::Bytes;
use sovereign_proto::v1::PingRequest;
use tokio::io::AsyncWriteExt as _;
use tokio_websockets::Message;

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn text_is_not_spoken() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server).await;
    raw.message(Message::text("hello")).await;
    assert_eq!(raw.ended().await.code, Some(1003));
}

#[tokio::test]
async fn a_frame_above_the_limit_is_refused_and_the_limit_is_smaller_for_guests() {
    let server = TestServer::start().await;
    let mut guest = Raw::connect(&server).await;
    let limit = guest.hello.limits.as_ref().expect("the limits are announced").frame_before_authentication as usize;
    guest.frame(vec![0; limit + 1]).await;
    assert_eq!(guest.ended().await.code, Some(1009));
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let limit = ada.hello.limits.as_ref().expect("the limits are announced").frame as usize;
    ada.frame(vec![0; limit + 1]).await;
    assert_eq!(ada.ended().await.code, Some(1009));
}

#[tokio::test]
async fn bare_headers_that_claim_the_world_and_broken_frames_are_refused_at_once() {
    let server = TestServer::start().await;
    let rows: [(&str, &[u8], u16); 7] = [
        ("1 GiB claimed", &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4], 1009),
        ("2^63 claimed", &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
        ("unmasked", &[0x82, 0x01, 0x00], 1002),
        ("reserved bit", &[0xc2, 0x81, 1, 2, 3, 4, 0], 1002),
        ("reserved opcode", &[0x83, 0x81, 1, 2, 3, 4, 0], 1002),
        ("fragmented ping", &[0x09, 0x80, 1, 2, 3, 4], 1002),
        ("long ping", &[0x89, 0xfe, 0, 126, 1, 2, 3, 4], 1002),
    ];
    for (what, bytes, code) in rows {
        let mut raw = Raw::connect(&server).await;
        raw.bytes(bytes).await;
        assert_eq!(raw.ended().await.code, Some(code), "{what}");
    }
}

#[tokio::test]
async fn fragments_that_add_up_beyond_the_limit_are_refused() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(&server).await;
    let fragment = |first: bool| {
        let mut frame = vec![if first { 0x02 } else { 0x00 }, 0xfe, 0x20, 0x00, 0, 0, 0, 0];
        frame.extend([0; 0x2000]);
        frame
    };
    for index in 0..3 {
        raw.bytes(&fragment(index == 0)).await;
    }
    assert_eq!(raw.ended().await.code, Some(1009));
}

#[tokio::test]
async fn a_flood_of_pings_is_abuse() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    for _ in 0..1000 {
        ada.message(Message::ping(Bytes::new())).await;
    }
    assert_eq!(ada.ended().await.code, Some(4008));
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    ada.message(Message::close(None, "")).await;
    ada.ended().await;
    let (mut bob, _) = Raw::sign_up(&server, "bob").await;
    bob.call(PingRequest { client_time_ms: 0 }).await.expect("others notice nothing");
}

impl Raw {
    /// Bytes below the framing.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let stream = self.stream();
        let _closed = stream.write_all(bytes).await;
        let _closed = stream.flush().await;
    }
}
