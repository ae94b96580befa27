//! Randomness that a seed decides (`SplitMix64`): what is done and what breaks is the same in every run of a seed.

/// A stream of numbers. Streams of one seed with different names are independent.
#[derive(Clone, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream of this name.
    pub(crate) fn new(seed: u64, name: &str, number: u32) -> Self {
        let mut stream = Self(seed ^ 0x6a09_e667_f3bc_c908);
        for byte in name.bytes().map(u64::from).chain([0x100 | u64::from(number)]) {
            stream.0 = stream.next() ^ byte;
        }
        stream
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. The bias is far below what anybody could see here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `low` to `high`, both inclusive.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so often in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_names_part() {
        let draw = |seed, name: &str, number| {
            let mut stream = Stream::new(seed, name, number);
            [stream.next(), stream.next()]
        };
        assert_eq!(draw(1, "person", 3), draw(1, "person", 3));
        assert_ne!(draw(1, "person", 3), draw(2, "person", 3));
        assert_ne!(draw(1, "person", 3), draw(1, "person", 4));
        assert_ne!(draw(1, "person", 3), draw(1, "courier", 3));
    }

    #[test]
    fn bounds_hold_and_are_reached() {
        let mut stream = Stream::new(7, "bounds", 0);
        let drawn: Vec<u64> = (0..200).map(|_| stream.within(3, 5)).collect();
        assert!([3, 4, 5].iter().all(|wanted| drawn.contains(wanted)) && drawn.iter().all(|n| (3..=5).contains(n)));
    }
}
