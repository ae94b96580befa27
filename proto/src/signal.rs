//! Signals: ephemeral messages under a key of their group's epoch, beside MLS's own ratchets (docs/protocol/mls.md).
//!
//! ```text
//! key        = MLS-Exporter("Sovereign 1.0 signal", "", 32)
//! ciphertext = nonce (12, random) || ChaCha20-Poly1305(key, nonce, associated data, padded SignalContent)
//! ```

use prost::{Message as _, bytes::Bytes};

use crate::v1::SignalContent;

/// MLS exporter label of an epoch's key (RFC 9420, section 8.5); the context is empty, the length [`KEY_LENGTH`].
pub const KEY_LABEL: &str = "Sovereign 1.0 signal";
/// Length of the key in bytes.
pub const KEY_LENGTH: usize = 32;
/// Length of the random nonce in front of the sealed bytes (RFC 8439).
pub const NONCE_LENGTH: usize = 12;
/// Encoded contents have a multiple of this many bytes.
pub const PADDING_STEP: usize = 256;
/// Bytes of the name of an application's kind, in UTF-8; at least one.
pub const KIND_MAX: usize = 64;
/// Bytes of an application's payload.
pub const PAYLOAD_MAX: usize = 512;
/// Signals whose time is further away than this, in milliseconds, are dropped by whoever receives them.
pub const AGE_MAX_MS: u64 = 30_000;
/// Without another start, typing ends after so many milliseconds.
pub const TYPING_MS: u64 = 6_000;

/// What is authenticated beside the content: `group_id (32) || epoch (u64 BE)`.
#[must_use]
pub fn associated_data(group_id: &[u8; 32], epoch: u64) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(group_id);
    bytes[32..].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

/// The bytes to encrypt: the content with the shortest padding that makes its length a multiple of [`PADDING_STEP`].
#[must_use]
pub fn encode(mut content: SignalContent) -> Vec<u8> {
    content.padding = Bytes::new();
    let length = content.encoded_len();
    let missing = (PADDING_STEP - length % PADDING_STEP) % PADDING_STEP;
    content.padding = vec![0; padding(missing)].into();
    content.encode_to_vec()
}

/// How many bytes of padding fill so many, its tag and length included. Some numbers no field can fill: a step more does.
fn padding(missing: usize) -> usize {
    match missing {
        0 => 0,
        1 | 2 | 130 => missing + PADDING_STEP - 3,
        3..=129 => missing - 2,
        _ => missing - 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Custom, signal_content::Kind};

    #[test]
    fn every_length_is_a_multiple_of_256_and_the_shortest() {
        for length in 0..=PAYLOAD_MAX {
            let custom = Custom { kind: "k".to_owned(), payload: vec![7; length].into(), signature: vec![1; 64].into() };
            let content = SignalContent { counter: 1, kind: Some(Kind::Custom(custom)), ..SignalContent::default() };
            let (bare, bytes) = (content.encoded_len(), encode(content.clone()));
            assert_eq!(bytes.len() % PADDING_STEP, 0, "a payload of {length}");
            assert!(bytes.len() < bare + PADDING_STEP + 131, "a payload of {length}");
            let read = SignalContent::decode(bytes.as_slice()).expect("it reads back");
            assert!(read.kind == content.kind, "a payload of {length}");
        }
    }
}
