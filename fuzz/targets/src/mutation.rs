//! Inputs made of seeds: bytes changed, cut, doubled and spliced, and the values that decoders trip over put among them.
//! Everything follows from a number.

/// Longest input.
const INPUT_MAX: usize = 256 * 1024;
/// Longest input that is not a mass of the same bytes.
const USUAL_MAX: usize = 32 * 1024;

/// Varints, lengths, tags and separators that decoders trip over.
const TOKENS: &[&[u8]] = &[
    &[0x00],
    &[0xff],
    &[0x7f],
    &[0x80],
    &[0x0b],
    &[0x12, 0x00],
    &[0x2a, 0x00],
    &[0xff, 0xff],
    &[0x40, 0x00],
    &[0xbf, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0, 1, 0, 1],
    &[0, 1, 0, 4],
    &[0, 1, 0, 5],
    b"\n",
    b"\n\n",
    b": ",
    b"=",
    b"\"",
    b"%00",
    "\u{202e}".as_bytes(),
    "\u{fffd}".as_bytes(),
];

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// Any number will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `below`, or 0.
    pub fn below(&mut self, below: usize) -> usize {
        if below == 0 { 0 } else { usize::try_from(self.number() >> 16).unwrap_or(0) % below }
    }

    /// One of these, if there is one.
    pub fn among<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

/// The input of a number.
#[must_use]
pub fn input(random: &mut Random, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut data = random.among(seeds).map(|(_, seed)| seed.clone()).unwrap_or_default();
    for _ in 0..=random.below(4) {
        change(random, &mut data, seeds);
        data.truncate(INPUT_MAX);
    }
    data
}

fn change(random: &mut Random, data: &mut Vec<u8>, seeds: &[(String, Vec<u8>)]) {
    let at = random.below(data.len() + 1);
    let span = at..(at + 1 + random.below(32)).min(data.len()).max(at);
    match random.below(10) {
        0 | 1 => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = u8::try_from(random.below(256)).unwrap_or(0);
            }
        }
        3 => drop(data.splice(span, [])),
        4 => data.truncate(at),
        5 => {
            let token = random.among(TOKENS).copied().unwrap_or_default();
            drop(data.splice(at..at, token.iter().copied()));
        }
        6 => {
            let token = random.among(TOKENS).copied().unwrap_or_default();
            let end = (at + token.len()).min(data.len());
            drop(data.splice(at..end, token.iter().copied()));
        }
        7 => {
            let again = data.get(span).unwrap_or_default().to_vec();
            drop(data.splice(at..at, again));
        }
        8 => {
            let other = random.among(seeds).map(|(_, seed)| seed.as_slice()).unwrap_or_default();
            let from = random.below(other.len() + 1);
            let piece = other[from..(from + random.below(256)).min(other.len())].to_vec();
            drop(data.splice(at..at, piece));
            data.truncate(USUAL_MAX);
        }
        _ => masses(random, data, at),
    }
}

/// Now and then a great many of the same.
fn masses(random: &mut Random, data: &mut Vec<u8>, at: usize) {
    let often = if random.below(50) == 0 { 1 << 16 } else { 1 + random.below(64) };
    let token = random.among(TOKENS).copied().unwrap_or_default();
    drop(data.splice(at..at, token.repeat(often)));
}
