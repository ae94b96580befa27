//! Messages that look to a server as MLS messages do (RFC 9420, section 6.3): it reads the header and nothing else.

use bytes::Bytes;
use sovereign_proto::v1;

use crate::entropy;

/// Length of a client id.
pub const ID_BYTES: usize = 16;
/// Length of the stamp before it.
const STAMP_BYTES: usize = 8;
/// Four bytes each of leaf, generation and reuse guard, and a tag of 16.
const SENDER_DATA_BYTES: usize = 28;
/// The shortest message: its header, a stamp, an id, and a little content.
pub const MESSAGE_BYTES_MIN: usize = 160;

/// Makes messages of one group that are all different.
pub struct Mint {
    group_id: Bytes,
    template: Vec<u8>,
    prefix: [u8; 8],
    minted: u64,
}

impl Mint {
    /// For a group at an epoch. So many bytes each, of which a variable-length integer (RFC 9420, section 2.1.2) may take
    /// two less where there is no other way to write the length.
    ///
    /// # Panics
    /// If `bytes` is below [`MESSAGE_BYTES_MIN`], or the group's id is no group's id.
    #[must_use]
    pub fn new(group_id: Bytes, epoch: u64, bytes: usize) -> Self {
        assert!(bytes >= MESSAGE_BYTES_MIN, "a message of {bytes} bytes has no room for its header");
        // mls10, mls_private_message
        let mut template = vec![0, 1, 0, 2];
        template.push(u8::try_from(group_id.len()).ok().filter(|length| *length < 64).expect("a group id has 32 bytes"));
        template.extend_from_slice(&group_id);
        template.extend_from_slice(&epoch.to_be_bytes());
        // Content type application, no authenticated data.
        template.extend_from_slice(&[1, 0]);
        template.push(28);
        template.extend_from_slice(&entropy::random::<SENDER_DATA_BYTES>());
        let (length, ciphertext) = ciphertext_of(bytes - template.len());
        template.extend_from_slice(&length);
        template.resize(template.len() + ciphertext, 0xa5);
        Self { group_id, template, prefix: entropy::random(), minted: 0 }
    }

    /// Whose messages these are.
    #[must_use]
    pub fn group_id(&self) -> &Bytes {
        &self.group_id
    }

    /// The next message: its id, and its bytes, which end with the id.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and nobody adapts it")]
    pub fn next(&mut self) -> ([u8; ID_BYTES], Bytes) {
        self.minted += 1;
        self.message(self.minted, 0)
    }

    /// The message of this number, which is the same one whenever it is asked for. It carries a stamp of 8 bytes, which
    /// [`Mint::stamp`] reads from it where it arrives.
    pub fn message(&mut self, number: u64, stamp: u64) -> ([u8; ID_BYTES], Bytes) {
        // A multiplication by an odd number spreads the ids without repeating one.
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut id = [0; ID_BYTES];
        id[..8].copy_from_slice(&spread.to_be_bytes());
        id[8..].copy_from_slice(&self.prefix);
        let at = self.template.len() - ID_BYTES;
        self.template[at..].copy_from_slice(&id);
        self.template[at - STAMP_BYTES..at].copy_from_slice(&stamp.to_be_bytes());
        (id, Bytes::copy_from_slice(&self.template))
    }

    /// The message of this number as a request.
    pub fn request(&mut self, number: u64, stamp: u64) -> v1::SendMessageRequest {
        let (id, ciphertext) = self.message(number, stamp);
        let message =
            v1::OutgoingMessage { client_id: Bytes::copy_from_slice(&id), ciphertext, ..v1::OutgoingMessage::default() };
        v1::SendMessageRequest { group_id: self.group_id.clone(), message: Some(message), in_order: false, anew: false }
    }

    /// The next message as a request.
    pub fn next_request(&mut self) -> v1::SendMessageRequest {
        self.minted += 1;
        self.request(self.minted, 0)
    }

    /// The stamp of a message of any mint.
    #[must_use]
    pub fn stamp(message: &[u8]) -> Option<u64> {
        let end = message.len().checked_sub(ID_BYTES)?;
        let stamp = message.get(end.checked_sub(STAMP_BYTES)?..end)?;
        stamp.try_into().ok().map(u64::from_be_bytes)
    }
}

/// How a ciphertext's length is written, and that length: as much as fits `room`, with the shortest possible encoding,
/// which is the only valid one.
fn ciphertext_of(room: usize) -> (Vec<u8>, usize) {
    const TWO: usize = 1 << 14;
    let length = (room - 2).min(TWO - 1);
    if room - 4 < TWO {
        let short = u16::try_from(length).expect("below 2^14");
        return ((0x4000 | short).to_be_bytes().to_vec(), length);
    }
    let long = u32::try_from(room - 4).expect("a message is far below 2^30 bytes");
    ((0x8000_0000 | long).to_be_bytes().to_vec(), room - 4)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, tls_codec::Deserialize as _};

    use super::*;

    fn mint(bytes: usize) -> Mint {
        Mint::new(Bytes::from_static(&[7; 32]), 3, bytes)
    }

    #[test]
    fn openmls_reads_their_header_at_every_size() {
        for bytes in [MESSAGE_BYTES_MIN, 1024, 16_458, 16_459, 16_460, 16_461, 16_462, 16_463, 16_464, 16_465, 65_536] {
            let (_, message) = mint(bytes).next();
            assert!(message.len() <= bytes && message.len() + 2 >= bytes, "{bytes}: {}", message.len());
            let parsed = MlsMessageIn::tls_deserialize_exact(&message[..]).expect("an MLSMessage");
            let MlsMessageBodyIn::PrivateMessage(private) = parsed.extract() else { panic!("a private message") };
            assert_eq!(private.epoch().as_u64(), 3);
        }
    }

    #[test]
    fn a_number_names_one_message_and_the_stamp_arrives() {
        let mut mint = mint(256);
        let (id, message) = mint.message(5, 77);
        assert_eq!(Mint::stamp(&message), Some(77));
        assert_eq!(&message[message.len() - ID_BYTES..], id);
        assert_eq!(mint.message(5, 77), (id, message));
        let ids: HashSet<_> = (0..1000).map(|number| mint.message(number, 0).0).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(Mint::stamp(&[0; 10]), None);
    }
}
