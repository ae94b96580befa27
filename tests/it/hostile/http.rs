//! Below and before the WebSocket: TCP, TLS and HTTP.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Raw, TestServer, raw::tls, within};

/// Sends a request's head over TLS; the answer's status line and all that follows until the end.
async fn ask(server: &TestServer, head: &str) -> String {
    let mut stream = tls(server).await;
    let _refused = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol: sovereign.v1\r\n";

#[tokio::test]
async fn upgrades_that_are_not_ours_are_refused_with_what_we_speak() {
    let server = TestServer::start().await;
    let with = |more: &str| format!("{SUBPROTOCOL}{more}");
    let rows = [
        ("no upgrade", "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "426", ""),
        ("another version", upgrade("/v1/ws", &with("")).replace("Version: 13", "Version: 8"), "426", "13"),
        ("no subprotocol", upgrade("/v1/ws", ""), "400", "sovereign.v1"),
        ("another subprotocol", upgrade("/v1/ws", "Sec-WebSocket-Protocol: chat\r\n"), "400", "sovereign.v1"),
        ("a foreign origin", upgrade("/v1/ws", &with("Origin: https://evil.example\r\n")), "403", ""),
        ("the null origin", upgrade("/v1/ws", &with("Origin: null\r\n")), "403", ""),
        ("a token in the query", upgrade("/v1/ws?token=secret", &with("")), "400", ""),
        ("an unknown path", "GET /admin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), "404", ""),
    ];
    for (what, head, status, says) in rows {
        let answer = ask(&server, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert!(answer.contains(says), "{what}: {answer}");
    }
}

#[tokio::test]
async fn health_is_told_to_anybody() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn masses_of_headers_are_refused() {
    let server = TestServer::start().await;
    let many = (0..200).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Long: {}\r\n", "y".repeat(200_000));
    for more in [many, long] {
        let answer = ask(&server, &format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(&server.address).await.expect("the server listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("the server takes it");
    let mut answer = Vec::new();
    let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn silence_and_junk_below_tls_are_closed_and_others_are_served() {
    let server = TestServer::start().await;
    let mut silent = TcpStream::connect(&server.address).await.expect("the server listens");
    let mut junk = TcpStream::connect(&server.address).await.expect("the server listens");
    let _reset = junk.write_all(&vec![0x16; 64 * 1024]).await;
    Raw::connect(&server).await;
    for stream in [&mut junk, &mut silent] {
        let mut rest = Vec::new();
        let _reset = within("the end", stream.read_to_end(&mut rest)).await;
    }
}
