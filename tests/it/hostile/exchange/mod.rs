//! Requests to `/v1/exchange` that no honest client makes (docs/protocol, Exchange), written to a raw TLS socket.

mod bodies;
mod crowds;
mod numbers;

use std::net::SocketAddr;

use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, SendMessageRequest, envelope, request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::client::TlsStream;

use crate::harness::{
    TestServer,
    tls::{Door, tls, tls_on},
    within,
};

/// One connection, which keeps what it has read beyond an answer.
struct Socket {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

/// An HTTP answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A number among its headers.
    fn number(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name} in {}", self.head));
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// What stands in it besides numbers.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Socket {
    async fn connect(server: &TestServer) -> Self {
        Self { stream: tls(server).await, read: Vec::new() }
    }

    /// The same, unless the server has no place for it.
    async fn connect_if(server: &TestServer) -> Option<Self> {
        Some(Self { stream: Door::of(server).connect().await.ok()?, read: Vec::new() })
    }

    /// From another address than everybody else.
    async fn from_elsewhere(server: &TestServer) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("all of 127/8 is this machine");
        let address: SocketAddr = server.address.parse().expect("an address");
        let stream = socket.connect(address).await.expect("the server listens");
        Self { stream: tls_on(server, stream).await, read: Vec::new() }
    }

    /// Whether the server's side still takes it.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next answer; `None`: the connection ended without one.
    async fn answer(&mut self) -> Option<Answer> {
        within("an answer", async {
            let end = loop {
                if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end + 4;
                }
                self.more().await?;
            };
            let head = String::from_utf8(self.read.drain(..end).collect()).expect("a head is text");
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            let mut answer = Answer { status, head, body: Vec::new() };
            let length = if status == 204 { 0 } else { answer.number("content-length") };
            let length = usize::try_from(length).expect("a length of answers");
            while self.read.len() < length {
                self.more().await?;
            }
            answer.body = self.read.drain(..length).collect();
            Some(answer)
        })
        .await
    }

    async fn more(&mut self) -> Option<()> {
        self.stream.read_buf(&mut self.read).await.ok().filter(|read| *read > 0).map(|_| ())
    }

    /// Makes a request whose body is what it says, and waits for the answer.
    async fn post(&mut self, headers: &str, body: &[u8]) -> Answer {
        self.write(&request(headers, body)).await;
        self.answer().await.expect("an answer")
    }

    /// A guest's session; the header that names it.
    async fn open(&mut self) -> String {
        let opened = self.post("", b"").await;
        assert_eq!(opened.status, 200, "{opened:?}");
        format!("sovereign-session: {}\r\n", opened.header("sovereign-session").expect("a session"))
    }
}

/// A request in order, but for what is asked for.
fn request(headers: &str, body: &[u8]) -> Vec<u8> {
    [head(&format!("{headers}content-length: {}\r\n", body.len())).as_bytes(), body].concat()
}

/// The head of a request.
fn head(headers: &str) -> String {
    format!("POST /v1/exchange HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

/// A frame in a body.
fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).expect("frames are small").to_be_bytes()[..], frame].concat()
}

/// A message as a frame.
fn sending(id: u64, send: SendMessageRequest) -> Vec<u8> {
    let body = Some(envelope::Body::Request(v1::Request { body: Some(request::Body::SendMessage(send)) }));
    Envelope { request_id: id, body }.encode_to_vec()
}
