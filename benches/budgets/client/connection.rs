//! One connection: envelopes out and in.

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::{HeaderValue, header};
use prost::Message as _;
use sovereign_proto::{
    Call, SUBPROTOCOL, signed,
    v1::{self, Envelope, Hello, envelope, push},
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};

use crate::harness::{
    TestServer,
    raw::{Keys, tls},
};

/// A connection after its `Hello`.
pub struct Connection {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    hello: Hello,
    next_id: u64,
}

impl Connection {
    /// Connects.
    pub async fn open(server: &TestServer) -> Self {
        let stream = tls(server).await;
        stream.get_ref().0.set_nodelay(true).expect("the socket takes options");
        let uri = "wss://localhost/v1/ws".parse().expect("a uri");
        let builder = ClientBuilder::from_uri(uri)
            .add_header(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL))
            .expect("a header that is allowed");
        let (socket, _) = builder.connect_on(stream).await.expect("the upgrade succeeds");
        let mut connection = Self { socket, hello: Hello::default(), next_id: 1 };
        match connection.next().await {
            envelope::Body::Push(v1::Push { body: Some(push::Body::Hello(hello)) }) => connection.hello = hello,
            _ => panic!("the first frame is no Hello"),
        }
        connection
    }

    /// Connects and makes an account.
    pub async fn sign_up(server: &TestServer, username: String, keys: &Keys) -> Self {
        let mut connection = Self::open(server).await;
        let request = v1::SignUpRequest {
            username,
            invite_code: String::new(),
            identity_key: Bytes::copy_from_slice(keys.identity.verifying_key().as_bytes()),
            manifest: Some(keys.genesis()),
            password: String::new(),
            proof: Some(keys.proof(&connection.hello, keys.account, signed::PURPOSE_SIGN_UP)),
        };
        connection.call(request).await;
        connection
    }

    /// Connects and authenticates by the device's key.
    pub async fn sign_in(server: &TestServer, keys: &Keys) -> Self {
        let mut connection = Self::open(server).await;
        let request = v1::SignInRequest {
            account_id: Bytes::copy_from_slice(&keys.account),
            device_id: Bytes::copy_from_slice(&keys.device),
            proof: Some(keys.proof(&connection.hello, keys.account, signed::PURPOSE_SIGN_IN)),
            incarnation: 0,
            positions: Vec::new(),
        };
        connection.call(request).await;
        connection
    }

    /// Acknowledges whatever comes until `Live`.
    pub async fn until_live(&mut self) {
        loop {
            match self.next().await {
                envelope::Body::Push(v1::Push { body: Some(push::Body::Live(_)) }) => return,
                envelope::Body::Push(v1::Push { body: Some(push::Body::Entries(entries)) }) => {
                    if let Some(last) = entries.entries.last() {
                        self.feed_acknowledgement(entries.group_id.clone(), last.seq).await;
                        self.flush().await;
                    }
                }
                _ => {}
            }
        }
    }

    /// Asks, and waits for the answer. What is pushed meanwhile is passed over.
    pub async fn call<C: Call>(&mut self, request: C) -> C::Response {
        self.feed(request).await;
        self.flush().await;
        loop {
            match self.next().await {
                envelope::Body::Response(response) => {
                    return response.body.and_then(C::from_body).expect("the answer is that of the request");
                }
                envelope::Body::Failure(failure) => panic!("{} is refused: {}", C::NAME, failure.message),
                _ => {}
            }
        }
    }

    /// Queues a request.
    pub async fn feed<C: Call>(&mut self, request: C) {
        let body = Some(envelope::Body::Request(v1::Request { body: Some(request.into_body()) }));
        let envelope = Envelope { request_id: self.next_id, body };
        self.next_id += 1;
        self.feed_envelope(&envelope).await;
    }

    /// Queues an acknowledgement.
    pub async fn feed_acknowledgement(&mut self, group_id: Bytes, seq: u64) {
        let positions = vec![v1::Position { group_id, seq }];
        let notice = v1::Notice { body: Some(v1::notice::Body::Acknowledge(v1::Acknowledge { positions })) };
        self.feed_envelope(&Envelope { request_id: 0, body: Some(envelope::Body::Notice(notice)) }).await;
    }

    /// Queues a signal.
    pub async fn feed_signal(&mut self, signal: v1::Signal) {
        let notice = v1::Notice { body: Some(v1::notice::Body::Signal(signal)) };
        self.feed_envelope(&Envelope { request_id: 0, body: Some(envelope::Body::Notice(notice)) }).await;
    }

    async fn feed_envelope(&mut self, envelope: &Envelope) {
        let frame = Message::binary(Bytes::from(envelope.encode_to_vec()));
        self.socket.feed(frame).await.expect("the server takes frames");
    }

    /// Writes what was queued.
    pub async fn flush(&mut self) {
        self.socket.flush().await.expect("the server takes frames");
    }

    /// What comes next.
    pub async fn next(&mut self) -> envelope::Body {
        loop {
            let message = self.socket.next().await.expect("the connection stands").expect("a good frame");
            if let Some(body) = opened(message) {
                return body;
            }
        }
    }

    /// What has arrived already.
    pub fn ready(&mut self) -> Option<envelope::Body> {
        loop {
            let message = self.socket.next().now_or_never()?.expect("the connection stands").expect("a good frame");
            if let Some(body) = opened(message) {
                return Some(body);
            }
        }
    }
}

fn opened(message: Message) -> Option<envelope::Body> {
    if let Some((code, reason)) = message.as_close() {
        panic!("the server closed with {}: {reason}", u16::from(code));
    }
    let envelope = message.is_binary().then(|| Envelope::decode(Bytes::from(message.into_payload())));
    envelope.map(|envelope| envelope.expect("the server sends Envelopes").body.expect("an Envelope has a body"))
}
