//! What this client does with MLS (RFC 9420), all of it inside one vault transaction. The door to openmls.

mod commit;
mod config;
mod group;
mod join;
mod key_package;
mod lean;
mod receive;
mod signal;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use openmls::prelude::{BasicCredential, CredentialWithKey, MlsMessageIn, OpenMlsProvider, tls_codec::Deserialize as _};
use openmls_rust_crypto::RustCrypto;
use serde::{Deserialize, Serialize};
use sovereign_proto::credential;

pub(crate) use self::{
    commit::{Change, Staged},
    group::{Group, GroupCache},
    key_package::claimed,
    receive::CommitEffect,
    signal::{Ephemeral, OpenedSignal, SignalEpoch},
};
use crate::{
    device_key::DeviceKey,
    vault::{MlsStore, Tx, VaultError},
};

/// A device as a credential names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct DeviceRef {
    pub(crate) account: [u8; 16],
    pub(crate) device: [u8; 16],
}

/// A leaf of a group's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) index: u32,
    pub(crate) of: DeviceRef,
    pub(crate) key: [u8; 32],
}

/// Who this device is in MLS.
pub(crate) struct Mls {
    crypto: RustCrypto,
    key: Arc<DeviceKey>,
    me: DeviceRef,
}

/// Why MLS did not do it.
#[derive(Debug)]
pub(crate) enum MlsError {
    /// The vault failed below openmls.
    Vault(VaultError),
    /// There is no such group in the vault.
    NoGroup,
    /// The bytes are no MLS message of the kind that belongs here.
    Malformed,
    /// A Welcome for a key package whose secrets are not here.
    UnknownKeyPackage,
    /// A credential that does not name an account and a device.
    Credential,
    /// The key of a message was spent: it has been read before.
    Spent,
    /// openmls's judgement.
    Invalid(String),
}

/// openmls's view of one transaction.
pub(crate) struct Provider<'a> {
    crypto: &'a RustCrypto,
    pub(crate) store: MlsStore<'a>,
}

impl Mls {
    pub(crate) fn new(key: Arc<DeviceKey>, me: DeviceRef) -> Self {
        Self { crypto: RustCrypto::default(), key, me }
    }

    pub(crate) fn me(&self) -> DeviceRef {
        self.me
    }

    pub(crate) fn provider<'a>(&'a self, tx: &'a Tx<'a>) -> Provider<'a> {
        Provider { crypto: &self.crypto, store: MlsStore::new(tx) }
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(credential::encode(&self.me.account, &self.me.device).to_vec()).into(),
            signature_key: self.key.public().to_vec().into(),
        }
    }
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = MlsStore<'a>;

    fn storage(&self) -> &MlsStore<'a> {
        &self.store
    }

    fn crypto(&self) -> &RustCrypto {
        self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        self.crypto
    }
}

/// Exactly one MLS message, nothing behind it.
fn parse(bytes: &[u8]) -> Result<MlsMessageIn, MlsError> {
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed)
}

fn device_of(credential: &openmls::prelude::Credential) -> Result<DeviceRef, MlsError> {
    let basic = BasicCredential::try_from(credential.clone()).map_err(|_| MlsError::Credential)?;
    let (account, device) = credential::decode(basic.identity()).ok_or(MlsError::Credential)?;
    Ok(DeviceRef { account, device })
}

fn invalid(error: impl fmt::Display) -> MlsError {
    MlsError::Invalid(error.to_string())
}

impl From<VaultError> for MlsError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl fmt::Display for MlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(error) => error.fmt(f),
            Self::NoGroup => f.write_str("this device has no state of the group"),
            Self::Malformed => f.write_str("the bytes are no MLS message of this kind"),
            Self::UnknownKeyPackage => f.write_str("the Welcome is for a key package that is not here"),
            Self::Credential => f.write_str("a credential names no account and device"),
            Self::Spent => f.write_str("the message was read before"),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for MlsError {}
