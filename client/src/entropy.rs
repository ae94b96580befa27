//! The one door to randomness.

/// Fills an array from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness to give: nothing here is safe without it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// A uniformly random number below `bound`; 0 if `bound` is 0. For jitter, not for keys: the bias is below 2^-32.
#[must_use]
pub(crate) fn below(bound: u64) -> u64 {
    u64::from_le_bytes(random()).checked_rem(bound).unwrap_or(0)
}
