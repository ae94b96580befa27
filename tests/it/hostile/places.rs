//! The places for large frames: whoever takes all of them keeps nobody from talking, and nobody's upload for ever.

use std::{iter, pin::pin};

use prost::Message as _;
use sovereign::limits::{LARGE_FRAME, LARGE_FRAMES};
use sovereign_proto::v1::{self, Envelope, PingRequest, envelope, request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    Carrier, Raw, TestServer,
    raw::Keys,
    scene::{pair, send_request},
    within,
};

/// A masked head (with the mask 0, which changes nothing) of the first fragment of a binary message.
pub fn fragment(length: usize) -> Vec<u8> {
    [&[0x02, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
}

/// Begins a large message and never ends it. It has its place once the server answers what stands behind its first part,
/// since of that it has read more than it reads without.
async fn take_place(raw: &mut Raw) {
    let begun = [fragment(2 * LARGE_FRAME), vec![7; 2 * LARGE_FRAME], vec![0x89, 0x80, 0, 0, 0, 0]].concat();
    raw.stream().write_all(&begun).await.expect("the server reads");
    let mut told = Vec::new();
    while !told.windows(2).any(|pong| pong == [0x8a, 0]) {
        let read = within("the place", raw.stream().read_buf(&mut told)).await.expect("the connection stands");
        assert!(read > 0, "the connection stands");
    }
}

/// Somebody new, without an invite.
pub async fn newcomer(server: &TestServer, name: &str) -> Raw {
    let mut raw = Raw::connect(server).await;
    let request = raw.sign_up_request(&Keys::new(), name, "");
    raw.call(request).await.unwrap_or_else(|failure| panic!("sign-up refused: {}", failure.message));
    raw.until_live().await;
    raw
}

/// A message in a frame of a megabyte: what a newer client may add to it, the server does not know.
fn upload(id: u64, send: v1::SendMessageRequest) -> Vec<u8> {
    let body = Some(envelope::Body::Request(v1::Request { body: Some(request::Body::SendMessage(send)) }));
    let mut frame = Envelope { request_id: id, body }.encode_to_vec();
    prost::encoding::encode_key(200, prost::encoding::WireType::LengthDelimited, &mut frame);
    prost::encoding::encode_varint(1_000_000, &mut frame);
    frame.extend(iter::repeat_n(7, 1_000_000));
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_every_place_for_large_frames_keeps_nobody_from_talking() {
    let server = TestServer::over(Carrier::WebSocket, &["--registration-mode", "open"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut holding = Vec::new();
    for number in 0..LARGE_FRAMES {
        holding.push(newcomer(&server, &format!("mallory{number}")).await);
    }
    // A place is held for a minute: they are taken when everybody has come.
    for raw in &mut holding {
        take_place(raw).await;
    }

    // Bob's upload waits for a place; his group goes on all the same, and so does whoever comes now.
    let frame = upload(9000, send_request(&id, bob.person.member.message(&mut bob.group, "large")));
    {
        let mut uploading = pin!(async {
            bob.person.raw.frame(frame).await;
            bob.person.raw.answer_to(9000).await
        });
        let talking = async {
            for number in 0..50 {
                ada.person.send(&mut ada.group, &format!("text {number}")).await;
            }
            let mut eve = newcomer(&server, "eve").await;
            eve.call(PingRequest { client_time_ms: 0 }).await.expect("served");
        };
        tokio::select! {
            biased;
            answer = &mut uploading => panic!("there was a place left: {:?}", answer.map(|answer| answer.request_id)),
            () = talking => {}
        }
        // One place comes back, by a goodbye here, and by its deadline otherwise.
        holding.pop();
        let answer = within("the upload", uploading).await.expect("an answer");
        assert!(matches!(answer.body, Some(envelope::Body::Response(_))), "the upload was only late");
    }
    ada.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("and nobody was cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_get_no_place_however_they_cut_their_frames() {
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    // One frame that is too large by its head, and fragments that are so together.
    let mut raw = Raw::connect(&server).await;
    let _closed = raw.stream().write_all(&fragment(2 * LARGE_FRAME)).await;
    assert_eq!(raw.ended().await.code, Some(1009));
    let mut raw = Raw::connect(&server).await;
    let small = [vec![0x02, 0xfe, 0x10, 0, 0, 0, 0, 0], vec![7; 0x1000]].concat();
    let next = [vec![0x00, 0xfe, 0x10, 0, 0, 0, 0, 0], vec![7; 0x1000]].concat();
    let _closed = raw.stream().write_all(&[small, next.repeat(32)].concat()).await;
    assert_eq!(raw.ended().await.code, Some(1009));
    // And empty ones, of which any number fits the limit of a frame: no more is read of them than of any small one.
    let mut raw = Raw::connect(&server).await;
    let empty = [vec![0x02, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(2 * LARGE_FRAME / 6)].concat();
    let _closed = raw.stream().write_all(&empty).await;
    raw.ended().await;
}
