//! The server's long-term identity: an Ed25519 key whose hash stands in every invite link and that signs every `Hello`.

use std::{fmt, io, path::Path};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use sovereign_proto::signed;
use zeroize::Zeroizing;

use super::secret;
use crate::{clock::UnixMs, entropy, ids::ServerId, private_file};

/// Name of the file in the data directory: the 32 bytes of the key's seed.
pub const FILE_NAME: &str = "server.key";

/// The key cannot be had.
#[derive(Debug)]
pub enum ServerKeyError {
    /// The file cannot be read or written, or others may read it.
    Io(io::Error),
    /// The file is not 32 bytes long.
    Damaged,
}

impl fmt::Display for ServerKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the server's key ({FILE_NAME}): {error}"),
            Self::Damaged => {
                write!(f, "the server's key ({FILE_NAME}) is damaged: restore it from a backup, clients have pinned it")
            }
        }
    }
}

impl std::error::Error for ServerKeyError {}

/// The server's key. Never printed; forgotten from memory when dropped.
pub struct ServerKey {
    key: SigningKey,
    server_id: ServerId,
}

impl ServerKey {
    /// The key of this data directory, made on first use.
    pub fn load_or_create(data: &Path) -> Result<Self, ServerKeyError> {
        let path = data.join(FILE_NAME);
        if let Some(bytes) = private_file::read(&path, 32).map_err(ServerKeyError::Io)?.map(Zeroizing::new) {
            let seed: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().map_err(|_| ServerKeyError::Damaged)?);
            return Ok(Self::from_seed(&seed));
        }
        let seed = Zeroizing::new(entropy::random::<32>());
        private_file::write(&path, seed.as_slice()).map_err(ServerKeyError::Io)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let server_id = ServerId(Sha256::digest(key.verifying_key().as_bytes()).into());
        Self { key, server_id }
    }

    /// SHA-256 of the public key.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.server_id
    }

    /// The server id as it stands in links: base64url without padding.
    #[must_use]
    pub fn server_id_text(&self) -> String {
        BASE64URL_NOPAD.encode(self.server_id.as_bytes())
    }

    /// The public key, 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The signature of a `Hello`, 64 bytes.
    #[must_use]
    pub fn sign_hello(&self, server_name: &str, challenge: &[u8; 32], server_time_ms: UnixMs) -> [u8; 64] {
        self.key.sign(&signed::hello(self.server_id.as_bytes(), server_name, challenge, server_time_ms)).to_bytes()
    }

    /// The token that replaces `token`: the same each time it is asked for, so that a client whose answer was lost gets
    /// the first answer again, and of no use to anybody who has not this key.
    #[must_use]
    pub fn successor_of(&self, token: &str) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.key.to_bytes());
        let statement = Zeroizing::new(signed::labelled("Token successor", &[seed.as_slice(), token.as_bytes()]));
        secret::token_of(&Zeroizing::new(Sha256::digest(statement.as_slice()).into()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;

    #[test]
    fn is_made_once_and_private() {
        let data = tempfile::tempdir().expect("a scratch directory");
        let first = ServerKey::load_or_create(data.path()).expect("it can be made");
        let again = ServerKey::load_or_create(data.path()).expect("it can be read");
        assert_eq!(first.public(), again.public());
        assert_eq!(first.server_id_text().len(), 43);
        let path = data.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).expect("it exists").permissions().mode() & 0o777, 0o600);
        private_file::write(&path, &[1; 31]).expect("it can be replaced");
        assert!(matches!(ServerKey::load_or_create(data.path()), Err(ServerKeyError::Damaged)));
    }

    #[test]
    fn successors_are_repeatable_and_secret() {
        let (key, other) = (ServerKey::from_seed(&[3; 32]), ServerKey::from_seed(&[4; 32]));
        let token = secret::token();
        assert_eq!(key.successor_of(&token), key.successor_of(&token));
        assert_ne!(key.successor_of(&token), other.successor_of(&token));
        assert!(secret::is_token(&key.successor_of(&token)));
    }

    #[test]
    fn signs_what_the_contract_says() {
        let key = ServerKey::from_seed(&[3; 32]);
        let signature = Signature::from_bytes(&key.sign_hello("home", &[5; 32], 7));
        let message = signed::hello(&Sha256::digest(key.public()), "home", &[5; 32], 7);
        let public = VerifyingKey::from_bytes(&key.public()).expect("it is a public key");
        assert!(public.verify_strict(&message, &signature).is_ok());
    }
}
