//! The key of this installation: proves the device to the server and signs its MLS leaves.

use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use zeroize::Zeroizing;

/// An Ed25519 key pair. The private half is wiped when the last owner drops it and is never printed.
pub struct DeviceKey {
    key: SigningKey,
}

impl DeviceKey {
    /// A fresh key from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_secret(&Zeroizing::new(crate::entropy::random()))
    }

    /// The key with these 32 secret bytes.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(secret) }
    }

    /// Ed25519 over `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The secret bytes, for the vaults of tests.
    #[cfg(test)]
    pub(crate) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

/// Whether `signature` over `bytes` is by `public`. Keys and signatures of wrong length verify nothing.
#[must_use]
pub fn verify(public: &[u8; 32], bytes: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(public), ed25519_dalek::Signature::from_slice(signature)) else {
        return false;
    };
    key.verify(bytes, &signature).is_ok()
}

impl Signer for DeviceKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(DeviceKey::sign(self, payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_what_its_public_half_verifies_and_never_prints_itself() {
        let key = DeviceKey::generate();
        let signature = DeviceKey::sign(&key, b"bytes");
        assert!(verify(&key.public(), b"bytes", &signature));
        assert!(!verify(&key.public(), b"other", &signature));
        assert!(!verify(&key.public(), b"bytes", &signature[..63]));
        assert_eq!(format!("{key:?}"), "DeviceKey");
        assert_eq!(DeviceKey::from_secret(&key.secret()).public(), key.public());
    }
}
