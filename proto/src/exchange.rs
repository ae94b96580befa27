//! The fallback over plain HTTPS, `POST /v1/exchange` (docs/protocol, Exchange): the names of its headers, and how frames
//! stand in a body.

use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

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

/// The frames of a body, one after another: those that are not taken cost nothing.
#[derive(Clone, Debug)]
pub struct Frames(Bytes);

/// The frames of a body, or `None` if it ends within one.
#[must_use]
pub fn split(body: &Bytes) -> Option<Frames> {
    let mut rest = &body[..];
    while !rest.is_empty() {
        rest = rest.get(HEAD.checked_add(length(rest)?)?..)?;
    }
    Some(Frames(body.clone()))
}

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = length(&self.0)?;
        self.0.advance(HEAD);
        Some(self.0.split_to(length))
    }
}

/// Of the frame that begins here.
fn length(rest: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()
}

/// A body of these frames.
///
/// # Panics
/// If a frame has 4 GiB or more, which no limit of the protocol allows.
#[must_use]
pub fn join<F: AsRef<[u8]>>(frames: impl Iterator<Item = F> + Clone) -> Bytes {
    let mut body = BytesMut::with_capacity(frames.clone().map(|frame| HEAD + frame.as_ref().len()).sum());
    for frame in frames {
        let frame = frame.as_ref();
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
        assert!(split(&body).expect("whole").eq(frames.iter()));
        assert_eq!(split(&Bytes::new()).expect("whole").count(), 0);
        for cut in 1..body.len() {
            let whole = [7, 11].contains(&cut);
            assert_eq!(split(&body.slice(..cut)).is_some(), whole, "cut at {cut}");
        }
        assert!(split(&Bytes::from_static(&[0xff; 8])).is_none(), "a length beyond the body");
    }
}
