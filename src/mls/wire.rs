//! The MLS wire format: a reader for the few fields read by hand, and the strict way into openmls's types.

use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn,
    tls_codec::{Deserialize as _, Serialize as _},
};

use super::{Refused, measure::measure};

/// Reads TLS presentation language (RFC 9420, section 2.1) from the front of a slice.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refused> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refused> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refused> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_be_bytes)
    }

    /// A vector with a variable-size length (RFC 9420, section 2.1.2), which has to be the shortest one.
    pub(super) fn vector(&mut self) -> Result<&'a [u8], Refused> {
        let first = u32::from(self.u8()?);
        let (length, shortest) = match first >> 6 {
            0 => (first, true),
            1 => {
                let length = (first & 0x3f) << 8 | u32::from(self.u8()?);
                (length, length >= 1 << 6)
            }
            2 => {
                let [a, b, c] = self.array()?;
                let length = u32::from_be_bytes([0, a, b, c]) | (first & 0x3f) << 24;
                (length, length >= 1 << 14)
            }
            _ => return Err(Refused::Malformed),
        };
        if !shortest {
            return Err(Refused::NotCanonical);
        }
        self.take(usize::try_from(length).map_err(|_| Refused::Malformed)?)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `mls10` and a wire format (RFC 9420, section 6), with which every `MLSMessage` starts.
pub(super) const PUBLIC_MESSAGE: [u8; 4] = [0, 1, 0, 1];
/// See [`PUBLIC_MESSAGE`].
pub(super) const PRIVATE_MESSAGE: [u8; 4] = [0, 1, 0, 2];
/// See [`PUBLIC_MESSAGE`].
pub(super) const WELCOME: [u8; 4] = [0, 1, 0, 3];
/// See [`PUBLIC_MESSAGE`].
pub(super) const GROUP_INFO: [u8; 4] = [0, 1, 0, 4];
/// See [`PUBLIC_MESSAGE`].
pub(super) const KEY_PACKAGE: [u8; 4] = [0, 1, 0, 5];

/// Decodes an `MLSMessage` that starts with `start`, strictly: nothing behind it, and encoding it again gives the same
/// bytes.
pub(super) fn decode(bytes: &[u8], start: [u8; 4]) -> Result<MlsMessageBodyIn, Refused> {
    if !bytes.starts_with(&start) {
        return Err(Refused::Malformed);
    }
    measure(bytes, start)?;
    let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| Refused::Malformed)?;
    if message.tls_serialize_detached().is_ok_and(|again| again == bytes) {
        Ok(message.extract())
    } else {
        Err(Refused::NotCanonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_take_only_the_shortest_length() {
        assert_eq!(Reader::new(&[2, 7, 8]).vector(), Ok(&[7, 8][..]));
        assert_eq!(Reader::new(&[0x40, 2, 7, 8]).vector(), Err(Refused::NotCanonical));
        assert_eq!(Reader::new(&[0x80, 0, 0, 2, 7, 8]).vector(), Err(Refused::NotCanonical));
        assert_eq!(Reader::new(&[0xc0, 0, 0, 0, 0, 0, 0, 1, 7]).vector(), Err(Refused::Malformed));
        assert_eq!(Reader::new(&[0xbf, 0xff, 0xff, 0xff]).vector(), Err(Refused::Malformed));
        let long = [&[0x40, 0x40][..], &[9; 64]].concat();
        assert_eq!(Reader::new(&long).vector(), Ok(&[9; 64][..]));
    }
}
