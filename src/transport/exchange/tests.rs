//! The endpoint over a listener on loopback, with sessions that send every frame back.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::transport::accept::tests::{Listening, listening};

/// An HTTP answer, taken apart.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

async fn post(listening: &Listening, headers: &str, body: &[u8]) -> Answer {
    let mut stream = listening.tls().await;
    let head =
        format!("POST /v1/exchange HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("it is read");
    let mut bytes = Vec::new();
    // Being cut off after the answer is as good as an orderly end.
    let _ = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the head ends");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

#[tokio::test]
async fn frames_travel_both_ways_and_every_request_may_be_made_again() {
    let listening = listening().await;
    let opened = post(&listening, "", b"").await;
    assert_eq!(opened.status, 200, "{}", opened.head);
    let session = format!("sovereign-session: {}\r\n", opened.header("sovereign-session").expect("a session"));

    let asked = format!("{session}sovereign-wait: 25000\r\n");
    for _ in 0..2 {
        let echoed = post(&listening, &asked, b"\0\0\0\x02hi").await;
        assert_eq!((echoed.status, &echoed.body[..]), (200, &b"\0\0\0\x02hi"[..]));
        assert_eq!((echoed.header("sovereign-received"), echoed.header("sovereign-sent")), (Some("1"), Some("0")));
        assert_eq!(echoed.header("cache-control"), Some("no-store"));
    }
    let confirmed = post(&listening, &format!("{session}sovereign-received: 1\r\nsovereign-sent: 1\r\n"), b"").await;
    assert_eq!((confirmed.status, confirmed.body.len(), confirmed.header("sovereign-sent")), (200, 0, Some("1")));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let listening = listening().await;
    let opened = post(&listening, "", b"").await;
    let session = format!("sovereign-session: {}\r\n", opened.header("sovereign-session").expect("a session"));
    let large = vec![0; 1024 + super::BODY_SLACK + 1];
    let foreign = format!("sovereign-session: {}\r\n", "A".repeat(43));
    for (headers, body, status) in [
        (foreign, &b""[..], 410),
        ("sovereign-session: short\r\n".to_owned(), b"", 400),
        (format!("{session}sovereign-received: 7\r\n"), b"", 409),
        (format!("{session}sovereign-sent: 7\r\n"), b"", 409),
        (format!("{session}sovereign-sent: x\r\n"), b"", 400),
        (format!("{session}sovereign-sent: 0\r\nsovereign-sent: 0\r\n"), b"", 400),
        (format!("{session}{session}"), b"", 400),
        (session.clone(), b"\0\0\0\x09cut", 400),
        (format!("{session}origin: https://evil.example\r\n"), b"", 403),
        (session.clone(), &large, 413),
        ("authorization: Basic x\r\n".to_owned(), b"", 400),
    ] {
        assert_eq!(post(&listening, &headers, body).await.status, status, "{headers:?}");
    }
    assert_eq!(post(&listening, &session, b"").await.status, 200, "the session is as it was");
}

#[tokio::test]
async fn a_client_may_end_its_session() {
    let listening = listening().await;
    let opened = post(&listening, "", b"").await;
    let session = format!("sovereign-session: {}\r\n", opened.header("sovereign-session").expect("a session"));
    let goodbye = post(&listening, &format!("{session}sovereign-closed: 1000\r\nsovereign-wait: 25000\r\n"), b"").await;
    assert_eq!(goodbye.status, 200);
    // The session ends in a task of its own; until then it answers.
    while post(&listening, &session, b"").await.status == 200 {}
    assert_eq!(post(&listening, &session, b"").await.status, 410);
}

#[tokio::test]
async fn sessions_take_places_of_their_own() {
    let listening = listening().await;
    // Three connections of one address may be open; two sessions leave one for the requests that carry them.
    assert_eq!(post(&listening, "", b"").await.status, 200);
    assert_eq!(post(&listening, "", b"").await.status, 200);
    assert_eq!(post(&listening, "", b"").await.status, 503);
}
