//! How long to wait before the next attempt: full jitter, so that a thousand clients of a restarted server do not come
//! back in step.

use std::time::Duration;

/// The first attempt waits up to this long.
const BASE_MS: u64 = 500;
/// No wait is drawn from further than this; a server may ask for longer ones.
const CAP_MS: u64 = 60_000;

/// Counts failures in a row.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next attempt: uniform in `0..=min(CAP, BASE * 2^failures)`, but at least `floor_ms`. `below`
    /// draws a number below its argument.
    pub(super) fn next(&mut self, floor_ms: u64, below: impl FnOnce(u64) -> u64) -> Duration {
        let reach = BASE_MS.saturating_mul(1_u64.checked_shl(self.failures).unwrap_or(u64::MAX)).min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(below(reach + 1).max(floor_ms))
    }

    /// The connection has proven itself: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether nothing failed since the last reset.
    pub(super) fn is_fresh(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_cap_and_starts_again() {
        let mut backoff = Backoff::default();
        let reaches: Vec<u128> = (0..10).map(|_| backoff.next(0, |bound| bound - 1).as_millis()).collect();
        assert_eq!(reaches, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(0, |bound| bound - 1).as_millis(), 60_000);
        backoff.reset();
        assert!(backoff.is_fresh());
        assert_eq!(backoff.next(0, |bound| bound - 1).as_millis(), 500);
    }

    #[test]
    fn jitter_is_full_and_the_floor_holds() {
        assert_eq!(Backoff::default().next(0, |_| 0), Duration::ZERO);
        assert_eq!(Backoff::default().next(7000, |_| 3), Duration::from_secs(7));
        assert_eq!(Backoff::default().next(100, |_| 400), Duration::from_millis(400));
    }
}
