//! Requests in flight and who waits for them.

use std::collections::HashMap;

use sovereign_proto::v1;
use tokio::sync::oneshot;

use super::{CallError, calls::Answer};

/// Dropping it tells everybody who still waits that the connection is gone.
pub(super) struct Pending {
    waiting: HashMap<u64, Waiting>,
    bytes: usize,
    last_id: u64,
    requests_max: usize,
    bytes_max: usize,
}

struct Waiting {
    bytes: usize,
    answer: oneshot::Sender<Answer>,
}

impl Pending {
    /// `used` is the last request id used on this connection; one place is kept free for the heartbeat's own request.
    pub(super) fn new(used: u64, requests_max: usize, bytes_max: usize) -> Self {
        Self { waiting: HashMap::new(), bytes: 0, last_id: used, requests_max: requests_max.saturating_sub(1).max(1), bytes_max }
    }

    /// A request id that no request of this connection had.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether one more request may be in flight at all.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < self.requests_max
    }

    /// Whether one more request of so many bytes may be in flight. One alone always may: the frame limit bounds it.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.waiting.is_empty() || self.bytes + bytes <= self.bytes_max
    }

    /// Remembers who waits for the answer.
    pub(super) fn insert(&mut self, id: u64, bytes: usize, answer: oneshot::Sender<Answer>) {
        self.bytes += bytes;
        self.waiting.insert(id, Waiting { bytes, answer });
    }

    /// Hands an answer to who waits for it; an answer nobody waits for is ignored.
    pub(super) fn answer(&mut self, id: u64, answer: Result<v1::response::Body, v1::Failure>) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.bytes -= waiting.bytes;
            // Who dropped the future of its call does not want to know.
            drop(waiting.answer.send(answer.map_err(CallError::Refused)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pong() -> v1::response::Body {
        v1::response::Body::Ping(v1::PingResponse::default())
    }

    #[test]
    fn counts_requests_and_bytes_and_ignores_strangers() {
        let mut pending = Pending::new(1, 3, 100);
        assert!(pending.fits(1_000));
        for expected in [2, 3] {
            let id = pending.next_id();
            assert_eq!(id, expected);
            pending.insert(id, 50, oneshot::channel().0);
        }
        assert!(!pending.has_room() && !pending.fits(1));
        pending.answer(99, Ok(pong()));
        assert!(!pending.has_room());
        pending.answer(3, Ok(pong()));
        pending.answer(3, Ok(pong()));
        assert!(pending.has_room() && pending.fits(50) && !pending.fits(51));
    }

    #[test]
    fn who_waits_hears_of_the_end() {
        let (answer, mut answered) = oneshot::channel();
        let mut pending = Pending::new(0, 64, 100);
        pending.insert(1, 1, answer);
        drop(pending);
        assert!(matches!(answered.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }
}
