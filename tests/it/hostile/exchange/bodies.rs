//! Bodies that lie, never come or never end.

use std::{future, pin::pin, time::Duration};

use futures_util::future::join_all;
use sovereign::limits::FRAME_BEFORE_AUTHENTICATION;
use sovereign_proto::v1::PingRequest;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, split};

use super::{Socket, framed, head, request};
use crate::{
    harness::{
        Carrier, TestServer,
        scene::{Person, pair},
        within,
    },
    hostile::memory::{Peak, TOLERATED},
};

/// What a guest's body may have at most (docs/protocol, Exchange).
const GUESTS: usize = FRAME_BEFORE_AUTHENTICATION + 16 * 1024;

/// In chunks of so many bytes.
fn chunked(headers: &str, chunks: usize, length: usize) -> Vec<u8> {
    let chunk = format!("{length:x}\r\n{}\r\n", "\0".repeat(length));
    format!("{}{}0\r\n\r\n", head(&format!("{headers}transfer-encoding: chunked\r\n")), chunk.repeat(chunks)).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused_at_once_and_the_session_is_as_it_was() {
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let peak = Peak::of(&server);
    let session = Socket::connect(&server).await.open().await;
    let of = |headers: &str| head(&format!("{session}{headers}")).into_bytes();
    let with = |headers: &str, body: &[u8]| request(&format!("{session}{headers}"), body);
    let smuggled = "POST /v1/exchange HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let both = format!("0\r\n\r\n{smuggled}");
    let rows = [
        ("a terabyte announced and nothing sent", of("content-length: 1099511627776\r\n"), 413),
        ("a byte more than a guest's announced", of(&format!("content-length: {}\r\n", GUESTS + 1)), 413),
        (
            "a terabyte announced, and asked whether it may come",
            of("content-length: 1099511627776\r\nexpect: 100-continue\r\n"),
            413,
        ),
        ("as much in chunks", chunked(&session, GUESTS / 1024 + 1, 1024), 413),
        ("a terabyte that opens a session", head("content-length: 1099511627776\r\n").into_bytes(), 413),
        ("a chunk of 2^68", [of("transfer-encoding: chunked\r\n"), b"fffffffffffffffff\r\n".to_vec()].concat(), 400),
        ("a chunk of no size", [of("transfer-encoding: chunked\r\n"), b"many\r\n".to_vec()].concat(), 400),
        (
            "a chunk that is longer than it says",
            [of("transfer-encoding: chunked\r\n"), b"2\r\nabcdef\r\n".to_vec()].concat(),
            400,
        ),
        ("a frame that is longer than the body", with("", &[0xff; 64]), 400),
        ("a frame cut in its length", with("", &[0, 0]), 400),
        ("a session of no form", request("sovereign-session: ../../etc/passwd\r\n", b""), 400),
        ("a session of 8 KiB", request(&format!("sovereign-session: {}\r\n", "A".repeat(8192)), b""), 400),
        ("a session of 64 KiB", request(&format!("sovereign-session: {}\r\n", "A".repeat(65_536)), b""), 431),
        ("two sessions", with(&session, b""), 400),
        ("two numbers", with("sovereign-received: 0\r\nsovereign-received: 1\r\n", b""), 400),
        ("a negative number", with("sovereign-sent: -1\r\n", b""), 400),
        ("a number of 2^64", with("sovereign-sent: 18446744073709551616\r\n", b""), 400),
        ("a wait without end", with("sovereign-wait: 99999999999999999999999\r\n", b""), 400),
        ("more than was ever sent confirmed", with("sovereign-received: 18446744073709551615\r\n", b""), 409),
        ("frames behind all others", with("sovereign-sent: 18446744073709551615\r\n", &framed(b"x")), 409),
        ("a hundred headers more", of(&"x-more: y\r\n".repeat(101)), 431),
        ("another method", head(&format!("{session}content-length: 0\r\n")).replacen("POST", "PUT", 1).into_bytes(), 405),
        (
            "a length, and chunks with a request behind them",
            [of("content-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n"), both.into_bytes()].concat(),
            0,
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bytes, status) in rows {
        let mut socket = Socket::connect(&server).await;
        socket.write(&bytes).await;
        let answer = socket.answer().await;
        let told = answer.as_ref().map_or(0, |answer| answer.status);
        if status == 0 {
            // One of the two lengths counts, or neither; what stands behind is no request of its own.
            assert!(socket.answer().await.is_none(), "{what}: answered twice");
        } else if told != status && (status, told) != (431, 0) {
            // Masses of headers are not read, and a reset may overtake the answer.
            wrong.push(format!("{what}: {told} instead of {status}: {}", answer.map(|answer| answer.text()).unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let asked = Socket::connect(&server).await.post(&session, b"").await;
    assert_eq!((asked.status, asked.number("sovereign-received")), (200, 0), "the session is as it was");
    assert!(peak.growth() < TOLERATED, "what cannot be meant holds {} bytes", peak.growth());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_without_end_end_at_the_limit_of_a_frame() {
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let mut mallory = Person::new(&server, "mallory").await;
    let frame = mallory.raw.hello.limits.as_ref().expect("announced").frame as usize;
    let session = mallory.raw.exchange().place();
    let peak = Peak::of(&server);
    let mut floods = Vec::new();
    for _ in 0..4 {
        let mut socket = Socket::connect(&server).await;
        let session = session.clone();
        floods.push(tokio::spawn(async move {
            socket.write(head(&format!("{session}transfer-encoding: chunked\r\n")).as_bytes()).await;
            let chunk = [&b"10000\r\n"[..], &vec![7; 0x10000][..], &b"\r\n"[..]].concat();
            let (mut reader, mut writer) = split(socket.stream);
            let flooding = async {
                let mut sent = 0_usize;
                while writer.write_all(&chunk).await.is_ok() {
                    sent += chunk.len();
                }
                sent
            };
            let mut answer = Vec::new();
            let (sent, _reset) = tokio::join!(flooding, reader.read_to_end(&mut answer));
            (sent, String::from_utf8_lossy(&answer).into_owned())
        }));
    }
    for flood in floods {
        let (sent, answer) = within("the end of a flood", flood).await.expect("nobody panics");
        // A reset may overtake the answer.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
        // What the kernels keep on the way is more than the server reads.
        assert!(sent < frame + (16 << 20), "{sent} bytes went out before the server cut the flood off");
    }
    assert!(peak.growth() < TOLERATED, "bodies without end hold {} bytes", peak.growth());
    mallory.raw.call(PingRequest { client_time_ms: 0 }).await.expect("nothing was taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_come_are_given_up_and_nobody_waits_for_them() {
    // The neighbours talk as fast as they can.
    let server = TestServer::over(Carrier::Exchange, &["--messages-per-second-max", "1000000"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut mallory = Person::new(&server, "mallory").await;
    let session = mallory.raw.exchange().place();
    let of = |headers: &str, body: &[u8]| [head(&format!("{session}{headers}")).as_bytes(), body].concat();
    // What is sent at once; whatever follows comes a byte at a time.
    let rows = [
        ("nothing of a thousand bytes", of("content-length: 1000\r\n", b""), 0),
        ("a byte now and then", of("content-length: 5000\r\n", b""), 5000),
        ("a large body that stops in its place", of("content-length: 1000000\r\n", &vec![7; 200_000]), 0),
        ("a large body a byte at a time", of("content-length: 1000000\r\n", &vec![7; 200_000]), 5000),
        ("a chunk that never comes", of("transfer-encoding: chunked\r\n", b"ffff\r\n"), 0),
        ("a chunk a byte at a time", of("transfer-encoding: chunked\r\n", b"ffff\r\n"), 5000),
        ("what waits for a word and does not come then", of("content-length: 1000\r\nexpect: 100-continue\r\n", b""), 0),
    ];
    let peak = Peak::of(&server);
    let attacks = rows.into_iter().cycle().take(28).map(async |(what, bytes, dripped)| {
        let mut socket = Socket::connect(&server).await;
        socket.write(&bytes).await;
        let Socket { stream, read } = socket;
        let (reader, mut writer) = split(stream);
        let drip = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            for _ in 0..dripped {
                ticks.tick().await;
                if writer.write_all(b"\0").await.is_err() {
                    break;
                }
            }
            future::pending::<()>().await;
        };
        let status = tokio::select! {
            status = status(reader, read) => status,
            () = drip => None,
        };
        (what, status)
    });
    let mut attacks = pin!(join_all(attacks));
    let mut talked = 0;
    // The neighbours talk until the last of them is given up.
    let told = loop {
        let text = format!("text {talked}");
        let talk = async {
            ada.person.send(&mut ada.group, &text).await;
            assert_eq!(bob.person.next_text(&mut bob.group).await, text);
        };
        let mut talk = pin!(talk);
        let told = tokio::select! {
            told = &mut attacks => Some(told),
            () = &mut talk => None,
        };
        if let Some(told) = told {
            talk.await;
            break told;
        }
        talked += 1;
    };
    for (what, status) in told {
        assert_eq!(status, Some(408), "{what}");
    }
    println!("{talked} messages went between neighbours meanwhile");
    assert!(talked > 10, "the neighbours were served meanwhile: {talked} messages");
    assert!(peak.growth() < TOLERATED, "bodies that do not come hold {} bytes", peak.growth());
    mallory.raw.call(PingRequest { client_time_ms: 0 }).await.expect("the session is as it was");
}

/// The status of the answer that is final.
async fn status(mut reader: impl AsyncRead + Unpin, mut read: Vec<u8>) -> Option<u16> {
    within("an answer", async {
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            let last = text.split("HTTP/1.1 ").filter_map(|rest| rest.get(..3)?.parse().ok()).find(|status| *status != 100);
            if last.is_some() {
                return last;
            }
            if reader.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
    })
    .await
}
