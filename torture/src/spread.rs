//! How long something took, many times: the longest alone tells of one bad moment, a mean of none.

use std::fmt;

/// Times of one kind, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    /// How many there were.
    pub(crate) times: u64,
    pub(crate) median: u64,
    /// 99 in 100 were no longer.
    pub(crate) p99: u64,
    pub(crate) longest: u64,
}

impl Spread {
    /// Of these; of none all is 0.
    pub(crate) fn of(samples: &[u64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        // The smallest value that so many in a hundred do not exceed.
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        Self { times: sorted.len() as u64, median: at(50), p99: at(99), longest: at(100) }
    }

    /// As figures of a result: `NAME_times`, `NAME_median_us` and so on.
    pub(crate) fn figures(self, name: &str) -> [(String, u64); 4] {
        let Self { times, median, p99, longest } = self;
        let ends = [("times", times), ("median_us", median), ("p99_us", p99), ("longest_us", longest)];
        ends.map(|(end, value)| (format!("{name}_{end}"), value))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, median, p99, longest } = *self;
        write!(f, "{} / {} / {} ms ({times} times)", millis(median), millis(p99), millis(longest))
    }
}

/// Microseconds as milliseconds with one digit behind the point.
pub(crate) fn millis(us: u64) -> String {
    let tenths = us.div_ceil(100);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_the_rare_and_the_longest() {
        let samples: Vec<u64> = (1..=200).rev().map(|n| n * 1000).collect();
        let spread = Spread::of(&samples);
        assert_eq!(spread, Spread { times: 200, median: 100_000, p99: 198_000, longest: 200_000 });
        assert_eq!(spread.to_string(), "100.0 / 198.0 / 200.0 ms (200 times)");
        assert_eq!(Spread::of(&[7]), Spread { times: 1, median: 7, p99: 7, longest: 7 });
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
