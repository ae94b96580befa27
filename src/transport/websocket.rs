//! A WebSocket under a session (RFC 6455, server side, no extensions).
//!
//! Everything fed is written by as few writes as the socket takes. A connection that is ended keeps being driven until
//! the close handshake is finished, so that the peer reads why.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Semaphore,
};
use tokio_websockets::{CloseCode, Config, Error, Limits, Message, ServerBuilder, WebSocketStream};

use super::counted::Counted;
use crate::{
    limits::LARGE_FRAME,
    session::link::{Event, Incoming, Link},
};

/// Payloads above this are kept until the next read. The codec gives payloads out of its own buffer and takes that
/// buffer back if it can; held back this long, a large one is not, and the connection goes on with a small buffer.
const LARGE_PAYLOAD: usize = 16 * 1024;

/// Bytes before the payload of a control frame of a client (RFC 6455, section 5.2).
const MASKED_HEAD: usize = 6;

/// Longest reason of a close frame in bytes (RFC 6455, section 5.5).
const CLOSE_REASON_MAX: usize = 123;

/// Frames over an upgraded connection. A pointer: futures that pass it on keep a copy of what they pass, and the state
/// behind it is large.
pub struct WebSocketLink<T>(Box<Inner<T>>);

struct Inner<T> {
    socket: WebSocketStream<Counted<T>>,
    /// Bytes queued since the connection began, frame heads included.
    queued: u64,
    /// Something may wait to be written.
    unflushed: bool,
    /// The session is to be told when all is written.
    announce: bool,
    large: Option<Bytes>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    /// The peer broke the rules; what it sends is thrown away until the close handshake is over.
    Refused,
    /// The close handshake is over; its last frame is to be written.
    Leaving {
        code: Option<u16>,
        linger: bool,
    },
    /// All is written; what still arrives is thrown away, so that the peer's kernel keeps our close frame.
    Lingering {
        code: Option<u16>,
    },
    Over,
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocketLink<T> {
    /// Takes over a connection after its upgrade; `first` is what was read behind the request already.
    /// What is large takes one of `large_frames` while it comes in.
    pub fn new(stream: T, first: Bytes, frame_limit: usize, large_frames: Arc<Semaphore>) -> Self {
        let limits = Limits::default().max_payload_len(Some(frame_limit));
        let config = Config::default().frame_size(usize::MAX);
        let socket = ServerBuilder::new().limits(limits).config(config).serve(Counted::new(stream, first, large_frames));
        let inner = Inner { socket, queued: 0, unflushed: false, announce: false, large: None, state: State::Open };
        Self(Box::new(inner))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Inner<T> {
    fn queue(&mut self, message: Message) {
        let length = message.as_payload().len();
        // A socket that is closing takes nothing more, which is what whoever feeds it wants.
        if Pin::new(&mut self.socket).start_send(message).is_ok() {
            self.note_queued(length);
        }
    }

    fn note_queued(&mut self, payload: usize) {
        let head = match payload {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        self.queued += payload as u64 + head;
        self.unflushed = true;
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        loop {
            match self.state {
                State::Open | State::Refused => {
                    let next = ready!(Pin::new(&mut self.socket).poll_next(cx));
                    self.large = None;
                    match &next {
                        // Between the fragments of a message they end none of it.
                        Some(Ok(message)) if message.is_ping() || message.is_pong() => {
                            let bytes = MASKED_HEAD + message.as_payload().len();
                            self.socket.get_mut().passed(bytes);
                        }
                        Some(Ok(_)) => self.socket.get_mut().framed(),
                        _ => {}
                    }
                    if let Some(incoming) = self.next(next) {
                        return Poll::Ready(incoming);
                    }
                }
                State::Leaving { code, linger } => {
                    // An error here means that nobody is left to read the close frame.
                    let _ = ready!(Pin::new(&mut self.socket).poll_flush(cx));
                    let _ = ready!(Pin::new(self.socket.get_mut()).poll_shutdown(cx));
                    self.state = if linger { State::Lingering { code } } else { State::Over };
                    if !linger {
                        return Poll::Ready(Incoming::Closed(code));
                    }
                }
                State::Lingering { code } => {
                    let mut waste = [0; 4096];
                    let mut waste = ReadBuf::new(&mut waste);
                    let read = ready!(Pin::new(self.socket.get_mut()).poll_read(cx, &mut waste));
                    if read.is_err() || waste.filled().is_empty() {
                        self.state = State::Over;
                        return Poll::Ready(Incoming::Closed(code));
                    }
                }
                State::Over => return Poll::Pending,
            }
        }
    }

    /// What came, as the session sees it; `None`: nothing it has to know.
    fn next(&mut self, next: Option<Result<Message, Error>>) -> Option<Incoming> {
        let refused = matches!(self.state, State::Refused);
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(Error::PayloadTooLong { .. })) => return self.refuse(refused, Incoming::TooBig),
            Some(Err(Error::Io(_))) => {
                self.state = State::Over;
                return Some(Incoming::Io);
            }
            Some(Err(_)) => return self.refuse(refused, Incoming::Malformed),
            None => {
                self.state = State::Leaving { code: None, linger: refused };
                return None;
            }
        };
        if let Some((code, _)) = message.as_close() {
            let code = Some(u16::from(code)).filter(|code| *code != u16::from(CloseCode::NO_STATUS_RECEIVED));
            self.state = State::Leaving { code, linger: refused };
            return None;
        }
        if message.is_ping() {
            // The codec has queued the pong.
            self.note_queued(message.as_payload().len());
            self.announce = true;
        }
        let incoming = if message.is_binary() {
            let payload: Bytes = message.into_payload().into();
            if payload.len() > LARGE_PAYLOAD {
                self.large = Some(payload.clone());
            }
            Incoming::Frame(payload)
        } else if message.is_ping() {
            Incoming::Ping
        } else if message.is_pong() {
            Incoming::Pong
        } else {
            Incoming::Text(message.into_payload().into())
        };
        (!refused).then_some(incoming)
    }

    /// The codec has queued the close frame, or the session does once it is told.
    fn refuse(&mut self, refused_before: bool, why: Incoming) -> Option<Incoming> {
        self.state = State::Refused;
        self.unflushed = true;
        (!refused_before).then_some(why)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for WebSocketLink<T> {
    fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        let this = &mut *self.0;
        if this.unflushed && !matches!(this.state, State::Over) {
            match Pin::new(&mut this.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    this.unflushed = false;
                    this.queued = this.socket.get_ref().written();
                    if std::mem::take(&mut this.announce) {
                        return Poll::Ready(Event::Flushed);
                    }
                }
                Poll::Ready(Err(_)) => {
                    this.state = State::Over;
                    return Poll::Ready(Event::In(Incoming::Io));
                }
                Poll::Pending => {}
            }
        }
        if read { this.poll_incoming(cx).map(Event::In) } else { Poll::Pending }
    }

    fn feed(&mut self, frame: Bytes) {
        self.0.announce = true;
        self.0.queue(Message::binary(frame));
    }

    fn feed_ping(&mut self) {
        self.0.queue(Message::ping(Bytes::new()));
    }

    fn start_close(&mut self, code: u16, reason: &str) {
        let code = CloseCode::try_from(code).ok().filter(|code| !code.is_reserved());
        self.0.queue(Message::close(code, &reason[..reason.floor_char_boundary(CLOSE_REASON_MAX)]));
    }

    fn pending(&self) -> usize {
        usize::try_from(self.0.queued.saturating_sub(self.0.socket.get_ref().written())).unwrap_or(usize::MAX)
    }

    fn set_frame_limit(&mut self, bytes: usize) {
        self.0.socket.limits_mut().set_max_payload_len(Some(bytes));
        if bytes > LARGE_FRAME {
            self.0.socket.get_mut().take_large();
        }
    }
}

#[cfg(all(test, feature = "conformance"))]
#[path = "autobahn.rs"]
mod autobahn;
#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
