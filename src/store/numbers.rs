//! Maps by numbers that the store gave itself. Nobody can choose them so that they collide, so a quick hash will do.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// Values by such numbers.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<Multiplied>>;

/// Such numbers.
pub(super) type NumberSet<K> = HashSet<K, BuildHasherDefault<Multiplied>>;

/// 2^64 divided by the golden ratio: what it is multiplied with is spread over all the bits (Knuth, TAOCP 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// One multiplication for each number.
#[derive(Default)]
pub(super) struct Multiplied(u64);

impl Hasher for Multiplied {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = (self.0.rotate_left(32) ^ number.cast_unsigned()).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i64(i64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn numbers_in_a_row_are_spread_over_both_ends_of_the_hash() {
        let hasher = BuildHasherDefault::<Multiplied>::default();
        for (what, pairs) in [("numbers", false), ("pairs", true)] {
            let hash = |number: i64| if pairs { hasher.hash_one((number % 16, number / 16)) } else { hasher.hash_one(number) };
            // A map takes its place from the low bits and what it compares first from the high ones.
            let low: NumberSet<i64> = (0..256).map(|number| (hash(number) & 0xff).cast_signed()).collect();
            let high: NumberSet<i64> = (0..256).map(|number| (hash(number) >> 57).cast_signed()).collect();
            assert!(low.len() >= 128 && high.len() >= 100, "{what}: {} and {}", low.len(), high.len());
        }
    }
}
