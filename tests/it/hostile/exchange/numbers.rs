//! Numbers replayed and turned round, sessions guessed, and answers that nobody reads.

use futures_util::future::join_all;
use sovereign::entropy;
use sovereign_proto::v1::PingRequest;

use super::{Socket, framed, request, sending};
use crate::{
    harness::{
        Carrier, Raw, TestServer,
        scene::{Seat, pair, send_request},
    },
    hostile::memory::{Peak, TOLERATED},
};

/// The message as a frame in a body.
fn message(seat: &mut Seat, id: u64, text: &str) -> Vec<u8> {
    let group = seat.group.group_id().to_vec();
    framed(&sending(id, send_request(&group, seat.person.member.message(&mut seat.group, text))))
}

/// The seat's session, with other numbers of its own frames.
fn from(session: &str, received: u64, sent: u64) -> String {
    format!("{session}sovereign-received: {received}\r\nsovereign-sent: {sent}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_replayed_and_turned_round_say_everything_once_and_in_order() {
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (session, received, sent) = ada.person.raw.exchange().numbers();
    let frames: Vec<Vec<u8>> = (0..6).map(|number| message(&mut ada, 7000 + number, &format!("text {number}"))).collect();

    // Behind a frame that has not come there is no place for one.
    let mut socket = Socket::connect(&server).await;
    let early = socket.post(&from(&session, received, sent + 1), &frames[1]).await;
    assert_eq!(early.status, 409, "{}", early.text());

    // Every part of the stream, from every place on, sixteen times and all at once; those that come too early ask again.
    let parts = (0..16).flat_map(|_| (0..6_usize).rev()).map(|first| {
        let (session, server, frames) = (&session, &server, &frames);
        async move {
            let mut socket = Socket::connect(server).await;
            loop {
                let body = frames[first..].concat();
                let answer = socket.post(&from(session, received, sent + first as u64), &body).await;
                match answer.status {
                    200 => return answer.number("sovereign-received"),
                    409 => tokio::task::yield_now().await,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
        }
    });
    let taken = join_all(parts).await;
    assert!(taken.iter().all(|taken| *taken == sent + 6), "{taken:?}");
    let (mut told, id) = (Vec::new(), bob.group.group_id().to_vec());
    while told.len() < 6 {
        let entries = bob.person.raw.entries(&id).await;
        told.extend(entries.iter().filter_map(|entry| bob.person.member.apply(&mut bob.group, entry)));
    }
    let wanted: Vec<String> = (0..6).map(|number| format!("text {number}")).collect();
    assert_eq!(told, wanted, "each once, in the order of their numbers");
    // What was confirmed is not told again, and what was not is.
    let again = socket.post(&from(&session, received, sent + 6), b"").await;
    let told = again.number("sovereign-sent");
    assert_eq!((again.status, told), (200, received), "the answers were never confirmed");
    ada.person.raw = Raw::sign_in(&server, &ada.person.keys).await.0;
    ada.person.send(&mut ada.group, "after").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "after", "and nothing twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_session_is_not_guessed() {
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (session, received, sent) = ada.person.raw.exchange().numbers();
    let id = session.trim_end().rsplit(' ').next().expect("an id").to_owned();
    let mut socket = Socket::connect(&server).await;
    let unknown = |id: String| format!("sovereign-session: {id}\r\nsovereign-received: {received}\r\nsovereign-sent: {sent}\r\n");
    let changed = |at: usize| {
        let mut bytes = id.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("ASCII")
    };
    let body = message(&mut ada, 7000, "forged");
    let mut words = Vec::new();
    for guess in
        (0..200).map(|_| data_encoding::BASE64URL_NOPAD.encode(&entropy::random::<32>())).chain([changed(0), changed(20)])
    {
        let answer = socket.post(&unknown(guess), &body).await;
        assert_eq!(answer.status, 410);
        words.push(answer.text());
    }
    words.dedup();
    assert_eq!(words.len(), 1, "a near guess is told no more than a far one: {words:?}");
    for (what, guess) in [("shorter", id[..42].to_owned()), ("longer", format!("{id}A")), ("none", String::new())] {
        assert_eq!(socket.post(&unknown(guess), &body).await.status, 400, "{what}");
    }
    ada.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("her session goes on");
    ada.person.send(&mut ada.group, "genuine").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "genuine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_hold_one_each_however_many_were_asked_for() {
    const CONNECTIONS: usize = 24;
    const PIPELINED: usize = 50;
    const ANSWER: usize = 512 * 1024;
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let (mut ada, bob) = pair(&server).await;
    let text = "x".repeat(60_000);
    for _ in 0..30 {
        ada.person.send(&mut ada.group, &text).await;
    }
    // Bob's session has more to tell than an answer takes, and he confirms nothing.
    let mut bobs = bob.person.raw;
    let session = bobs.exchange().place();
    let peak = Peak::of(&server);
    let mut deaf = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut socket = Socket::connect(&server).await;
        socket.write(&request(&session, b"").repeat(PIPELINED)).await;
        deaf.push(socket);
    }
    // Time enough for all of them to be answered as far as somebody takes it.
    for number in 0..100 {
        ada.person.send(&mut ada.group, &format!("{number}")).await;
    }
    let growth = peak.growth();
    println!("{} answers that nobody reads hold {growth} bytes", CONNECTIONS * PIPELINED);
    assert!(growth < TOLERATED + CONNECTIONS * ANSWER, "{} answers hold {growth} bytes", CONNECTIONS * PIPELINED);
    // Whoever reads after all gets all of them, in order and of the same numbers.
    let mut socket = deaf.pop().expect("a connection");
    for _ in 0..PIPELINED {
        let answer = socket.answer().await.expect("every request is answered");
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() <= ANSWER + 4096, "an answer of {} bytes", answer.body.len());
    }
    drop(deaf);
    bobs.call(PingRequest { client_time_ms: 0 }).await.expect("and the session goes on");
}
