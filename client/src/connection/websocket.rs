//! Envelopes over a WebSocket (RFC 6455): one binary frame each.

use std::{
    future::poll_fn,
    io::ErrorKind,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use prost::Message as _;
use sovereign_proto::v1;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_websockets::{CloseCode, Error, Message, WebSocketStream};

use super::socket::Incoming;

/// How long a goodbye may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Feeding never waits; bytes leave while [`WebSocket::next`] is awaited.
pub(super) struct WebSocket<S> {
    stream: WebSocketStream<S>,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The stream must not hold writes back (a flush threshold of `usize::MAX`).
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self { stream, unflushed: false }
    }

    /// Queues an encoded Envelope. On a stream that is closing it goes nowhere; reading then tells the end.
    pub(super) fn feed(&mut self, envelope: Vec<u8>) {
        self.queue(Message::binary(Bytes::from(envelope)));
    }

    /// Whether everything that was fed has left.
    pub(super) fn is_flushed(&self) -> bool {
        !self.unflushed
    }

    /// Drives writing and, if `reading`, waits for what comes in. Cancel safe.
    pub(super) async fn next(&mut self, reading: bool) -> Incoming {
        poll_fn(|cx| self.poll(cx, reading)).await
    }

    /// Says goodbye and waits a little for the answer.
    pub(super) async fn close(&mut self, code: CloseCode, reason: &str) {
        self.queue(Message::close(Some(code), reason));
        let goodbye = async {
            while !matches!(self.next(true).await, Incoming::Closed { .. } | Incoming::Broken(_) | Incoming::Malformed(_)) {}
            self.acknowledge_close().await;
        };
        // A server that does not answer the goodbye has none to lose.
        drop(timeout(CLOSE_DEADLINE, goodbye).await);
    }

    /// Sends what the library has queued in answer to a close or an error, so that the server sees a clean end.
    pub(super) async fn acknowledge_close(&mut self) {
        let rest = poll_fn(|cx| Pin::new(&mut self.stream).poll_close(cx));
        drop(timeout(CLOSE_DEADLINE, rest).await);
    }

    fn queue(&mut self, message: Message) {
        self.unflushed = true;
        // The only error is a stream that is closing already, which the next read tells.
        drop(Pin::new(&mut self.stream).start_send(message));
    }

    fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Incoming> {
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    return Poll::Ready(Incoming::Flushed);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Incoming::Broken(error.to_string())),
                Poll::Pending => {}
            }
        }
        if !reading {
            return Poll::Pending;
        }
        let message = match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(Incoming::Closed { code: 1006, reason: String::new() }),
            // A server that was killed says no goodbye, neither WebSocket's nor TLS's.
            Poll::Ready(Some(Err(Error::Io(error)))) if error.kind() == ErrorKind::UnexpectedEof => {
                return Poll::Ready(Incoming::Closed { code: 1006, reason: String::new() });
            }
            Poll::Ready(Some(Err(Error::Io(error)))) => return Poll::Ready(Incoming::Broken(error.to_string())),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Incoming::Malformed(error.to_string())),
            Poll::Ready(Some(Ok(message))) => message,
        };
        Poll::Ready(self.read(message))
    }

    fn read(&mut self, message: Message) -> Incoming {
        if let Some((code, reason)) = message.as_close() {
            return Incoming::Closed { code: code.into(), reason: reason.to_owned() };
        }
        if message.is_ping() || message.is_pong() {
            // The pong that the library queued has to leave.
            self.unflushed |= message.is_ping();
            return Incoming::Alive;
        }
        if !message.is_binary() {
            return Incoming::Malformed("a text frame".to_owned());
        }
        match v1::Envelope::decode(Bytes::from(message.into_payload())) {
            Ok(envelope) => Incoming::Envelope(Box::new(envelope)),
            Err(error) => Incoming::Malformed(error.to_string()),
        }
    }
}
