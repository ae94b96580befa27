//! The vault's key: 32 random bytes in a file of mode 0600, plain or wrapped by a passphrase.
//!
//! ```text
//! "sovereign vault key\n" || version = 1 (u8) || kind (u8)
//! kind 0, plain:   key (32)
//! kind 1, wrapped: memory_kib (u32 BE) || passes (u32 BE) || lanes (u32 BE) || salt (16) || nonce (24) || sealed key (48)
//! ```
//! The wrapping key is Argon2id of the passphrase; everything before the nonce is authenticated with the sealed key.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce, aead::Aead as _, aead::Payload};
use zeroize::Zeroizing;

use super::OpenError;
use crate::entropy;

/// Why the key file gave no key.
#[derive(Debug)]
pub enum KeyError {
    /// The file could not be read.
    Io(io::Error),
    /// It is no key file of a version this program knows.
    Unknown,
    /// The key is wrapped and no passphrase was given.
    PassphraseNeeded,
    /// The passphrase does not open it (or the file is damaged).
    WrongPassphrase,
}

const MAGIC: &[u8] = b"sovereign vault key\n";
const PLAIN: u8 = 0;
const WRAPPED: u8 = 1;
/// Argon2id: 64 MiB, 3 passes, 1 lane. Asked once per start, so it may cost more than a sign-in does.
const COST: [u32; 3] = [64 * 1024, 3, 1];
/// What a file may ask for at most: 1 GiB, so that a planted file cannot exhaust the machine.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;

/// Writes a fresh key to `path`, durably.
pub(super) fn create(path: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let key = Zeroizing::new(entropy::random::<32>());
    let mut bytes = Zeroizing::new([MAGIC, &[1]].concat());
    match passphrase {
        None => {
            bytes.push(PLAIN);
            bytes.extend_from_slice(key.as_slice());
        }
        Some(passphrase) => {
            bytes.push(WRAPPED);
            for cost in COST {
                bytes.extend_from_slice(&cost.to_be_bytes());
            }
            let salt: [u8; 16] = entropy::random();
            bytes.extend_from_slice(&salt);
            let cipher = wrapping(passphrase, &salt, COST).map_err(OpenError::Key)?;
            let nonce: [u8; 24] = entropy::random();
            let sealed = cipher
                .encrypt(XNonce::from_slice(&nonce), Payload { msg: key.as_slice(), aad: &bytes })
                .expect("32 bytes are within the cipher's bound");
            bytes.extend_from_slice(&nonce);
            bytes.extend_from_slice(&sealed);
        }
    }
    write(path, &bytes).map_err(|error| OpenError::Io(path.to_owned(), error))?;
    Ok(key)
}

/// Reads the key from `path`.
pub(super) fn read(path: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes)).map_err(KeyError::Io)?;
    let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&[1])).ok_or(KeyError::Unknown)?;
    match body {
        [PLAIN, key @ ..] => Ok(Zeroizing::new(key.try_into().map_err(|_| KeyError::Unknown)?)),
        [WRAPPED, rest @ ..] if rest.len() == 12 + 16 + 24 + 48 => {
            let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
            let (cost, rest) = rest.split_at(12);
            let (salt, rest) = rest.split_at(16);
            let (nonce, sealed) = rest.split_at(24);
            let number = |at: usize| u32::from_be_bytes([cost[at], cost[at + 1], cost[at + 2], cost[at + 3]]);
            let cost = [number(0), number(4), number(8)];
            let aad = &bytes[..bytes.len() - 24 - 48];
            let cipher = wrapping(passphrase, salt, cost)?;
            let key = cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad });
            let key = Zeroizing::new(key.map_err(|_| KeyError::WrongPassphrase)?);
            Ok(Zeroizing::new(key.as_slice().try_into().map_err(|_| KeyError::Unknown)?))
        }
        _ => Err(KeyError::Unknown),
    }
}

/// Opens `path` for writing with mode 0600; `new`: it must not exist.
pub(super) fn private_file(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(!new).create_new(new).truncate(false).mode(0o600).open(path)
}

fn wrapping(
    passphrase: &Zeroizing<String>,
    salt: &[u8],
    [memory, passes, lanes]: [u32; 3],
) -> Result<XChaCha20Poly1305, KeyError> {
    if memory > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > 16 {
        return Err(KeyError::Unknown);
    }
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| KeyError::Unknown)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|_| KeyError::WrongPassphrase)?;
    Ok(XChaCha20Poly1305::new(key.as_slice().into()))
}

/// Beside it first, then renamed: a crash leaves no half key. A key without a vault (a crash before the first row) is
/// replaced.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("key.new");
    let mut file = private_file(&beside, false)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |home| File::open(home)?.sync_all())
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the vault's key file cannot be read: {error}"),
            Self::Unknown => f.write_str("the vault's key file is of no form this program knows"),
            Self::PassphraseNeeded => f.write_str("the vault is locked by a passphrase: give it with --passphrase-file"),
            Self::WrongPassphrase => f.write_str("the passphrase does not open the vault"),
        }
    }
}

impl std::error::Error for KeyError {}
