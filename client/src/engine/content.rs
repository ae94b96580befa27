//! What stands inside the ciphertext: versioned, padded, and carrying what the sender has seen.

use prost::Message as _;
use sovereign_proto::v1::{self, content::Kind};

use super::records::Said;

/// What is said about the sender's view beside the message itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Counts this device's messages in the group, from 1.
    pub(crate) counter: u64,
    pub(crate) seen_seq: u64,
    /// `None`: not known.
    pub(crate) seen_hash: Option<[u8; 32]>,
    /// Of the sender's own account.
    pub(crate) manifest_version: u64,
    pub(crate) manifest_hash: Option<[u8; 32]>,
    pub(crate) sent_at_ms: u64,
    /// Counts this device's messages with a life, this one included.
    pub(crate) expiring: u64,
    /// 0: this one has none.
    pub(crate) ttl_seconds: u64,
}

const VERSION: u32 = 1;
/// Contents grow in steps of this many bytes, so that lengths tell less.
const STEP: usize = 64;

/// The bytes to encrypt.
pub(crate) fn encode(said: &Said, view: &View) -> Vec<u8> {
    let (fallback, kind) = match said {
        Said::Text(text) => (String::new(), Kind::Text(v1::Text { text: text.clone() })),
        Said::Profile { name, revision, replaces } => {
            let replaces = replaces.map(|group| group.to_vec().into()).unwrap_or_default();
            (String::new(), Kind::GroupProfile(v1::GroupProfile { name: name.clone(), revision: *revision, replaces }))
        }
        Said::ProfileRequest => (String::new(), Kind::GroupProfileRequest(v1::GroupProfileRequest {})),
    };
    let hash = |hash: Option<[u8; 32]>| hash.map(|hash| hash.to_vec().into()).unwrap_or_default();
    let mut content = v1::Content {
        version: VERSION,
        fallback,
        sender_counter: view.counter,
        seen_seq: view.seen_seq,
        seen_hash: hash(view.seen_hash),
        manifest_version: view.manifest_version,
        manifest_hash: hash(view.manifest_hash),
        sent_at_ms: view.sent_at_ms,
        expiring_counter: view.expiring,
        ttl_seconds: view.ttl_seconds,
        kind: Some(kind),
        padding: bytes::Bytes::new(),
    };
    content.padding = vec![0; padding(content.encoded_len())].into();
    content.encode_to_vec()
}

/// What it says, or `None` if it is no content at all. What this version does not know becomes its fallback text.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Said, View)> {
    let content = v1::Content::decode(bytes).ok()?;
    let view = View {
        counter: content.sender_counter,
        seen_seq: content.seen_seq,
        seen_hash: content.seen_hash.as_ref().try_into().ok(),
        manifest_version: content.manifest_version,
        manifest_hash: content.manifest_hash.as_ref().try_into().ok(),
        sent_at_ms: content.sent_at_ms,
        expiring: content.expiring_counter,
        ttl_seconds: content.ttl_seconds,
    };
    let said = match content.kind {
        Some(Kind::Text(text)) if content.version == VERSION => Said::Text(text.text),
        Some(Kind::GroupProfile(profile)) if content.version == VERSION => {
            let replaces = profile.replaces.as_ref().try_into().ok();
            Said::Profile { name: profile.name, revision: profile.revision, replaces }
        }
        Some(Kind::GroupProfileRequest(_)) if content.version == VERSION => Said::ProfileRequest,
        _ => Said::Text(content.fallback),
    };
    Some((said, view))
}

/// Whether these bytes are the content of an application message, of whatever version.
#[must_use]
pub fn is_content(bytes: &[u8]) -> bool {
    decode(bytes).is_some()
}

/// The padding field costs two bytes (tag and length) beside its content, and is left out when it has none.
fn padding(length: usize) -> usize {
    match (STEP - length % STEP) % STEP {
        0 => 0,
        // A field of no content is not written, so two bytes cannot be filled by one.
        missing @ 1..=2 => missing + STEP - 2,
        missing => missing - 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_a_multiple_of_64_and_reads_back() {
        let view = View {
            counter: 3,
            seen_seq: 9,
            seen_hash: Some([1; 32]),
            manifest_version: 1,
            manifest_hash: Some([2; 32]),
            sent_at_ms: 7,
            expiring: 2,
            ttl_seconds: 60,
        };
        for length in 0..300 {
            let said = Said::Text("x".repeat(length));
            let bytes = encode(&said, &view);
            assert_eq!(bytes.len() % STEP, 0, "text of {length}");
            assert_eq!(decode(&bytes), Some((said, view.clone())));
        }
    }

    #[test]
    fn what_is_not_known_shows_its_fallback() {
        let newer = v1::Content { version: 2, fallback: "a poll".to_owned(), ..v1::Content::default() };
        assert_eq!(decode(&newer.encode_to_vec()).map(|(said, _)| said), Some(Said::Text("a poll".to_owned())));
        assert_eq!(decode(&[0xff; 5]), None);
    }
}
