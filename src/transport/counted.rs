//! Byte streams that know how much went through them.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use crate::limits::{LARGE_FRAME, LARGE_FRAME_DEADLINE};

/// A stream that counts what it took to write, and gives `first` (what was read too far before) before what it reads. Of a
/// frame it reads no more than [`LARGE_FRAME`] bytes before it has one of the places for large ones; whoever may send none
/// fails there, and whoever takes a place fails unless the frame ends in time.
pub(super) struct Counted<T> {
    stream: T,
    first: Bytes,
    written: u64,
    /// Bytes read of the frame that has not come to its end.
    of_frame: usize,
    places: Arc<Semaphore>,
    waiting: Option<Waiting>,
    place: Option<Place>,
    /// Large frames are taken.
    large: bool,
}

/// A place, and the end of the time it is held for.
struct Place {
    _permit: OwnedSemaphorePermit,
    until: Pin<Box<Sleep>>,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl<T> Counted<T> {
    pub(super) fn new(stream: T, first: Bytes, places: Arc<Semaphore>) -> Self {
        Self { stream, first, written: 0, of_frame: 0, places, waiting: None, place: None, large: false }
    }

    /// A frame has come to its end.
    pub(super) fn framed(&mut self) {
        (self.of_frame, self.waiting, self.place) = (0, None, None);
    }

    /// A control frame of so many bytes has come, perhaps between the fragments of a message: it is no part of that.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.of_frame = self.of_frame.saturating_sub(bytes);
    }

    /// From now on large frames are taken.
    pub(super) fn take_large(&mut self) {
        self.large = true;
    }

    /// Ready once as much may be read as there is.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.of_frame < LARGE_FRAME {
            return Poll::Ready(Ok(()));
        }
        if !self.large {
            return Poll::Ready(Err(io::ErrorKind::PermissionDenied.into()));
        }
        if let Some(place) = &mut self.place {
            let late = place.until.as_mut().poll(cx).is_ready();
            return Poll::Ready(if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) });
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(Arc::clone(&self.places).acquire_owned()));
        // The semaphore is never closed.
        let permit = ready!(waiting.as_mut().poll(cx)).ok();
        self.place = permit.map(|permit| Place { _permit: permit, until: Box::pin(sleep(LARGE_FRAME_DEADLINE)) });
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    /// Bytes the stream has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            ready!(self.poll_place(cx))?;
            let before = buffer.filled().len();
            let room = if self.place.is_some() { usize::MAX } else { LARGE_FRAME - self.of_frame };
            let read = if buffer.remaining() > room {
                // What is there already may be more than may be read without a place.
                let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
                let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
                let length = part.filled().len();
                buffer.advance(length);
                read
            } else {
                Pin::new(&mut self.stream).poll_read(cx, buffer)
            };
            self.of_frame += buffer.filled().len() - before;
            return read;
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<T> Counted<T> {
    fn count(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(length)) = &result {
            self.written += *length as u64;
        }
        result
    }
}

/// A stream that fails once more was read than allowed, until the limit is lifted.
pub(super) struct Limited<T> {
    stream: T,
    /// Bytes that may still be read; `None`: no limit.
    allowance: Option<usize>,
}

impl<T> Limited<T> {
    pub(super) fn new(stream: T, allowance: usize) -> Self {
        Self { stream, allowance: Some(allowance) }
    }

    pub(super) fn lift(&mut self) {
        self.allowance = None;
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Limited<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(allowance) = self.allowance else { return Pin::new(&mut self.stream).poll_read(cx, buffer) };
        if allowance == 0 {
            return Poll::Ready(Err(io::Error::other("too much before the handshake was finished")));
        }
        let room = allowance.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let length = part.filled().len();
        buffer.advance(length);
        self.allowance = Some(allowance - length);
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Limited<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn gives_what_was_read_too_far_first_and_counts_what_was_taken() {
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(b"cd").await.expect("there is room");
        let mut near = Counted::new(near, Bytes::from_static(b"ab"), Arc::new(Semaphore::new(1)));
        let mut read = [0; 4];
        near.read_exact(&mut read).await.expect("four bytes are there");
        assert_eq!(&read, b"abcd");
        near.write_all(b"xyz").await.expect("there is room");
        assert_eq!(near.written(), 3);
    }

    #[tokio::test]
    async fn large_frames_wait_for_a_place_and_small_ones_do_not() {
        let places = Arc::new(Semaphore::new(1));
        let stream = || {
            let (mut far, near) = tokio::io::duplex(4 * LARGE_FRAME);
            let mut near = Counted::new(near, Bytes::new(), Arc::clone(&places));
            near.take_large();
            async move {
                far.write_all(&vec![7; 2 * LARGE_FRAME]).await.expect("there is room");
                (far, near)
            }
        };
        let ((_one_far, mut one), (_other_far, mut other)) = (stream().await, stream().await);
        let mut most = vec![0; LARGE_FRAME];
        for stream in [&mut one, &mut other] {
            stream.read_exact(&mut most).await.expect("no place is needed yet");
        }
        let mut rest = [0; 10];
        one.read_exact(&mut rest).await.expect("there is a place");
        let mut second = std::pin::pin!(other.read_exact(&mut rest));
        assert!(second.as_mut().now_or_never().is_none(), "there is only one");
        one.framed();
        second.await.expect("it is free again");
        let mut next = [0; 10];
        one.read_exact(&mut next).await.expect("the next frame begins anew");
    }

    #[tokio::test]
    async fn no_read_is_so_large_that_it_does_without_a_place() {
        let (mut far, near) = tokio::io::duplex(4 * LARGE_FRAME);
        let mut near = Counted::new(near, Bytes::new(), Arc::new(Semaphore::new(0)));
        near.take_large();
        far.write_all(&vec![7; 2 * LARGE_FRAME]).await.expect("there is room");
        let mut read = vec![0; 2 * LARGE_FRAME];
        assert_eq!(near.read(&mut read).await.expect("so much may be"), LARGE_FRAME);
        assert!(near.read(&mut read).now_or_never().is_none(), "there is no place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_held_for_its_time_and_no_longer() {
        let places = Arc::new(Semaphore::new(1));
        let (mut far, near) = tokio::io::duplex(4 * LARGE_FRAME);
        let mut near = Counted::new(near, Bytes::new(), Arc::clone(&places));
        near.take_large();
        far.write_all(&vec![7; LARGE_FRAME + 1]).await.expect("there is room");
        near.read_exact(&mut vec![0; LARGE_FRAME]).await.expect("no place is needed yet");
        near.read_u8().await.expect("there is a place");
        assert_eq!(places.available_permits(), 0);
        // Whoever drips goes on getting read until then.
        let mut read = Ok(0);
        let began = crate::clock::monotonic();
        while read.is_ok() {
            far.write_all(&[7]).await.expect("there is room");
            tokio::time::advance(LARGE_FRAME_DEADLINE / 10).await;
            read = near.read(&mut [0; 1]).await;
        }
        assert_eq!(read.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
        assert!((LARGE_FRAME_DEADLINE..2 * LARGE_FRAME_DEADLINE).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(near);
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn whoever_may_send_nothing_large_fails_there() {
        let (mut far, near) = tokio::io::duplex(4 * LARGE_FRAME);
        let mut near = Counted::new(near, Bytes::new(), Arc::new(Semaphore::new(1)));
        far.write_all(&vec![7; LARGE_FRAME + 1]).await.expect("there is room");
        near.read_exact(&mut vec![0; LARGE_FRAME]).await.expect("so much may be");
        let error = near.read_u8().await.expect_err("it is a guest's");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn stops_at_its_allowance_until_lifted() {
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(&[0; 16]).await.expect("there is room");
        let mut near = Limited::new(near, 10);
        let mut read = [0; 10];
        near.read_exact(&mut read).await.expect("within the allowance");
        assert!(near.read_u8().await.is_err());
        near.lift();
        assert_eq!(near.read_u8().await.expect("no limit any more"), 0);
    }
}
