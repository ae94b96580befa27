//! Promises broken on purpose, so that `./scripts/torture --sabotage` can show that its checker sees each of them.
//!
//! Nothing of this is in a server that anybody runs: the feature `sabotage` is off unless asked for, does not compile
//! without debug assertions, and a server with it keeps its promises until a variable names one to break.

use std::sync::OnceLock;

use bytes::Bytes;
use sovereign_proto::v1::{self, entry::Body};

#[cfg(not(debug_assertions))]
compile_error!("a release build does not come with sabotage");

/// Names the promise: a class of docs/delivery-contract.md.
const VARIABLE: &str = "TORTURE_SABOTAGE";
/// One entry of so many is concerned.
const EVERY: u64 = 40;
/// Where the number of a light device's message stands, and its id, counted from the end.
const NUMBER_AT: usize = 24;
const ID_AT: usize = 16;

/// Whether this promise is to be broken.
#[must_use]
pub fn breaks(class: &str) -> bool {
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var(VARIABLE).unwrap_or_default()) == class
}

/// What becomes of a push of entries.
#[must_use]
pub fn twisted(mut entries: Vec<v1::Entry>) -> Vec<v1::Entry> {
    let chosen = |entry: &v1::Entry| entry.seq % EVERY == 7 && matches!(entry.body, Some(Body::Message(_)));
    if breaks("reorder") {
        entries.reverse();
    }
    if breaks("gap_unannounced") {
        entries.retain(|entry| !chosen(entry));
    }
    for entry in entries.iter_mut().filter(|entry| chosen(entry)) {
        if breaks("lost") {
            let reason = v1::SkippedReason::Expired.into();
            entry.body = Some(Body::Skipped(v1::Skipped { to: entry.seq, reason, running_hash: vec![0; 32].into() }));
        } else if let (true, Some(Body::Message(message))) = (breaks("phantom"), &mut entry.body) {
            *message = another(message);
        }
    }
    entries
}

/// A light device's message as if it were one that nobody has sent.
fn another(message: &Bytes) -> Bytes {
    let mut bytes = message.to_vec();
    let Some(at) = bytes.len().checked_sub(NUMBER_AT) else { return message.clone() };
    let number = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap_or_default()) ^ (1 << 60);
    let id_at = bytes.len() - ID_AT;
    bytes[at..at + 8].copy_from_slice(&number.to_be_bytes());
    bytes[id_at..id_at + 8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes.into()
}
