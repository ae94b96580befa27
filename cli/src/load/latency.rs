//! How long things took. The door to hdrhistogram.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times above this count as this.
const LONGEST: Duration = Duration::from_mins(10);
/// Digits of a figure that are right.
const DIGITS: u8 = 3;

/// All of one kind; of fixed size, however many.
pub(super) struct Latency(Histogram<u64>);

/// What is told of them, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Latency {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, micros(LONGEST), DIGITS).expect("the bounds are in order"))
    }

    /// One more.
    pub(super) fn record(&mut self, took: Duration) {
        self.0.saturating_record(micros(took));
    }

    /// The figures; `None` where there was nothing to time.
    pub(super) fn figures(&self) -> Option<Figures> {
        let at = |share| self.0.value_at_quantile(share);
        (!self.0.is_empty()).then(|| Figures {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max(),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::new();
        assert_eq!(latency.figures(), None);
        (1..=1000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        let Figures { count, p50, p90, p99, p999, max } = latency.figures().expect("some");
        assert_eq!(count, 1000);
        for (figure, expected) in [(p50, 500_000), (p90, 900_000), (p99, 990_000), (p999, 999_000), (max, 1_000_000)] {
            assert!(figure.abs_diff(expected) <= expected / 500, "{figure} is not {expected}");
        }
        latency.record(Duration::from_hours(2));
        assert_eq!(latency.figures().expect("some").count, 1001, "what is beyond the longest counts too");
    }
}
