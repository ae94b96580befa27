//! The other end for tests: a server in memory, over the same WebSocket library, as scripted by each test.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sovereign_proto::{
    signed,
    v1::{self, envelope, push, request, response},
};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

use super::{
    dial::{Dial, DialError, builder},
    socket::Socket,
};

/// A server by its key.
pub(super) struct FakeServer {
    key: SigningKey,
}

impl FakeServer {
    pub(super) fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    pub(super) fn id(&self) -> [u8; 32] {
        Sha256::digest(self.key.verifying_key().as_bytes()).into()
    }

    /// A correct Hello: four requests in flight, heartbeat of 30 s.
    pub(super) fn hello(&self) -> v1::Hello {
        let (name, challenge, time) = ("fake", [3; 32], 1000);
        let signature = self.key.sign(&signed::hello(&self.id(), name, &challenge, time));
        v1::Hello {
            server_name: name.to_owned(),
            server_id: Bytes::copy_from_slice(&self.id()),
            server_key: Bytes::copy_from_slice(self.key.verifying_key().as_bytes()),
            challenge: Bytes::copy_from_slice(&challenge),
            server_time_ms: time,
            signature: Bytes::copy_from_slice(&signature.to_bytes()),
            limits: Some(v1::Limits { requests_in_flight: 4, frame: 1000, ..v1::Limits::default() }),
            heartbeat_interval_ms: 30_000,
            ..v1::Hello::default()
        }
    }
}

/// Hands out in-memory connections and gives the test their other ends.
pub(super) struct FakeDialer {
    peers: mpsc::Sender<Peer>,
    /// How many of the first attempts fail.
    pub(super) failures: u32,
}

impl FakeDialer {
    pub(super) fn new() -> (Self, mpsc::Receiver<Peer>) {
        let (peers, accepted) = mpsc::channel(16);
        (Self { peers, failures: 0 }, accepted)
    }
}

impl Dial for FakeDialer {
    type Stream = DuplexStream;

    async fn dial(&mut self) -> Result<Socket<DuplexStream>, DialError> {
        if let Some(left) = self.failures.checked_sub(1) {
            self.failures = left;
            return Err(DialError::Network("refused".to_owned()));
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let peer = Peer { stream: ServerBuilder::new().serve(far), unread: VecDeque::new() };
        self.peers.send(peer).await.map_err(|_| DialError::Network("the test is over".to_owned()))?;
        Ok(Socket::new(builder().take_over(near)))
    }

    fn heard(&mut self) {}
}

/// The server's end of one connection.
pub(super) struct Peer {
    stream: WebSocketStream<DuplexStream>,
    unread: VecDeque<v1::Envelope>,
}

impl Peer {
    pub(super) async fn send(&mut self, request_id: u64, body: envelope::Body) {
        let envelope = v1::Envelope { request_id, body: Some(body) };
        self.stream.send(Message::binary(envelope.encode_to_vec())).await.expect("the client reads");
    }

    pub(super) async fn push(&mut self, body: push::Body) {
        self.send(0, envelope::Body::Push(v1::Push { body: Some(body) })).await;
    }

    pub(super) async fn answer(&mut self, request_id: u64, body: response::Body) {
        self.send(request_id, envelope::Body::Response(v1::Response { body: Some(body) })).await;
    }

    pub(super) async fn refuse(&mut self, request_id: u64, failure: v1::Failure) {
        self.send(request_id, envelope::Body::Failure(failure)).await;
    }

    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        let code = CloseCode::try_from(code).expect("a close code");
        self.stream.send(Message::close(Some(code), reason)).await.expect("the client reads");
    }

    pub(super) async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("the client reads");
    }

    /// The next Envelope; `None` when the client has gone.
    pub(super) async fn next(&mut self) -> Option<v1::Envelope> {
        if let Some(envelope) = self.unread.pop_front() {
            return Some(envelope);
        }
        loop {
            let message = self.stream.next().await?.ok()?;
            if message.is_binary() {
                return Some(v1::Envelope::decode(Bytes::from(message.into_payload())).expect("the client speaks the protocol"));
            }
        }
    }

    /// The next request with its id.
    pub(super) async fn request(&mut self) -> (u64, request::Body) {
        let envelope = self.next().await.expect("a request");
        match envelope.body {
            Some(envelope::Body::Request(v1::Request { body: Some(body) })) => (envelope.request_id, body),
            _ => panic!("another frame than a request"),
        }
    }

    /// Whether the client stays quiet for a second (of paused time).
    pub(super) async fn is_quiet(&mut self) -> bool {
        match tokio::time::timeout(Duration::from_secs(1), self.next()).await {
            Err(_) => true,
            Ok(envelope) => {
                self.unread.extend(envelope);
                false
            }
        }
    }

    /// Says Hello, takes the sign-in, answers it and goes live. Returns the sign-in.
    pub(super) async fn sign_in(&mut self, server: &FakeServer) -> v1::SignInRequest {
        self.push(push::Body::Hello(server.hello())).await;
        let (id, request::Body::SignIn(sign_in)) = self.request().await else { panic!("a sign-in comes first") };
        self.answer(id, response::Body::SignIn(v1::SignInResponse { session: Some(v1::Session::default()) })).await;
        self.push(push::Body::Live(v1::Live {})).await;
        sign_in
    }
}
