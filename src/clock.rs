//! The one door to time. Everything else is given a [`Clock`], so that tests own it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// 1 January 2026: this software is younger, so a clock before it is wrong. Generations of restored stores are counted from it.
pub const EPOCH_MS: UnixMs = 1_767_225_600_000;
/// How far the machine's clock may run ahead of what has passed before it counts as moved.
const STEP_MS: u64 = 60 * 60 * 1000;
/// How long a clock that was moved ahead has to stay there until it is believed.
const GRACE: Duration = Duration::from_hours(24);

/// Wall-clock time with an offset that tests (and only tests) may move. Cheap to clone; clones share the offset.
/// Monotonic time is tokio's, which tests pause.
#[derive(Clone, Default)]
pub struct Clock(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Moves time as such.
    offset_ms: AtomicI64,
    /// Moves the machine's clock, as a person or a broken time server does.
    moved_ms: AtomicI64,
    settled: Mutex<Option<Settled>>,
}

/// The wall clock, as far as it is believed.
#[derive(Clone, Copy)]
struct Settled {
    wall: UnixMs,
    at: Instant,
    /// Since when the machine's clock has been ahead of it.
    ahead_since: Option<Instant>,
}

impl Clock {
    /// The machine's clock, moved by `offset_ms` (configuration key `clock_offset_ms`, for drills and tests).
    #[must_use]
    pub fn with_offset(offset_ms: i64) -> Self {
        let clock = Self::default();
        clock.advance(offset_ms);
        clock
    }

    /// Now. A machine whose clock stands before 1970 counts as 1970.
    #[must_use]
    pub fn now_ms(&self) -> UnixMs {
        self.machine_ms().saturating_add_signed(self.0.offset_ms.load(Ordering::Relaxed))
    }

    /// Now, for what is deleted or withheld when it is old enough. A clock that is moved ahead while the server runs ends
    /// nobody's messages at once: for a day only the time counts that has passed. One that is moved back is believed, and
    /// things live longer.
    #[must_use]
    pub fn settled_ms(&self) -> UnixMs {
        let (machine, now) = (self.machine_ms(), monotonic());
        let mut settled = self.0.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let known = settled.get_or_insert(Settled { wall: machine, at: now, ahead_since: None });
        if known.look(machine, now) {
            tracing::error!(
                ahead_ms = machine - known.wall,
                "the machine's clock was moved ahead: nothing expires by it for a day"
            );
        }
        known.wall.saturating_add_signed(self.0.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves this clock and all its clones, as if that time had passed.
    pub fn advance(&self, by_ms: i64) {
        self.0.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Moves the machine's clock, as this one sees it.
    #[cfg(test)]
    pub(crate) fn step(&self, by_ms: i64) {
        self.0.moved_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn machine_ms(&self) -> UnixMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        now.saturating_add_signed(self.0.moved_ms.load(Ordering::Relaxed))
    }
}

impl Settled {
    /// Takes a look at the machine's clock. True: it has just been moved ahead.
    fn look(&mut self, machine: UnixMs, now: Instant) -> bool {
        let passed = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        let expected = self.wall.saturating_add(passed);
        let ahead = machine > expected.saturating_add(STEP_MS);
        let new = ahead && self.ahead_since.is_none();
        let since = *self.ahead_since.get_or_insert(now);
        if !ahead || now.saturating_duration_since(since) >= GRACE {
            *self = Self { wall: machine, at: now, ahead_since: None };
        } else {
            (self.wall, self.at) = (expected, now);
        }
        new
    }
}

/// A point of monotonic time; tests pause and move it with tokio's test clock.
pub type Instant = tokio::time::Instant;

/// Now, for measuring how long something takes.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn settled(wall: UnixMs, at: Instant) -> Settled {
        Settled { wall, at, ahead_since: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_runs_is_believed_and_so_is_one_that_is_corrected_a_little() {
        let start = monotonic();
        let mut clock = settled(1000, start);
        assert!(!clock.look(11_000, start + Duration::from_secs(10)));
        assert_eq!(clock.wall, 11_000);
        assert!(!clock.look(11_000 + STEP_MS, start + Duration::from_secs(10)));
        assert_eq!(clock.wall, 11_000 + STEP_MS);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_moved_ahead_is_believed_after_a_day_only() {
        let start = monotonic();
        let mut clock = settled(0, start);
        let year = 365 * DAY_MS;
        assert!(clock.look(year, start), "told once");
        assert_eq!(clock.wall, 0);
        let hours = |hours: u64| (Duration::from_hours(hours), hours * 3_600_000);
        let (passed, passed_ms) = hours(23);
        assert!(!clock.look(year + passed_ms, start + passed), "and not again");
        assert_eq!(clock.wall, passed_ms, "time goes on as it passes");
        let (passed, passed_ms) = hours(24);
        assert!(!clock.look(year + passed_ms, start + passed));
        assert_eq!(clock.wall, year + passed_ms, "whoever has not corrected it by then means it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_corrected_in_time_has_harmed_nobody() {
        let start = monotonic();
        let mut clock = settled(0, start);
        assert!(clock.look(365 * DAY_MS, start));
        let hour = Duration::from_hours(1);
        assert!(!clock.look(3_600_000, start + hour));
        assert_eq!((clock.wall, clock.ahead_since), (3_600_000, None));
        assert!(!clock.look(1_000, start + hour), "moved back");
        assert_eq!(clock.wall, 1000);
    }
}
