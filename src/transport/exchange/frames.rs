//! Frames in a body: each with its length before it (u32, big-endian), as on the control socket.

use bytes::{BufMut as _, Bytes, BytesMut};

const HEAD: usize = 4;

/// The frames of a body, or `None` if it ends within one.
pub(super) fn split(body: &Bytes) -> Option<Vec<Bytes>> {
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
pub(super) fn join(frames: &[Bytes]) -> Bytes {
    let mut body = BytesMut::with_capacity(frames.iter().map(|frame| HEAD + frame.len()).sum());
    for frame in frames {
        body.put_u32(u32::try_from(frame.len()).expect("a session's frames are far smaller"));
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
        let body = join(&frames);
        assert_eq!(split(&body).as_deref(), Some(&frames[..]));
        assert_eq!(split(&Bytes::new()), Some(Vec::new()));
        for cut in 1..body.len() {
            let whole = [7, 11].contains(&cut);
            assert_eq!(split(&body.slice(..cut)).is_some(), whole, "cut at {cut}");
        }
        assert_eq!(split(&Bytes::from_static(&[0xff; 8])), None, "a length beyond the body");
    }
}
