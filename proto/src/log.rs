//! The running hash of a log, by which members notice a server that drops, reorders or splits.
//!
//! `entry_hash = SHA-256(kind || body)`, `running(0) = 32 zero bytes`,
//! `running(n) = SHA-256(running(n-1) || n as u64 big-endian || entry_hash(n))`.

use sha2::{Digest as _, Sha256};

/// What an entry holds; the byte stands in the entry hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An application message (RFC 9420 `PrivateMessage`).
    Message = 1,
    /// A commit (`PublicMessage`).
    Commit = 2,
    /// A proposal (`PublicMessage`).
    Proposal = 3,
    /// A Welcome, on a device's own log; the body is the encoded `WelcomeEntry`.
    Welcome = 4,
    /// The notice that a window was closed, on a device's own log; the body is the encoded `RemovedEntry`.
    Removed = 5,
    /// Words of the server's operator, on a device's own log; the body is the encoded `ServerNotice`.
    Notice = 6,
}

impl Kind {
    /// The kind that a stored byte names.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        let all = [Self::Message, Self::Commit, Self::Proposal, Self::Welcome, Self::Removed, Self::Notice];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The running hash before the first entry of a log.
pub const START: [u8; 32] = [0; 32];

/// The hash of one entry.
#[must_use]
pub fn entry_hash(kind: Kind, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([kind as u8]).chain_update(body).finalize().into()
}

/// The running hash at `seq`, from the one before it and the entry's hash.
#[must_use]
pub fn running_hash(previous: &[u8; 32], seq: u64, entry_hash: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(seq.to_be_bytes()).chain_update(entry_hash).finalize().into()
}

/// The key of the one group of exactly these accounts: SHA-256 over the label `Sovereign 1.0 direct` and the sorted,
/// distinct 16-byte account ids.
#[must_use]
pub fn direct_key(account_ids: &[[u8; 16]]) -> [u8; 32] {
    let mut sorted = account_ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut hash = Sha256::new();
    hash.update(b"Sovereign 1.0 direct");
    for id in &sorted {
        hash.update(id);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_both_count() {
        let (a, b) = (entry_hash(Kind::Message, b"a"), entry_hash(Kind::Message, b"b"));
        let ab = running_hash(&running_hash(&START, 1, &a), 2, &b);
        let ba = running_hash(&running_hash(&START, 1, &b), 2, &a);
        assert_ne!(ab, ba);
        assert_ne!(entry_hash(Kind::Commit, b"a"), a);
    }

    #[test]
    fn direct_key_knows_no_order_and_no_repetition() {
        assert_eq!(direct_key(&[[1; 16], [2; 16]]), direct_key(&[[2; 16], [1; 16], [2; 16]]));
        assert_ne!(direct_key(&[[1; 16], [2; 16]]), direct_key(&[[1; 16], [3; 16]]));
    }
}
