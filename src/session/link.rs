//! What a session needs of the transport below it: a WebSocket, an exchange session, or the control socket.

use std::task::{Context, Poll};

use bytes::Bytes;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A binary frame.
    Frame(Bytes),
    /// A text frame.
    Text(Bytes),
    /// A ping; its pong is on the way already.
    Ping,
    /// A pong.
    Pong,
    /// The peer has closed, or has answered our close; nothing follows.
    Closed(Option<u16>),
    /// A frame above the limit was announced; nothing of it is kept.
    TooBig,
    /// Not the framing that this transport speaks.
    Malformed,
    /// The connection is gone.
    Io,
}

/// What [`Link::poll`] was ready for.
#[derive(Debug)]
pub enum Event {
    /// Something came in.
    In(Incoming),
    /// All that was fed has been taken by the socket.
    Flushed,
}

/// Frames over some connection. Nothing is decided here.
pub trait Link: Send + Unpin + 'static {
    /// Drives writing what was fed, and reading where `read` is set. `Flushed` comes once after each time something
    /// was fed or a ping came; after `Closed`, `TooBig`, `Malformed` or `Io` nothing more is read.
    fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event>;
    /// Queues a binary frame.
    fn feed(&mut self, frame: Bytes);
    /// Queues a ping.
    fn feed_ping(&mut self);
    /// Queues the close frame; whoever calls it keeps polling until `Closed` or a deadline.
    fn start_close(&mut self, code: u16, reason: &str);
    /// Bytes fed and not taken by the socket.
    fn pending(&self) -> usize;
    /// Bytes of frames that have come whole and were not handed over yet.
    fn unread(&self) -> usize {
        0
    }
    /// The largest frame from now on, in bytes.
    fn set_frame_limit(&mut self, bytes: usize);
}
