//! What all of them together have done so far.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sovereign_client::load::LineError;

use super::latency::Latency;

/// A number that only grows.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

/// Counts by the name of what is counted.
#[derive(Default)]
pub(super) struct Named(Mutex<BTreeMap<String, u64>>);

/// Times of one kind.
pub(super) struct Times(Mutex<Latency>);

/// Shared by everybody who takes part.
#[derive(Default)]
pub(super) struct Tally {
    /// Messages that were handed to the network, each once.
    pub(super) sent: Count,
    /// Of these, accepted durably.
    pub(super) accepted: Count,
    /// Of these, refused; by code.
    pub(super) refused: Named,
    /// Deliveries that accepted messages call for: one to each other member.
    pub(super) owed: Count,
    /// Deliveries that came, each once.
    pub(super) delivered: Count,
    /// Connections that ended, by why.
    pub(super) broken: Named,
    /// Times that somebody came back after that.
    pub(super) reconnects: Count,
    /// Of those who break off at half time, how many are back.
    pub(super) back: Count,
    /// From the time at which a message was meant to be sent to the server's answer.
    pub(super) accepted_after: Times,
    /// From the same time to its arrival.
    pub(super) delivered_after: Times,
    /// From the break to being live again.
    pub(super) back_after: Times,
}

impl Count {
    /// So many more.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there are.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Named {
    /// One more of this.
    pub(super) fn add(&self, name: impl Into<String>) {
        *locked(&self.0).entry(name.into()).or_default() += 1;
    }

    /// All of them.
    pub(super) fn get(&self) -> BTreeMap<String, u64> {
        locked(&self.0).clone()
    }

    /// How many there are together.
    pub(super) fn sum(&self) -> u64 {
        locked(&self.0).values().sum()
    }
}

impl Times {
    /// One more.
    pub(super) fn record(&self, took: Duration) {
        locked(&self.0).record(took);
    }

    /// All of them.
    pub(super) fn get(&self) -> MutexGuard<'_, Latency> {
        locked(&self.0)
    }
}

impl Default for Times {
    fn default() -> Self {
        Self(Mutex::new(Latency::new()))
    }
}

impl Tally {
    /// A connection has ended, or was not made.
    pub(super) fn broke(&self, error: &LineError) {
        self.broken.add(match error {
            LineError::Closed { code, .. } => format!("closed with {code}"),
            LineError::Refused(failure) => format!("sign-in refused: {}", failure.code().as_str_name().to_lowercase()),
            LineError::Untrusted(_) => "another server".to_owned(),
            LineError::Network(_) | LineError::Unusable(_) => "network".to_owned(),
        });
    }
}

/// Nothing here is left half-changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
