//! Key packages: making our own, checking those of others.

use openmls::prelude::{KeyPackage, MlsMessageBodyIn, MlsMessageOut, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;

use super::{DeviceRef, Mls, MlsError, config, device_of, invalid, parse};
use crate::vault::Tx;

impl Mls {
    /// A fresh key package, its secrets in the vault. The bytes are what is published.
    pub(crate) fn key_package(&self, tx: &Tx<'_>, now_ms: u64, last_resort: bool) -> Result<Vec<u8>, MlsError> {
        let provider = self.provider(tx);
        let mut builder =
            KeyPackage::builder().key_package_lifetime(config::lifetime(now_ms)).leaf_node_capabilities(config::capabilities());
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder.build(config::SUITE, &provider, &*self.key, self.credential()).map_err(invalid)?;
        let bytes = MlsMessageOut::from(bundle.into_key_package()).to_bytes().map_err(invalid)?;
        provider.store.flush()?;
        Ok(bytes)
    }
}

/// The key package that was claimed for `of`, if it is valid and signed with `key`.
pub(crate) fn claimed(bytes: &[u8], of: DeviceRef, key: &[u8; 32]) -> Result<KeyPackage, MlsError> {
    let package = read(bytes)?;
    let leaf = package.leaf_node();
    if device_of(leaf.credential())? != of || leaf.signature_key().as_slice() != key {
        return Err(MlsError::Credential);
    }
    Ok(package)
}

/// The key package, if it is valid.
pub(super) fn read(bytes: &[u8]) -> Result<KeyPackage, MlsError> {
    let MlsMessageBodyIn::KeyPackage(package) = parse(bytes)?.extract() else { return Err(MlsError::Malformed) };
    package.validate(&RustCrypto::default(), ProtocolVersion::Mls10).map_err(invalid)
}
