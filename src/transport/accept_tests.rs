//! The listener over loopback: what a raw client gets for each kind of connection.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;
use crate::{
    clock::Clock,
    transport::{
        Origins,
        echo::Echo,
        tls::{
            self,
            trusting::{Client, ClientStream},
        },
    },
};

const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: sovereign.v1\r\n\r\n";

pub(in crate::transport) struct Listening {
    address: SocketAddr,
    client: Client,
    stop: watch::Sender<bool>,
    serving: JoinHandle<bool>,
    _certificates: tempfile::TempDir,
}

/// A listener with room for four connections, three of them of one address.
pub(in crate::transport) async fn listening() -> Listening {
    listening_with(Deadlines::default()).await
}

async fn listening_with(deadlines: Deadlines) -> Listening {
    let certificates = tempfile::tempdir().expect("a scratch directory");
    let source = tls::Source::Local { directory: certificates.path().to_owned(), public_host: None };
    let now = Clock::default().now_ms();
    let tls = Tls::open(source.clone(), false, now).expect("a certificate can be made");
    let authority = tls::export_authority(&source, now).expect("it is there").expect("it is local");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (stop, shutdown) = watch::channel(false);
    let options = Options {
        connections_max: 4,
        connections_per_address_max: 3,
        frame_bytes_before_authentication: 1024,
        deadlines,
        origins: Origins::default(),
        drain: Duration::from_mins(1),
    };
    let serving = tokio::spawn(serve(listener, tls, options, Echo, shutdown));
    Listening { address, client: Client::new(&authority), stop, serving, _certificates: certificates }
}

impl Listening {
    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    pub(in crate::transport) async fn tls(&self) -> ClientStream {
        self.client.connect(self.tcp().await).await.expect("the local authority vouches for localhost")
    }

    /// Sends a request and reads all that comes back.
    async fn answer(&self, request: &str) -> String {
        let mut stream = self.tls().await;
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut answer = Vec::new();
        // Being cut off after the answer is as good as an orderly end.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

async fn head(stream: &mut ClientStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head goes on"));
    }
    String::from_utf8(head).expect("a head is text")
}

#[tokio::test]
async fn frames_pass_after_the_upgrade_and_draining_waits_for_sessions() {
    let listening = listening().await;
    let mut stream = listening.tls().await;
    // The first frame comes with the request: nothing read too far is lost.
    stream.write_all(&[UPGRADE.as_bytes(), b"\x82\x82\0\0\0\0hi"].concat()).await.expect("it is read");
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.expect("it comes back");
    assert_eq!(&echoed, b"\x82\x02hi");

    listening.stop.send_replace(true);
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.expect("sessions go on while draining");
    stream.read_exact(&mut echoed).await.expect("the close is answered");
    assert_eq!(&echoed, b"\x88\x02\x03\xe8");
    drop(stream);
    assert!(listening.serving.await.expect("no panic"), "all sessions ended");
}

#[tokio::test]
async fn requests_get_their_answers() {
    let listening = listening().await;
    let many_headers = "x-header: y\r\n".repeat(200);
    let rows = [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "200"),
        ("GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "200"),
        ("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "404"),
        ("GET /admin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "404"),
        ("GET /v1/ws HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "426"),
        (UPGRADE.replace("version: 13", "version: 8"), "426"),
        (UPGRADE.replace("sovereign.v1", "sovereign.v2"), "400"),
        (UPGRADE.replace("host:", "origin: null\r\nhost:"), "403"),
        (UPGRADE.replace("/v1/ws", "/v1/ws?token=secret"), "400"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many_headers}\r\n"), "431"),
        (format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(17 * 1024)), "431"),
        ("\0\0\0\0 nonsense\r\n\r\n".to_owned(), "400"),
    ];
    for (request, status) in rows {
        let answer = listening.answer(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} for {request:.60}: {answer:.200}");
    }
    let answer = listening.answer(&UPGRADE.replace("sovereign.v1", "sovereign.v2")).await;
    assert!(answer.contains("sovereign.v1"), "the refusal names what is spoken");
}

#[tokio::test]
async fn plain_http_is_told_and_junk_is_not() {
    let listening = listening().await;
    let mut stream = listening.tcp().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is answered in plain text");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");

    let mut stream = listening.tcp().await;
    stream.write_all(&[0; 8]).await.expect("it is read");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn an_endless_handshake_is_cut_off_after_32_kib() {
    let listening = listening().await;
    let mut stream = listening.tcp().await;
    // Records of a ClientHello that announces 60 KB, as rustls still takes them.
    let mut written = 0;
    let hello = [&[1, 0, 0xea, 0x60], [0; 1020].as_slice()].concat();
    let mut payload = hello.as_slice();
    let rest = [0; 1024];
    loop {
        let record = [&[0x16, 3, 1, 4, 0], payload].concat();
        if stream.write_all(&record).await.is_err() {
            break;
        }
        written += record.len();
        payload = &rest;
        assert!(written < 16 * 1024 * 1024, "it is never cut off");
    }
}

#[tokio::test]
async fn one_address_gets_its_share_and_places_come_back() {
    let listening = listening().await;
    let held = [listening.tls().await, listening.tls().await, listening.tls().await];
    let mut refused = listening.tcp().await;
    assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)), "the fourth is closed at once");
    drop(held);
    // The places come back when the server has seen the ends; until then it closes at once again.
    loop {
        if listening.client.connect(listening.tcp().await).await.is_ok() {
            break;
        }
    }
}

/// Where every other phase may take for ever, whatever ends is ended by the one that may not.
#[tokio::test]
async fn silence_is_closed_by_the_deadline_of_its_phase() {
    let (short, endless) = (Duration::from_millis(100), Duration::from_hours(1));
    let listening = listening_with(Deadlines { tls: short, headers: endless, http: endless }).await;
    for begun in [b"".as_slice(), b"\x16\x03\x01"] {
        let mut silent = listening.tcp().await;
        silent.write_all(begun).await.expect("it is read");
        let _ = silent.read_to_end(&mut Vec::new()).await;
    }

    let listening = listening_with(Deadlines { tls: endless, headers: short, http: endless }).await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nx: ", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = listening.tls().await;
        stream.write_all(begun.as_bytes()).await.expect("it is read");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    let listening = listening_with(Deadlines { tls: endless, headers: endless, http: short }).await;
    let mut stream = listening.tls().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await.expect("it is read");
    let _ = stream.read_to_end(&mut Vec::new()).await;
}
