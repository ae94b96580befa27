use std::{future::poll_fn, task::Waker};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

const FINAL_BINARY: u8 = 0x82;
const FINAL_TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

fn pair() -> (DuplexStream, WebSocketLink<DuplexStream>) {
    let (far, near) = tokio::io::duplex(4096);
    (far, WebSocketLink::new(near, Bytes::new(), 1024, Arc::new(Semaphore::new(1))))
}

/// A client's frame with the zero mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
        bytes.push(0x80 | length);
    } else {
        bytes.push(0xfe);
        bytes.extend(u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

async fn next(link: &mut WebSocketLink<DuplexStream>) -> Incoming {
    loop {
        if let Event::In(incoming) = poll_fn(|cx| link.poll(cx, true)).await {
            return incoming;
        }
    }
}

async fn read(far: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    far.read_exact(&mut bytes).await.expect("so much was written");
    bytes
}

#[tokio::test]
async fn frames_go_both_ways_and_flushing_is_told_once() {
    let (mut far, mut link) = pair();
    far.write_all(&frame(FINAL_BINARY, b"hello")).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Frame(payload) if payload == "hello"));
    link.feed(Bytes::from_static(b"one"));
    link.feed(Bytes::from_static(b"two"));
    assert_eq!(link.pending(), 10);
    assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::Flushed));
    assert_eq!(link.pending(), 0);
    let mut idle = Context::from_waker(Waker::noop());
    assert!(link.poll(&mut idle, true).is_pending(), "flushed is said once");
    assert_eq!(read(&mut far, 10).await, b"\x82\x03one\x82\x03two");
}

#[tokio::test]
async fn what_the_socket_refuses_is_pending() {
    let (far, mut link) = pair();
    link.feed(Bytes::from(vec![0; 10_000]));
    let mut idle = Context::from_waker(Waker::noop());
    assert!(link.poll(&mut idle, false).is_pending());
    assert_eq!(link.pending(), 10_004 - 4096);
    drop(far);
    assert!(matches!(poll_fn(|cx| link.poll(cx, false)).await, Event::In(Incoming::Io)));
}

#[tokio::test]
async fn pings_are_answered_and_told() {
    let (mut far, mut link) = pair();
    far.write_all(&frame(PING, b"p")).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Ping));
    let mut idle = Context::from_waker(Waker::noop());
    assert!(matches!(link.poll(&mut idle, true), Poll::Ready(Event::Flushed)), "the pong was taken");
    assert!(link.poll(&mut idle, true).is_pending());
    assert_eq!(read(&mut far, 3).await, b"\x8a\x01p");
}

#[tokio::test]
async fn the_close_handshake_of_the_peer_is_finished_before_it_is_told() {
    let (mut far, mut link) = pair();
    far.write_all(&frame(CLOSE, &1000u16.to_be_bytes())).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Closed(Some(1000))));
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.expect("the link was shut down");
    assert_eq!(rest, b"\x88\x02\x03\xe8");
}

#[tokio::test]
async fn our_close_waits_for_the_answer() {
    let (mut far, mut link) = pair();
    link.start_close(4009, "superseded");
    let mut idle = Context::from_waker(Waker::noop());
    assert!(link.poll(&mut idle, true).is_pending());
    assert_eq!(read(&mut far, 14).await, b"\x88\x0c\x0f\xa9superseded");
    link.feed(Bytes::from_static(b"too late"));
    far.write_all(&frame(CLOSE, &4009u16.to_be_bytes())).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Closed(Some(4009))));
}

#[tokio::test]
async fn broken_rules_are_answered_by_a_close_frame_and_the_rest_is_thrown_away() {
    let mut reserved_bits = frame(FINAL_BINARY, b"x");
    reserved_bits[0] |= 0x40;
    let mut unmasked = frame(FINAL_BINARY, b"");
    unmasked[1] &= 0x7f;
    let huge_head = [&[FINAL_BINARY, 0x80 | 127], (1u64 << 63).to_be_bytes().as_slice(), &[0; 4]].concat();
    let rows: [(&str, Vec<u8>, u16); 6] = [
        ("reserved bits", reserved_bits, 1002),
        ("unmasked", unmasked, 1002),
        ("reserved opcode", frame(0x83, b""), 1002),
        ("text that is no UTF-8", frame(FINAL_TEXT, b"\xff"), 1007),
        ("above the limit", frame(FINAL_BINARY, &[0; 1025]), 1009),
        ("2^63 bytes announced", huge_head, 1009),
    ];
    for (name, bytes, code) in rows {
        let (mut far, mut link) = pair();
        far.write_all(&bytes).await.expect("there is room");
        let told = next(&mut link).await;
        assert_eq!(matches!(told, Incoming::TooBig), code == 1009, "{name}: {told:?}");
        assert!(matches!(told, Incoming::TooBig | Incoming::Malformed), "{name}: {told:?}");
        link.start_close(code, "as the session does");
        let told = tokio::join!(next(&mut link), async {
            let head = read(&mut far, 4).await;
            assert_eq!((head[0], &head[2..]), (CLOSE, code.to_be_bytes().as_slice()), "{name}");
            // The peer is still sending when it is told.
            far.write_all(&[0; 2048]).await.expect("it is read and thrown away");
            far.shutdown().await.expect("the pipe can be shut down");
        });
        assert!(matches!(told.0, Incoming::Closed(_)), "{name}");
    }
}

#[tokio::test]
async fn fragments_that_add_up_beyond_the_limit_are_too_big() {
    let (mut far, mut link) = pair();
    far.write_all(&frame(0x02, &[0; 1000])).await.expect("there is room");
    far.write_all(&frame(0x80, &[0; 100])).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::TooBig));
    link.start_close(1009, "too big");
    far.write_all(&frame(CLOSE, &1009u16.to_be_bytes())).await.expect("there is room");
    let told = tokio::join!(next(&mut link), async {
        assert_eq!(read(&mut far, 4).await, b"\x88\x09\x03\xf1");
        far.shutdown().await.expect("the pipe can be shut down");
    });
    assert!(matches!(told.0, Incoming::Closed(Some(1009))));
}

#[tokio::test]
async fn the_limit_can_be_raised_and_text_is_told() {
    let (mut far, mut link) = pair();
    link.set_frame_limit(2048);
    far.write_all(&frame(FINAL_BINARY, &[7; 2000])).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Frame(payload) if payload.len() == 2000));
    far.write_all(&frame(FINAL_TEXT, b"hi")).await.expect("there is room");
    assert!(matches!(next(&mut link).await, Incoming::Text(text) if text == "hi"));
    drop(far);
    assert!(matches!(next(&mut link).await, Incoming::Closed(None)));
}

#[test]
fn a_future_that_passes_a_link_on_stays_small() {
    assert_eq!(size_of::<WebSocketLink<DuplexStream>>(), size_of::<usize>());
}
