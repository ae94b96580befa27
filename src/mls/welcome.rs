//! Welcomes (RFC 9420, section 12.4.3.1), as far as they can be read: whom they are for.

use openmls::{
    messages::EncryptedGroupSecrets,
    prelude::{KeyPackageRef, MlsMessageBodyIn},
};

use super::{
    AddedLeaf, Refused, SUITE,
    wire::{self, WELCOME},
};

/// A Welcome of this server's suite for exactly the key packages of `added`; no bytes where nobody was added by key
/// package.
pub(super) fn check(bytes: &[u8], added: &[AddedLeaf]) -> Result<(), Refused> {
    let mut expected: Vec<&[u8]> =
        added.iter().map(|added| added.reference.as_slice()).filter(|reference| !reference.is_empty()).collect();
    if expected.is_empty() {
        return if bytes.is_empty() { Ok(()) } else { Err(Refused::BadWelcome) };
    }
    if bytes.is_empty() {
        return Err(Refused::BadWelcome);
    }
    let MlsMessageBodyIn::Welcome(welcome) = wire::decode(bytes, WELCOME)? else { return Err(Refused::Malformed) };
    if welcome.ciphersuite() != SUITE || welcome.secrets().len() != expected.len() {
        return Err(Refused::BadWelcome);
    }
    let references: Vec<_> = welcome.secrets().iter().map(EncryptedGroupSecrets::new_member).collect();
    let mut named: Vec<&[u8]> = references.iter().map(KeyPackageRef::as_slice).collect();
    expected.sort_unstable();
    named.sort_unstable();
    if named == expected { Ok(()) } else { Err(Refused::BadWelcome) }
}
