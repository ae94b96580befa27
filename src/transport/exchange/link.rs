//! An exchange session as the link under a session.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time::{Sleep, sleep_until};

use super::{
    GONE_AFTER,
    sessions::{Id, Open},
    stream::Stream,
};
use crate::{
    clock::monotonic,
    session::link::{Event, Incoming, Link},
};

/// Frames carried by requests and their answers.
pub(super) struct ExchangeLink {
    stream: Arc<Stream>,
    open: Arc<Open>,
    id: Id,
    /// When to look whether the client still comes back.
    look: Pin<Box<Sleep>>,
}

impl ExchangeLink {
    pub(super) fn new(stream: Arc<Stream>, open: Arc<Open>, id: Id) -> Self {
        Self { stream, open, id, look: Box::pin(sleep_until(monotonic() + GONE_AFTER)) }
    }

    /// The client has missed its polls.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while self.look.as_mut().poll(cx).is_ready() {
            let until = self.stream.lock().heard + GONE_AFTER;
            if monotonic() >= until {
                return true;
            }
            self.look.as_mut().reset(until);
        }
        false
    }
}

impl Link for ExchangeLink {
    fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.is_gone(cx) {
            return Poll::Ready(Event::In(Incoming::Io));
        }
        let mut state = self.stream.lock();
        state.remember(cx.waker());
        if state.is_confirmed() {
            if std::mem::take(&mut state.announce) {
                return Poll::Ready(Event::Flushed);
            }
            // Heard and understood: there is no close handshake to wait for.
            if let Some(code) = state.closed
                && state.has_told_end()
            {
                return Poll::Ready(Event::In(Incoming::Closed(Some(code))));
            }
        }
        if std::mem::take(&mut state.pinged) {
            return Poll::Ready(Event::In(Incoming::Pong));
        }
        if read && let Some(frame) = state.next() {
            let too_big = state.too_big && state.incoming.is_empty();
            return Poll::Ready(Event::In(if too_big { Incoming::TooBig } else { Incoming::Frame(frame) }));
        }
        if state.has_left() {
            return Poll::Ready(Event::In(Incoming::Closed(None)));
        }
        Poll::Pending
    }

    fn feed(&mut self, frame: Bytes) {
        self.stream.feed(frame);
    }

    fn feed_ping(&mut self) {
        // Whether the client lives is judged here, by its polls.
        self.stream.lock().pinged = true;
    }

    fn start_close(&mut self, code: u16, _reason: &str) {
        self.stream.close(code);
    }

    fn pending(&self) -> usize {
        self.stream.pending()
    }

    fn unread(&self) -> usize {
        self.stream.unread()
    }

    fn set_frame_limit(&mut self, bytes: usize) {
        self.stream.set_frame_limit(bytes);
    }
}

impl Drop for ExchangeLink {
    fn drop(&mut self) {
        self.open.end(&self.id, self.stream.farewell());
        self.stream.end();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_misses_its_polls_is_gone_and_one_that_asks_stays() {
        let stream = Arc::new(Stream::new(100));
        let mut link = ExchangeLink::new(Arc::clone(&stream), Arc::default(), Id::parse(&"A".repeat(43)).expect("an id"));
        let began = monotonic();
        let asking = async {
            for _ in 0..3 {
                let turn = stream.take(0, 0, Vec::new(), 0).expect("taken");
                stream.reply(turn, Duration::from_secs(25), || 0).await;
            }
        };
        let (event, ()) = tokio::join!(poll_fn(|cx| link.poll(cx, true)), asking);
        assert!(matches!(event, Event::In(Incoming::Io)), "{event:?}");
        assert_eq!(began.elapsed().as_secs(), 75 + GONE_AFTER.as_secs(), "two missed polls after the last answer");
    }
}
