//! Frames with their length before them (u32, big-endian): what the control socket speaks.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::session::link::{Event, Incoming, Link};

const HEAD: usize = 4;
const READ_BYTES: usize = 4096;

/// Frames over a byte stream on this machine.
pub struct FramedLink<T> {
    stream: T,
    received: BytesMut,
    queued: BytesMut,
    announce: bool,
    /// The kernel knows that the other side lives; a ping is answered here.
    pinged: bool,
    end: End,
    frame_limit: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// Once all is written.
    Asked,
    Reached,
}

impl<T> FramedLink<T> {
    /// Takes a stream over.
    pub fn new(stream: T, frame_limit: usize) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
            queued: BytesMut::new(),
            announce: false,
            pinged: false,
            end: End::NotYet,
            frame_limit,
        }
    }

    fn end(&mut self, incoming: Incoming) -> Poll<Event> {
        self.end = End::Reached;
        Poll::Ready(Event::In(incoming))
    }

    /// A whole frame if one has arrived; `Err`: one above the limit was announced.
    fn take_frame(&mut self) -> Result<Option<Bytes>, ()> {
        let Some(head) = self.received.first_chunk::<HEAD>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| ())?;
        if length > self.frame_limit {
            return Err(());
        }
        if self.received.len() < HEAD + length {
            return Ok(None);
        }
        self.received.advance(HEAD);
        Ok(Some(self.received.split_to(length).freeze()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> FramedLink<T> {
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.queued.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.queued))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.queued.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Event::In(Incoming::Frame(frame))),
                Err(()) => return self.end(Incoming::TooBig),
                Ok(None) => {}
            }
            let mut chunk = [0; READ_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk)) {
                Err(_) => return self.end(Incoming::Io),
                Ok(()) if chunk.filled().is_empty() => return self.end(Incoming::Closed(None)),
                Ok(()) => self.received.extend_from_slice(chunk.filled()),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for FramedLink<T> {
    fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.end == End::Asked {
            // There is no close frame to wait for: done once all is written. After an error nobody reads it anyway.
            let _ = ready!(self.poll_write(cx));
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            return self.end(Incoming::Closed(None));
        }
        if self.end == End::Reached {
            return Poll::Pending;
        }
        if self.announce {
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => {
                    self.announce = false;
                    return Poll::Ready(Event::Flushed);
                }
                Poll::Ready(Err(_)) => return self.end(Incoming::Io),
                Poll::Pending => {}
            }
        }
        if std::mem::take(&mut self.pinged) {
            return Poll::Ready(Event::In(Incoming::Pong));
        }
        if read { self.poll_read(cx) } else { Poll::Pending }
    }

    fn feed(&mut self, frame: Bytes) {
        // The session's own bounds are far below; a frame that has no length here is not sent.
        if let Ok(length) = u32::try_from(frame.len()) {
            self.queued.put_u32(length);
            self.queued.put(frame);
            self.announce = true;
        }
    }

    fn feed_ping(&mut self) {
        self.pinged = true;
    }

    fn start_close(&mut self, _code: u16, _reason: &str) {
        self.end = End::Asked;
    }

    fn pending(&self) -> usize {
        self.queued.len()
    }

    fn set_frame_limit(&mut self, bytes: usize) {
        self.frame_limit = bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn frames_arrive_whole_whatever_the_pieces() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut link = FramedLink::new(near, 8);
        let (event, ()) = tokio::join!(poll_fn(|cx| link.poll(cx, true)), async {
            for byte in b"\0\0\0\x03abc\0\0\0\0" {
                far.write_all(&[*byte]).await.expect("it is read");
            }
        });
        assert!(matches!(event, Event::In(Incoming::Frame(frame)) if frame == "abc"));
        assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::In(Incoming::Frame(frame)) if frame.is_empty()));
        far.write_all(b"\0\0\0\x09").await.expect("there is room");
        assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::In(Incoming::TooBig)));
    }

    #[tokio::test]
    async fn closing_writes_what_was_fed_first() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut link = FramedLink::new(near, 8);
        link.feed(Bytes::from_static(b"bye"));
        link.feed_ping();
        assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::Flushed));
        assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::In(Incoming::Pong)));
        link.feed(Bytes::from_static(b"end"));
        assert_eq!(link.pending(), 7);
        link.start_close(1000, "");
        assert!(matches!(poll_fn(|cx| link.poll(cx, true)).await, Event::In(Incoming::Closed(None))));
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.expect("the link was shut down");
        assert_eq!(rest, b"\0\0\0\x03bye\0\0\0\x03end");
    }
}
