//! Key packages as they are uploaded (RFC 9420, section 10).

use openmls::prelude::{KeyPackageVerifyError, MlsMessageBodyIn, ProtocolVersion};
use sha2::{Digest as _, Sha256};
use sovereign_proto::mls::CIPHERSUITE;

use super::{
    Leaf, Refused, SUITE, crypto, guarded, leaf,
    wire::{self, KEY_PACKAGE, Reader},
};
use crate::clock::UnixMs;

/// What the store keeps of a key package beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackageFacts {
    /// The `KeyPackageRef` (RFC 9420, section 5.2), by which a Welcome names it.
    pub reference: Vec<u8>,
    /// SHA-256 of the init key, which may never be published twice.
    pub init_key_hash: [u8; 32],
}

/// Checks an `MLSMessage` of wire format `mls_key_package` that `owner` uploads: its signatures, suite, credential and
/// signature key, lifetime (at most 190 days, begun at most an hour after `now_ms`, not ended), capabilities, and that it
/// has the `last_resort` extension exactly if it is uploaded as one.
pub fn check_key_package(
    bytes: &[u8],
    owner: Leaf,
    device_key: &[u8; 32],
    now_ms: UnixMs,
    last_resort: bool,
) -> Result<KeyPackageFacts, Refused> {
    guarded(|| {
        let mut reader = Reader::new(bytes);
        if reader.array()? != KEY_PACKAGE {
            return Err(Refused::Malformed);
        }
        if (reader.u16()?, reader.u16()?) != (1, CIPHERSUITE) {
            return Err(Refused::WrongSuite);
        }
        let MlsMessageBodyIn::KeyPackage(unverified) = wire::decode(bytes, KEY_PACKAGE)? else {
            return Err(Refused::Malformed);
        };
        let package = unverified.validate(crypto(), ProtocolVersion::Mls10).map_err(|error| match error {
            KeyPackageVerifyError::LifetimeError(_) => Refused::BadKeyPackage("its lifetime has ended or not begun"),
            other => Refused::invalid(&other),
        })?;
        if package.ciphersuite() != SUITE {
            return Err(Refused::WrongSuite);
        }
        if !owner.owns(package.leaf_node(), device_key) {
            return Err(Refused::NotSender);
        }
        leaf::check_lifetime(package.life_time(), now_ms)?;
        if !leaf::is_fit(package.leaf_node()) {
            return Err(Refused::BadKeyPackage("its leaf is too large or lacks a capability that groups here need"));
        }
        if package.last_resort() != last_resort {
            return Err(Refused::BadKeyPackage("the last_resort extension does not fit how it is published"));
        }
        let reference = package.hash_ref(crypto()).map_err(|error| Refused::invalid(&error))?;
        Ok(KeyPackageFacts {
            reference: reference.as_slice().to_vec(),
            init_key_hash: Sha256::digest(package.hpke_init_key().as_slice()).into(),
        })
    })
}
