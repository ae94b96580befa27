//! What a leaf must be: whose it is, what it can do, and for how long its key package lives.

use openmls::{
    prelude::{Credential, CredentialType, ExtensionType, LeafNode, Lifetime, ProtocolVersion, tls_codec::Size as _},
    treesync::LeafNodeSource,
};
use openmls_traits::types::VerifiableCiphersuite;
use sovereign_proto::{
    credential,
    mls::{KEY_PACKAGE_LIFETIME_MAX_SECONDS, KEY_PACKAGE_NOT_BEFORE_MARGIN_SECONDS, ROLES_EXTENSION},
};

use super::{Refused, SUITE};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, Leaf},
};

impl Leaf {
    /// Reads a Basic credential of exactly the contract's 32 bytes.
    pub(super) fn of(credential: &Credential) -> Option<Self> {
        if credential.credential_type() != CredentialType::Basic {
            return None;
        }
        let (account, device) = credential::decode(credential.serialized_content())?;
        Some(Self { account_id: AccountId(account), device_id: DeviceId(device) })
    }

    /// Whether `node` carries this identity and this signature key.
    pub(super) fn owns(&self, node: &LeafNode, signature_key: &[u8; 32]) -> bool {
        Self::of(node.credential()) == Some(*self) && node.signature_key().as_slice() == signature_key
    }
}

/// Largest encoded leaf in bytes. An ordinary one has about 200; every joiner downloads all of them.
const MAX_LEAF_BYTES: usize = 1024;

/// Whether a leaf is of reasonable size and supports what groups here use, without which it could not be added to them.
pub(super) fn is_fit(node: &LeafNode) -> bool {
    let capabilities = node.capabilities();
    node.tls_serialized_len() <= MAX_LEAF_BYTES
        && capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities.ciphersuites().contains(&VerifiableCiphersuite::from(SUITE))
        && capabilities.credentials().contains(&CredentialType::Basic)
        && capabilities.extensions().contains(&ExtensionType::from(ROLES_EXTENSION))
}

/// The lifetime of a leaf that comes from a key package.
pub(super) fn lifetime(node: &LeafNode) -> Option<&Lifetime> {
    match node.leaf_node_source() {
        LeafNodeSource::KeyPackage(lifetime) => Some(lifetime),
        LeafNodeSource::Update | LeafNodeSource::Commit(_) => None,
    }
}

/// A lifetime runs forward and for at most the contract's maximum (openmls takes any range).
pub(super) fn check_range(lifetime: &Lifetime) -> Result<(), Refused> {
    match lifetime.not_after().checked_sub(lifetime.not_before()) {
        None => Err(Refused::BadKeyPackage("its lifetime ends before it starts")),
        Some(seconds) if seconds > KEY_PACKAGE_LIFETIME_MAX_SECONDS => {
            Err(Refused::BadKeyPackage("its lifetime is longer than 190 days"))
        }
        Some(_) => Ok(()),
    }
}

/// [`check_range`], and the lifetime holds at `now_ms`, give or take an hour at its start.
pub(super) fn check_lifetime(lifetime: &Lifetime, now_ms: UnixMs) -> Result<(), Refused> {
    check_range(lifetime)?;
    let now_seconds = now_ms / 1000;
    if lifetime.not_after() <= now_seconds {
        return Err(Refused::BadKeyPackage("its lifetime has ended"));
    }
    if lifetime.not_before() > now_seconds.saturating_add(KEY_PACKAGE_NOT_BEFORE_MARGIN_SECONDS) {
        return Err(Refused::BadKeyPackage("its lifetime starts in the future"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_SECONDS: u64 = 1_800_000_000;

    #[test]
    fn lifetimes_are_bounded_on_every_side() {
        let check = |from, to| check_lifetime(&Lifetime::init(from, to), NOW_SECONDS * 1000);
        let max = KEY_PACKAGE_LIFETIME_MAX_SECONDS;
        assert_eq!(check(NOW_SECONDS - 3600, NOW_SECONDS - 3600 + max), Ok(()));
        assert!(check(NOW_SECONDS - 3600, NOW_SECONDS - 3599 + max).is_err());
        assert!(check(NOW_SECONDS - 10, NOW_SECONDS).is_err());
        assert_eq!(check(NOW_SECONDS + 3600, NOW_SECONDS + 7200), Ok(()));
        assert!(check(NOW_SECONDS + 3601, NOW_SECONDS + 7200).is_err());
        assert!(check(NOW_SECONDS + 5, NOW_SECONDS + 4).is_err());
        assert!(check(0, u64::MAX >> 1).is_err());
        assert!(check(0, u64::MAX).is_err());
    }
}
