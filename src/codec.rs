//! Bytes to Envelope and back. Hostile bytes are measured before they are decoded, so that decoding costs at most a
//! small multiple of the frame.

use bytes::Bytes;
use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};
use sovereign_proto::v1::{self, Envelope, envelope, push, request, response};

use crate::limits::FIELDS_PER_REQUEST;

/// What a client may send, decoded.
pub enum FromClient {
    /// To be answered exactly once under this id.
    Request {
        /// Above 0.
        id: u64,
        /// Which one.
        body: request::Body,
    },
    /// One-way.
    Notice(v1::Notice),
}

/// Why a frame is no envelope of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// To be refused under this id; 0: none could be read.
    pub request_id: u64,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Fields of the envelope, and of the request around its body.
const OUTER_FIELDS: usize = 16;

/// Reads a client's frame.
pub fn decode(frame: &Bytes) -> Result<FromClient, Malformed> {
    let request_id = measure(frame)?;
    let malformed = |reason| Malformed { request_id, reason };
    let envelope = Envelope::decode(frame.clone()).map_err(|_| malformed("the frame is no Envelope"))?;
    match envelope.body {
        Some(envelope::Body::Request(v1::Request { body: Some(body) })) if request_id != 0 => {
            Ok(FromClient::Request { id: request_id, body })
        }
        Some(envelope::Body::Request(v1::Request { body: Some(_) })) => Err(malformed("a request needs a request_id above 0")),
        // A newer client's request has a body this server does not know: prost reads it as unset.
        Some(envelope::Body::Request(v1::Request { body: None })) => Err(malformed(UNKNOWN_REQUEST)),
        Some(envelope::Body::Notice(notice)) => Ok(FromClient::Notice(notice)),
        // What else there is was not let through to here.
        Some(_) | None => Err(malformed("the Envelope has no body")),
    }
}

/// The reason of [`Malformed`] that is answered `unimplemented`.
pub const UNKNOWN_REQUEST: &str = "the request has no body this server knows";

/// The answer to a request.
#[must_use]
pub fn response(request_id: u64, body: response::Body) -> Bytes {
    encode(&Envelope { request_id, body: Some(envelope::Body::Response(v1::Response { body: Some(body) })) })
}

/// The refusal of a request.
#[must_use]
pub fn failure(request_id: u64, failure: v1::Failure) -> Bytes {
    encode(&Envelope { request_id, body: Some(envelope::Body::Failure(failure)) })
}

/// Something unasked.
#[must_use]
pub fn push(body: push::Body) -> Bytes {
    encode(&Envelope { request_id: 0, body: Some(envelope::Body::Push(v1::Push { body: Some(body) })) })
}

fn encode(envelope: &Envelope) -> Bytes {
    envelope.encode_to_vec().into()
}

/// Walks the envelope, the request in it and the request's own fields, counting; finds the request id on the way.
fn measure(frame: &[u8]) -> Result<u64, Malformed> {
    let mut request_id = 0;
    let malformed = |request_id, reason| Malformed { request_id, reason };
    let mut inner = None;
    let mut rest = frame;
    let mut fields = 0;
    let mut broken = false;
    while !rest.is_empty() {
        fields += 1;
        match field(&mut rest) {
            Some((1, Value::Varint(id))) => request_id = id,
            // Of two bodies prost would decode both, into one another.
            Some((2 | 6, Value::Bytes(body))) => broken = inner.replace(body).is_some(),
            // Measured by nobody, so decoded by nobody.
            Some((3..=5, _)) => return Err(malformed(request_id, "only requests and notices travel to the server")),
            Some(_) => {}
            None => broken = true,
        }
        if broken || fields > OUTER_FIELDS {
            return Err(malformed(request_id, "the frame is no Envelope"));
        }
    }
    let Some(inner) = inner else { return Ok(request_id) };
    is_bounded(inner).then_some(request_id).ok_or(malformed(request_id, "the message is malformed or has too many fields"))
}

/// Whether a request or a notice has few fields, and all that stands in them together has no more than a request may.
fn is_bounded(mut message: &[u8]) -> bool {
    let (mut outer, mut inner) = (0, 0);
    while !message.is_empty() {
        outer += 1;
        let counted = match field(&mut message) {
            Some((_, Value::Bytes(body))) => count(body),
            Some(_) => Some(0),
            None => None,
        };
        let Some(counted) = counted else { return false };
        inner += counted;
        if outer > OUTER_FIELDS || inner > FIELDS_PER_REQUEST {
            return false;
        }
    }
    true
}

/// The fields of a message, if it is one; counting ends above the most a request may have.
fn count(mut message: &[u8]) -> Option<usize> {
    let mut fields = 0;
    while !message.is_empty() && fields <= FIELDS_PER_REQUEST {
        fields += 1;
        field(&mut message)?;
    }
    Some(fields)
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The next field of a message; groups, tag 0 and lengths beyond the message are none.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (tag, wire_type) = decode_key(message).ok()?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(decode_varint(message).ok()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(message).ok()?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Value::Bytes(bytes)
        }
        WireType::SixtyFourBit => fixed(message, 8)?,
        WireType::ThirtyTwoBit => fixed(message, 4)?,
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    Some((tag, value))
}

fn fixed<'a>(message: &mut &'a [u8], length: usize) -> Option<Value<'a>> {
    *message = message.split_at_checked(length)?.1;
    Some(Value::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(id: u64) -> Vec<u8> {
        let body = Some(request::Body::Ping(v1::PingRequest { client_time_ms: 7 }));
        Envelope { request_id: id, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec()
    }

    fn refused(frame: &[u8]) -> Option<Malformed> {
        decode(&Bytes::copy_from_slice(frame)).err()
    }

    #[test]
    fn a_request_is_read() {
        assert!(matches!(decode(&ping(3).into()), Ok(FromClient::Request { id: 3, body: request::Body::Ping(_) })));
    }

    #[test]
    fn every_cut_of_a_frame_is_refused_and_keeps_the_id_where_it_can() {
        let frame = ping(3);
        for cut in 0..frame.len() {
            let refused = refused(&frame[..cut]).unwrap_or_else(|| panic!("cut at {cut} was read"));
            assert!(cut < 2 || refused.request_id == 3, "cut at {cut} lost the id");
        }
    }

    #[test]
    fn request_id_zero_is_refused() {
        assert_eq!(refused(&ping(0)).map(|malformed| malformed.request_id), Some(0));
    }

    #[test]
    fn a_request_of_a_newer_client_is_told_apart() {
        // request_id 5, request { field 500, empty }
        let frame = [0x08, 5, 0x12, 3, 0xa2, 0x1f, 0];
        assert_eq!(refused(&frame), Some(Malformed { request_id: 5, reason: UNKNOWN_REQUEST }));
    }

    #[test]
    fn a_client_cannot_push() {
        let frame = push(push::Body::Live(v1::Live {}));
        assert!(refused(&frame).is_some());
    }

    /// `field { inner }`, length before it.
    fn within(field: u32, inner: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(field, WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend(inner);
        bytes
    }

    #[test]
    fn masses_of_empty_submessages_are_refused_before_decoding() {
        let id = vec![0x08, 1];
        let commit = |messages| within(50, &within(5, b"").repeat(messages));
        let small = within(2, &commit(8));
        let rows = [
            ("in a request", within(2, &commit(2000))),
            ("in the first of two requests", [within(2, &commit(2000)), small.clone()].concat()),
            ("in the last of two requests", [small.clone(), within(2, &commit(2000))].concat()),
            ("in many bodies of one request", within(2, &commit(1000).repeat(8))),
            ("in a request behind a notice", [within(6, b""), within(2, &commit(2000))].concat()),
            ("in a notice", within(6, &within(1, &within(1, b"").repeat(2000)))),
            ("in a response", within(3, &within(65, &within(1, b"").repeat(2000)))),
            ("in a failure", within(4, &within(4, &within(2, b"").repeat(2000)))),
            ("in a push", within(5, &within(2, &within(2, b"").repeat(2000)))),
            ("in a push beside a request", [within(5, &within(2, &within(2, b"").repeat(2000))), small.clone()].concat()),
        ];
        for (place, body) in rows {
            let refused = measure(&[id.clone(), body].concat()).err();
            assert_eq!(refused.map(|malformed| malformed.request_id), Some(1), "{place}");
        }
        assert_eq!(measure(&[id, small].concat()).ok(), Some(1), "a few are none");
    }

    #[test]
    fn groups_tag_zero_and_lying_lengths_are_refused() {
        for bytes in [
            &[0x0b_u8][..],
            &[0x00, 1],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert!(refused(bytes).is_some(), "{bytes:?} was read");
        }
    }
}
