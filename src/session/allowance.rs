//! How many signals a connection may send: a value over (spent, now).

use crate::clock::Instant;

/// Seconds' worth that may come at once.
const BURST_SECONDS: u64 = 2;
/// How many times the allowance is dropped in silence before it is abuse.
const TOLERANCE: u64 = 10;
/// Of a signal, so that short times count.
const MILLIONTHS: u64 = 1_000_000;

/// Two buckets that fill with time: what is relayed, and what is borne.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    per_second: u64,
    since: Instant,
    /// Millionths of a signal.
    relayed: u64,
    /// The same.
    borne: u64,
}

/// What to do with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Relay it.
    Relay,
    /// Drop it, and say nothing.
    Drop,
    /// Far beyond: close the connection.
    Abuse,
}

impl Allowance {
    /// Full buckets, as of `now`.
    #[must_use]
    pub fn new(per_second: usize, now: Instant) -> Self {
        let full = per_second as u64 * BURST_SECONDS * MILLIONTHS;
        Self { per_second: per_second as u64, since: now, relayed: full, borne: full.saturating_mul(TOLERANCE) }
    }

    /// A signal has come that counts for so many.
    pub fn spend(&mut self, count: u64, now: Instant) -> Verdict {
        let passed = u64::try_from(now.saturating_duration_since(self.since).as_micros()).unwrap_or(u64::MAX);
        self.since = now;
        let (full, gained) = (self.per_second * BURST_SECONDS * MILLIONTHS, passed.saturating_mul(self.per_second));
        self.relayed = self.relayed.saturating_add(gained).min(full);
        self.borne = self.borne.saturating_add(gained.saturating_mul(TOLERANCE)).min(full.saturating_mul(TOLERANCE));
        let cost = count.saturating_mul(MILLIONTHS);
        let Some(borne) = self.borne.checked_sub(cost) else { return Verdict::Abuse };
        self.borne = borne;
        let Some(relayed) = self.relayed.checked_sub(cost) else { return Verdict::Drop };
        self.relayed = relayed;
        Verdict::Relay
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::monotonic;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_relayed_more_is_dropped_and_far_more_is_abuse() {
        let now = monotonic();
        let mut allowance = Allowance::new(10, now);
        let verdicts: Vec<Verdict> = (0..201).map(|_| allowance.spend(1, now)).collect();
        assert!(verdicts[..20].iter().all(|verdict| *verdict == Verdict::Relay));
        assert!(verdicts[20..200].iter().all(|verdict| *verdict == Verdict::Drop));
        assert_eq!(verdicts[200], Verdict::Abuse);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_keeps_to_it_is_never_dropped_and_whoever_doubles_it_never_closed() {
        let start = monotonic();
        let mut allowance = Allowance::new(10, start);
        for tenth in 0..1000 {
            assert_eq!(allowance.spend(1, start + Duration::from_millis(100 * tenth)), Verdict::Relay);
        }
        let mut allowance = Allowance::new(10, start);
        let relayed = (0..2000).map(|number| allowance.spend(1, start + Duration::from_millis(50 * number)));
        let relayed: Vec<Verdict> = relayed.collect();
        assert!(!relayed.contains(&Verdict::Abuse));
        let count = relayed.iter().filter(|verdict| **verdict == Verdict::Relay).count();
        assert!((1000..=1030).contains(&count), "{count} of 2000 in 100 seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_one_counts_for_many() {
        let now = monotonic();
        let mut allowance = Allowance::new(10, now);
        assert_eq!(allowance.spend(20, now), Verdict::Relay);
        assert_eq!(allowance.spend(1, now), Verdict::Drop);
        assert_eq!(allowance.spend(1000, now), Verdict::Abuse);
    }
}
