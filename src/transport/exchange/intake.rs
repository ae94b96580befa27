//! The bodies of requests while they come in, and of answers until they are written: counted in what all connections hold,
//! and large requests in the places for large frames. A request is no way around what a WebSocket is held to.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use crate::{
    clock::monotonic,
    limits::LARGE_FRAME,
    memory::{Memory, Share},
};

/// Time for a body to come, and as much again for a large one from when it has its place.
const DEADLINE: Duration = Duration::from_secs(20);

/// What bodies are received into.
pub(super) struct Intake {
    memory: Arc<Memory>,
    places: Arc<Semaphore>,
}

/// A body that has come whole. What it holds is given back when dropped.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _share: Share,
    _place: Option<OwnedSemaphorePermit>,
}

/// The body of an answer, counted until nobody has it any more.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreceived {
    /// It is larger than allowed.
    TooLarge,
    /// It did not come in time.
    Late,
    /// Its chunks cannot be read, or its connection broke.
    Broken,
    /// All places for large ones are taken.
    NoPlace,
}

impl Intake {
    pub(super) fn new(memory: Arc<Memory>, places: Arc<Semaphore>) -> Self {
        Self { memory, places }
    }

    /// Whether connections hold more than they may: less is taken then.
    pub(super) fn is_tight(&self) -> bool {
        self.memory.is_tight()
    }

    /// The body of an answer. Whoever asks again and again and reads nothing has it counted each time.
    pub(super) fn answer(&self, bytes: Bytes) -> Body {
        let mut share = self.memory.share();
        share.hold(bytes.len());
        Body::from(Bytes::from_owner(Counted { bytes, _share: share }))
    }

    /// Receives a body of at most `limit` bytes; one that announces more is refused unread. Beyond [`LARGE_FRAME`] it waits,
    /// unread, for a place.
    pub(super) async fn receive(&self, body: Body, limit: usize) -> Result<Received, Unreceived> {
        if body.size_hint().lower() > limit as u64 {
            return Err(Unreceived::TooLarge);
        }
        let (mut bytes, mut share, mut place) = (BytesMut::new(), self.memory.share(), None);
        let mut until = monotonic() + DEADLINE;
        let mut chunks = body.into_data_stream();
        loop {
            if bytes.len() >= LARGE_FRAME && place.is_none() {
                let free = timeout_at(until, Arc::clone(&self.places).acquire_owned()).await;
                // The semaphore is never closed.
                place = Some(free.ok().and_then(Result::ok).ok_or(Unreceived::NoPlace)?);
                until = monotonic() + DEADLINE;
            }
            match timeout_at(until, chunks.next()).await {
                Ok(Some(Ok(chunk))) if bytes.len() + chunk.len() > limit => {
                    drop(chunk);
                    return Err(Unreceived::TooLarge);
                }
                Ok(Some(Ok(chunk))) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(Received { bytes: bytes.freeze(), _share: share, _place: place }),
                Ok(Some(Err(_))) => return Err(Unreceived::Broken),
                Err(_) => return Err(Unreceived::Late),
            }
            share.hold(bytes.capacity());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    fn body(chunks: usize) -> Body {
        Body::from_stream(stream::iter((0..chunks).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 16 * 1024])))))
    }

    fn intake(places: usize) -> Intake {
        Intake::new(Arc::new(Memory::new(100 * 1024)), Arc::new(Semaphore::new(places)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_counts_in_what_all_hold_until_it_is_dropped() {
        let intake = intake(1);
        let received = intake.receive(body(8), 200 * 1024).await.expect("it is small enough");
        assert_eq!(received.bytes.len(), 128 * 1024);
        assert!(intake.is_tight());
        drop(received);
        assert!(!intake.is_tight());
        assert_eq!(intake.receive(body(8), 127 * 1024).await.err(), Some(Unreceived::TooLarge));
        assert!(!intake.is_tight(), "what was refused is not held");
    }

    #[test]
    fn an_answer_counts_until_it_is_written() {
        let intake = intake(1);
        let answer = intake.answer(vec![7; 128 * 1024].into());
        assert!(intake.is_tight());
        drop(answer);
        assert!(!intake.is_tight());
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_a_place_and_small_ones_do_not() {
        let intake = intake(1);
        let one = intake.receive(body(8), 1 << 20).await.expect("there is a place");
        intake.receive(body(3), 1 << 20).await.expect("none is needed");
        let mut other = std::pin::pin!(intake.receive(body(8), 1 << 20));
        assert!(other.as_mut().now_or_never().is_none(), "there is only one");
        drop(one);
        let other = other.await.expect("it is free again");
        assert_eq!(intake.receive(body(8), 1 << 20).await.err(), Some(Unreceived::NoPlace), "nobody waits for ever");
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_announces_too_much_is_not_waited_for() {
        let announced = Body::from(vec![7; 1025]);
        assert_eq!(intake(1).receive(announced, 1024).now_or_never().expect("at once").err(), Some(Unreceived::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_gives_its_place_back() {
        let intake = intake(1);
        let stuck = body(8).into_data_stream().chain(stream::pending());
        let (stuck, next) = tokio::join!(intake.receive(Body::from_stream(stuck), 1 << 20), async {
            tokio::task::yield_now().await;
            intake.receive(body(8), 1 << 20).await
        });
        assert_eq!(stuck.err(), Some(Unreceived::Late));
        // Both had the same time to wait.
        drop(next);
        intake.receive(body(8), 1 << 20).await.expect("there is a place again");
    }
}
