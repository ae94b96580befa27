//! The one door to time. Everything else is given a [`Clock`], so that tests own it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// Wall-clock time with an offset that tests (and only tests) may move. Cheap to clone; clones share the offset.
#[derive(Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

/// Monotonic time, which tests of tokio's pause. For deadlines and for what took how long.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn monotonic() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock {
    /// The machine's clock, moved by `offset_ms` (for drills and tests).
    #[must_use]
    pub fn with_offset(offset_ms: i64) -> Self {
        Self { offset_ms: Arc::new(AtomicI64::new(offset_ms)) }
    }

    /// Now. A machine whose clock stands before 1970 counts as 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn now_ms(&self) -> UnixMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        now.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves this clock and all its clones.
    pub fn advance(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}
