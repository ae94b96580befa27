//! From the wire's bytes to the house's types, with refusals that say which field is wrong.

use bytes::Bytes;

use crate::{
    ids::{AccountId, ClaimId, ClientId, DeviceId, GroupId},
    limits::{Limits, PASSWORD, TTL_SECONDS_MIN},
    refusal::Refusal,
    store::NewMessage,
};

use sovereign_proto::v1;
use zeroize::Zeroizing;

macro_rules! parser {
    ($function:ident, $type:ty, $message:literal) => {
        pub fn $function(bytes: &[u8]) -> Result<$type, Refusal> {
            <$type>::try_from(bytes).map_err(|_| Refusal::invalid($message))
        }
    };
}

parser!(account_id, AccountId, "account_id is not 16 bytes");
parser!(device_id, DeviceId, "device_id is not 16 bytes");
parser!(group_id, GroupId, "group_id is not 32 bytes");
parser!(claim_id, ClaimId, "claim_id is not 16 bytes");
parser!(client_id, ClientId, "client_id is not 16 bytes");

/// 32 bytes of a key or a hash.
pub fn key(bytes: &[u8], message: &'static str) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| Refusal::invalid(message))
}

/// A username in its normal form: lower-cased ASCII, `[a-z0-9._-]{2,32}`.
pub fn username(text: &str) -> Result<String, Refusal> {
    let normal = text.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if (2..=32).contains(&normal.len()) && normal.bytes().all(allowed) {
        Ok(normal)
    } else {
        Err(Refusal::invalid("a username has 2 to 32 characters of a-z, 0-9, '.', '_' and '-'"))
    }
}

/// A password to set, in a buffer that is wiped; `None` where it is empty.
pub fn new_password(text: String) -> Result<Option<Zeroizing<String>>, Refusal> {
    let text = Zeroizing::new(text);
    match text.len() {
        0 => Ok(None),
        length if PASSWORD.contains(&length) => Ok(Some(text)),
        _ => Err(Refusal::invalid("a password has 8 to 256 bytes")),
    }
}

/// The bytes for themselves. What a decoded request holds is a slice of its frame and of the connection's read buffer:
/// whatever outlives the request would keep both, of whatever size.
pub fn detached(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// An application message of bounded size.
pub fn outgoing(message: &v1::OutgoingMessage, limits: &Limits) -> Result<NewMessage, Refusal> {
    if message.ciphertext.len() > limits.application_message {
        return Err(Refusal::too_large("the message is above the announced limit of application_message bytes"));
    }
    let ttl = message.ttl_seconds;
    if ttl != 0 && !(TTL_SECONDS_MIN..=limits.ttl_seconds).contains(&ttl) {
        return Err(Refusal::invalid("a message lives 60 seconds at least, and no longer than the server keeps messages"));
    }
    Ok(NewMessage {
        client_id: client_id(&message.client_id)?,
        ciphertext: detached(&message.ciphertext),
        ttl_ms: (ttl != 0).then_some(ttl * 1000),
        urgent: message.urgent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_nothing_of_its_frame() {
        let frame = Bytes::from(vec![7; 1 << 20]);
        let (client_id, ciphertext) = (frame.slice(..16), frame.slice(16..100));
        let message = v1::OutgoingMessage { client_id, ciphertext, ttl_seconds: 0, urgent: false };
        let kept = outgoing(&message, &Limits::default()).ok().expect("it is in order");
        drop(message);
        assert_eq!(kept.ciphertext.len(), 84);
        assert!(frame.is_unique(), "the frame is still held");
    }

    #[test]
    fn a_life_has_its_bounds() {
        let limits = Limits::default();
        let lives = |ttl_seconds| {
            let client_id = Bytes::from_static(&[1; 16]);
            let message = v1::OutgoingMessage { client_id, ttl_seconds, ..v1::OutgoingMessage::default() };
            outgoing(&message, &limits).ok().map(|message| message.ttl_ms)
        };
        assert_eq!(lives(0), Some(None));
        assert_eq!(lives(60), Some(Some(60_000)));
        assert_eq!(lives(30 * 24 * 3600), Some(Some(30 * 24 * 3_600_000)));
        for refused in [1, 59, 30 * 24 * 3600 + 1, u64::MAX] {
            assert_eq!(lives(refused), None, "{refused}");
        }
    }

    #[test]
    fn usernames_are_normalised_or_refused() {
        assert_eq!(username("Ada.L-1_x").ok().as_deref(), Some("ada.l-1_x"));
        assert_eq!(username("me").ok().as_deref(), Some("me"), "the README's own line");
        for bad in ["a", "a b c", "adа", "ada\0", "\u{202e}ada", &"a".repeat(33), "ada@x", ""] {
            assert!(username(bad).is_err(), "{bad:?} was taken");
        }
    }
}
