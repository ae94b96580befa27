//! Signals on their way out. They are sent now or never: a few wait for the socket, and none for another connection.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sovereign_proto::v1;
use tokio::sync::Notify;

/// Signals that may wait; beyond it the oldest is dropped.
const WAITING_MAX: usize = 64;

/// Filled by the handles, emptied by the connection.
#[derive(Default)]
pub(super) struct Signals {
    waiting: Mutex<VecDeque<v1::Signal>>,
    added: Notify,
}

impl Signals {
    pub(super) fn add(&self, signal: v1::Signal) {
        let mut waiting = self.lock();
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(signal);
        drop(waiting);
        self.added.notify_one();
    }

    /// Waits until there is one. Cancel safe.
    pub(super) async fn take(&self) -> v1::Notice {
        loop {
            if let Some(signal) = self.lock().pop_front() {
                return v1::Notice { body: Some(v1::notice::Body::Signal(signal)) };
            }
            self.added.notified().await;
        }
    }

    /// What was meant for an earlier connection is late.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// A panic elsewhere leaves a queue that is whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<v1::Signal>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(notice: v1::Notice) -> u64 {
        match notice.body {
            Some(v1::notice::Body::Signal(signal)) => signal.epoch,
            _ => panic!("no signal"),
        }
    }

    #[tokio::test]
    async fn the_newest_few_wait_in_their_order() {
        let signals = Signals::default();
        (0..100).for_each(|epoch| signals.add(v1::Signal { epoch, ..v1::Signal::default() }));
        assert_eq!((epoch(signals.take().await), epoch(signals.take().await)), (36, 37));
        signals.clear();
        signals.add(v1::Signal { epoch: 7, ..v1::Signal::default() });
        assert_eq!(epoch(signals.take().await), 7);
    }
}
