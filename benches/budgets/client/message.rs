//! Messages that look to a server as MLS messages do (RFC 9420, section 6.3): it reads the header and nothing else.

use bytes::Bytes;
use sovereign::entropy;
use sovereign_proto::v1;

/// Length of a client id.
pub const ID_BYTES: usize = 16;
/// Four bytes each of leaf, generation and reuse guard, and a tag of 16.
const SENDER_DATA_BYTES: usize = 28;

/// Makes messages of one group that are all different.
pub struct Mint {
    group_id: Bytes,
    template: Vec<u8>,
    prefix: [u8; 8],
    minted: u64,
}

impl Mint {
    /// For a group at an epoch; so many bytes each.
    pub fn new(group_id: Bytes, epoch: u64, bytes: usize) -> Self {
        // mls10, mls_private_message
        let mut template = vec![0, 1, 0, 2];
        template.push(u8::try_from(group_id.len()).ok().filter(|length| *length < 64).expect("a group id has 32 bytes"));
        template.extend_from_slice(&group_id);
        template.extend_from_slice(&epoch.to_be_bytes());
        // Content type application, no authenticated data.
        template.extend_from_slice(&[1, 0]);
        template.push(28);
        template.extend_from_slice(&entropy::random::<SENDER_DATA_BYTES>());
        let ciphertext = u16::try_from(bytes - template.len() - 2).expect("a message is short");
        template.extend_from_slice(&(0x4000 | ciphertext).to_be_bytes());
        template.extend((template.len()..bytes).map(|_| 0xa5));
        Self { group_id, template, prefix: entropy::random(), minted: 0 }
    }

    /// Whose messages these are.
    pub fn group_id(&self) -> &Bytes {
        &self.group_id
    }

    /// The next message: its id, and its bytes, which end with the id.
    pub fn next(&mut self) -> ([u8; ID_BYTES], Bytes) {
        self.minted += 1;
        // A multiplication by an odd number spreads the ids without repeating one.
        let spread = self.minted.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut id = [0; ID_BYTES];
        id[..8].copy_from_slice(&spread.to_be_bytes());
        id[8..].copy_from_slice(&self.prefix);
        let at = self.template.len() - ID_BYTES;
        self.template[at..].copy_from_slice(&id);
        (id, Bytes::copy_from_slice(&self.template))
    }

    /// The next message as a request.
    pub fn request(&mut self) -> v1::SendMessageRequest {
        let (id, ciphertext) = self.next();
        let message =
            v1::OutgoingMessage { client_id: Bytes::copy_from_slice(&id), ciphertext, ..v1::OutgoingMessage::default() };
        v1::SendMessageRequest { group_id: self.group_id.clone(), message: Some(message) }
    }
}
