//! The fallback over plain HTTPS, `POST /v1/exchange` (docs/protocol, Exchange): the names of its headers, and how frames
//! stand in a body.

use prost::bytes::{BufMut as _, Bytes, BytesMut};

/// The path of the endpoint.
pub const PATH: &str = "/v1/exchange";

/// Which session: 32 bytes in base64url without padding. Absent on the request that opens one.
pub const SESSION: &str = "sovereign-session";
/// How many frames of the other side have arrived.
pub const RECEIVED: &str = "sovereign-received";
/// How many frames were sent before those in the body.
pub const SENT: &str = "sovereign-sent";
/// How long the server may wait for something to come, in milliseconds; absent: not at all.
pub const WAIT: &str = "sovereign-wait";
/// The session is gone if nothing is heard of it for so many milliseconds.
pub const RETURN: &str = "sovereign-return";
/// The session ends with this close code (RFC 6455, section 7.4), said by whichever side ends it.
pub const CLOSED: &str = "sovereign-closed";

/// Bytes of the length before each frame: u32, big-endian.
const HEAD: usize = 4;

/// The frames of a body, or `None` if it ends within one.
#[must_use]
pub fn split(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let start = at + HEAD;
        let length = body.get(at..start)?.try_into().map(u32::from_be_bytes).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        if end > body.len() {
            return None;
        }
        frames.push(body.slice(start..end));
        at = end;
    }
    Some(frames)
}

/// A body of these frames.
///
/// # Panics
/// If a frame has 4 GiB or more, which no limit of the protocol allows.
#[must_use]
pub fn join<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut body = BytesMut::with_capacity(frames.clone().map(|frame| HEAD + frame.len()).sum());
    for frame in frames {
        body.put_u32(u32::try_from(frame.len()).expect("frames are bounded far below"));
        body.put_slice(frame);
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_again_and_a_cut_body_is_refused() {
        let frames = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let body = join(frames.iter());
        assert_eq!(split(&body).as_deref(), Some(&frames[..]));
        assert_eq!(split(&Bytes::new()), Some(Vec::new()));
        for cut in 1..body.len() {
            let whole = [7, 11].contains(&cut);
            assert_eq!(split(&body.slice(..cut)).is_some(), whole, "cut at {cut}");
        }
        assert_eq!(split(&Bytes::from_static(&[0xff; 8])), None, "a length beyond the body");
    }
}
