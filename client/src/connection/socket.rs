//! Envelopes over whatever carries them: a WebSocket, or requests over HTTPS where `WebSockets` are cut.

use prost::Message as _;
use sovereign_proto::v1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{CloseCode, WebSocketStream};

use super::{exchange::Exchange, websocket::WebSocket};

/// What came in.
pub(super) enum Incoming {
    Envelope(Box<v1::Envelope>),
    /// A ping (answered already) or a pong: a sign of life.
    Alive,
    /// Everything that was fed has been handed to the network. Said once after each feed.
    Flushed,
    /// The server closed, with its code (1006: without one).
    Closed {
        code: u16,
        reason: String,
    },
    /// Neither a frame of the protocol nor an end.
    Malformed(String),
    /// The stream broke.
    Broken(String),
}

/// Feeding never waits; bytes leave while [`Socket::next`] is awaited.
pub(super) enum Socket<S> {
    WebSocket(WebSocket<S>),
    Exchange(Exchange),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Over a WebSocket that must not hold writes back (a flush threshold of `usize::MAX`).
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self::WebSocket(WebSocket::new(stream))
    }

    /// Queues an encoded Envelope. On a stream that is closing it goes nowhere; reading then tells the end.
    pub(super) fn feed(&mut self, envelope: Vec<u8>) {
        match self {
            Self::WebSocket(socket) => socket.feed(envelope),
            Self::Exchange(exchange) => exchange.feed(envelope),
        }
    }

    /// Whether everything that was fed has left.
    pub(super) fn is_flushed(&self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.is_flushed(),
            Self::Exchange(exchange) => exchange.is_flushed(),
        }
    }

    /// Drives writing and, if `reading`, waits for what comes in. Cancel safe.
    pub(super) async fn next(&mut self, reading: bool) -> Incoming {
        match self {
            Self::WebSocket(socket) => socket.next(reading).await,
            Self::Exchange(exchange) => exchange.next(reading).await,
        }
    }

    /// Says goodbye and waits a little for the answer.
    pub(super) async fn close(&mut self, code: CloseCode, reason: &str) {
        match self {
            Self::WebSocket(socket) => socket.close(code, reason).await,
            Self::Exchange(exchange) => exchange.close(code.into()).await,
        }
    }

    /// Sends what is queued in answer to a close or an error, so that the server sees a clean end.
    pub(super) async fn acknowledge_close(&mut self) {
        if let Self::WebSocket(socket) = self {
            socket.acknowledge_close().await;
        }
    }
}

/// A request as it travels.
pub(super) fn request(id: u64, body: v1::request::Body) -> Vec<u8> {
    encode(id, v1::envelope::Body::Request(v1::Request { body: Some(body) }))
}

/// A notice as it travels.
pub(super) fn notice(notice: v1::Notice) -> Vec<u8> {
    encode(0, v1::envelope::Body::Notice(notice))
}

fn encode(request_id: u64, body: v1::envelope::Body) -> Vec<u8> {
    v1::Envelope { request_id, body: Some(body) }.encode_to_vec()
}
