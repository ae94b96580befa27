//! Positions that wait to be acknowledged: the highest of each log, so that the queue is as long as there are logs and
//! no acknowledgement is ever dropped.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use sovereign_proto::v1;
use tokio::sync::Notify;

/// Positions in one `Acknowledge` at most (the protocol's bound).
const POSITIONS_MAX: usize = 256;

/// Filled by the handles, emptied by the connection.
#[derive(Default)]
pub(super) struct Acknowledgements {
    highest: Mutex<BTreeMap<Bytes, u64>>,
    added: Notify,
}

impl Acknowledgements {
    /// Remembers each position unless a higher one of its log waits already.
    pub(super) fn add(&self, positions: Vec<v1::Position>) {
        let mut highest = self.lock();
        for position in positions {
            let seq = highest.entry(position.group_id).or_default();
            *seq = position.seq.max(*seq);
        }
        drop(highest);
        self.added.notify_one();
    }

    /// Waits until there is something, and takes up to one notice's worth of it. Cancel safe.
    pub(super) async fn take(&self) -> v1::Notice {
        loop {
            if let Some(notice) = self.try_take() {
                return notice;
            }
            self.added.notified().await;
        }
    }

    /// Takes up to one notice's worth of what is there.
    pub(super) fn try_take(&self) -> Option<v1::Notice> {
        let mut highest = self.lock();
        let count = highest.len().min(POSITIONS_MAX);
        let taken = std::iter::from_fn(|| highest.pop_first()).take(count);
        let positions: Vec<_> = taken.map(|(group_id, seq)| v1::Position { group_id, seq }).collect();
        let acknowledge = v1::Acknowledge { positions };
        (count > 0).then(|| v1::Notice { body: Some(v1::notice::Body::Acknowledge(acknowledge)) })
    }

    /// A panic elsewhere leaves a map that is whole: every change is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Bytes, u64>> {
        self.highest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(log: u16, seq: u64) -> v1::Position {
        v1::Position { group_id: Bytes::copy_from_slice(&log.to_be_bytes()), seq }
    }

    #[tokio::test]
    async fn only_the_highest_of_each_log_is_sent_and_at_most_256_at_once() {
        let waiting = Acknowledgements::default();
        waiting.add(vec![position(0, 5), position(0, 3)]);
        waiting.add((1..300).map(|log| position(log, 1)).collect());
        let Some(v1::notice::Body::Acknowledge(first)) = waiting.take().await.body else { panic!("an acknowledgement") };
        assert_eq!((first.positions.len(), first.positions[0].seq), (256, 5));
        let Some(v1::notice::Body::Acknowledge(second)) = waiting.take().await.body else { panic!("an acknowledgement") };
        assert_eq!(second.positions.len(), 44);
        assert!(waiting.try_take().is_none());
    }
}
