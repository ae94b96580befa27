//! Encrypts rows and hides their names. A row opens only in its own place: table, name and position are authenticated.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::VaultError;
use crate::entropy;

/// A row's name as it stands in the file: a keyed hash of its real key.
pub(super) type Name = [u8; 32];

const NONCE_LENGTH: usize = 24;

/// The two keys that come from the vault's key.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    names: Zeroizing<[u8; 32]>,
}

/// Where a row stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) space: u8,
    pub(super) name: Name,
    pub(super) position: u64,
}

impl Seal {
    pub(super) fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        let rows = Zeroizing::new(hmac(key, &[b"rows"]));
        Self { cipher: XChaCha20Poly1305::new(rows.as_slice().into()), names: Zeroizing::new(hmac(key, &[b"names"])) }
    }

    pub(super) fn name(&self, space: u8, key: &[u8]) -> Name {
        hmac(&self.names, &[&[space], key])
    }

    /// A fresh nonce, then the ciphertext.
    pub(super) fn seal(&self, place: Place, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LENGTH] = entropy::random();
        let payload = Payload { msg: plain, aad: &place.aad() };
        let sealed =
            self.cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("a row is far below the cipher's bound of 256 GiB");
        [&nonce, sealed.as_slice()].concat()
    }

    pub(super) fn open(&self, place: Place, row: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, sealed) = row.split_at_checked(NONCE_LENGTH).ok_or(VaultError::Sealed)?;
        let payload = Payload { msg: sealed, aad: &place.aad() };
        let plain = self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| VaultError::Sealed)?;
        Ok(Zeroizing::new(plain))
    }
}

impl Place {
    fn aad(&self) -> [u8; 41] {
        let mut aad = [0; 41];
        aad[0] = self.space;
        aad[1..33].copy_from_slice(&self.name);
        aad[33..].copy_from_slice(&self.position.to_be_bytes());
        aad
    }
}

/// HMAC-SHA-256 (RFC 2104) with a 32-byte key.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = Zeroizing::new([with; 64]);
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Sha256::new_with_prefix(pad(0x36).as_slice());
    for part in parts {
        inner.update(part);
    }
    Sha256::new_with_prefix(pad(0x5c).as_slice()).chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        // Test case 2 has a shorter key, which HMAC pads with zeros to the block: the same as zeros up to 32 bytes.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(data_encoding::HEXLOWER.encode(&hmac(&key, &[b"what do ya want ", b"for nothing?"])), expected);
    }

    #[test]
    fn opens_only_in_its_place() {
        let seal = Seal::new(&Zeroizing::new([7; 32]));
        let place = Place { space: 1, name: seal.name(1, b"a"), position: 3 };
        let row = seal.seal(place, b"content");
        assert_eq!(seal.open(place, &row).expect("its own place").as_slice(), b"content");
        for other in [Place { space: 2, ..place }, Place { name: seal.name(1, b"b"), ..place }, Place { position: 4, ..place }] {
            assert!(matches!(seal.open(other, &row), Err(VaultError::Sealed)));
        }
        assert!(matches!(seal.open(place, &row[..20]), Err(VaultError::Sealed)));
    }
}
