//! What two MLS implementations must agree on to meet in one group here (docs/protocol/mls.md).

use sha2::{Digest as _, Sha256};

/// Cipher suite `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519` (RFC 9420, section 17.1), the default.
pub const CIPHERSUITE: u16 = 0x0001;

/// `GroupContext` extension (private-use range) that holds the [`Roles`] of a group. Leaves list it in their
/// capabilities and groups in their required capabilities.
pub const ROLES_EXTENSION: u16 = 0xF0A1;

/// Longest lifetime of a key package that the server takes, in seconds: 190 days.
pub const KEY_PACKAGE_LIFETIME_MAX_SECONDS: u64 = 190 * 24 * 3600;
/// Lifetime a client gives its key packages, in seconds: 180 days.
pub const KEY_PACKAGE_LIFETIME_SECONDS: u64 = 180 * 24 * 3600;
/// How far in the past a key package's lifetime starts, in seconds, so that clocks may differ.
pub const KEY_PACKAGE_NOT_BEFORE_MARGIN_SECONDS: u64 = 3600;

/// MLS exporter label of the epoch confirmation tag; the context is `group_id || epoch (u64 BE) || SHA-256(commit)`,
/// the length [`CONFIRMATION_TAG_LENGTH`].
pub const CONFIRMATION_TAG_LABEL: &str = "Sovereign 1.0 confirm";
/// Length of the epoch confirmation tag in bytes.
pub const CONFIRMATION_TAG_LENGTH: usize = 32;

/// By what members of a group, and a server, recognise one public state: SHA-256 over the group's context and confirmation
/// tag (RFC 9420, sections 8.1 and 8.2), as they are encoded, each behind its length.
#[must_use]
pub fn state_tag(group_context: &[u8], confirmation_tag: &[u8]) -> [u8; 32] {
    Sha256::digest(crate::signed::labelled("State", &[group_context, confirmation_tag])).into()
}

/// Epochs behind the newest one of which a client still reads messages.
pub const MAX_PAST_EPOCHS: usize = 5;
/// Messages of one sender a client takes out of order.
pub const OUT_OF_ORDER_TOLERANCE: u32 = 64;
/// How far one sender's generation may run ahead.
pub const MAXIMUM_FORWARD_DISTANCE: u32 = 2000;
/// Epochs behind the newest one in which the server still takes application messages, unless a leaf was removed since.
pub const EPOCH_WINDOW: u64 = 3;

/// Who may change the group: the content of the [`ROLES_EXTENSION`].
///
/// Layout: `version = 1 (u8) || policy (u8) || count (u16 BE) || count * account_id (16 bytes, ascending, distinct)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// What members who are no administrators may do.
    pub policy: Policy,
    /// The administrators, ascending.
    pub administrators: Vec<[u8; 16]>,
}

/// What a member who is no administrator may do beside sending and updating its own leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Everything: all members are equal.
    Equal = 0,
    /// Add people. Only administrators remove others and change roles.
    Administered = 1,
}

/// The bytes are no roles extension of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRoles;

impl std::fmt::Display for InvalidRoles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the roles extension is malformed")
    }
}

impl std::error::Error for InvalidRoles {}

impl Roles {
    /// The extension's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut administrators = self.administrators.clone();
        administrators.sort_unstable();
        administrators.dedup();
        let count = u16::try_from(administrators.len()).expect("a group has at most 1,000 leaves");
        let mut bytes = vec![1, self.policy as u8];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend(administrators.concat());
        bytes
    }

    /// Reads the extension's content; anything but the canonical encoding is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRoles> {
        let [1, policy, high, low, ids @ ..] = bytes else { return Err(InvalidRoles) };
        let policy = match policy {
            0 => Policy::Equal,
            1 => Policy::Administered,
            _ => return Err(InvalidRoles),
        };
        let (administrators, rest) = ids.as_chunks::<16>();
        let ascending = administrators.windows(2).all(|pair| pair[0] < pair[1]);
        if !rest.is_empty() || !ascending || administrators.len() != usize::from(u16::from_be_bytes([*high, *low])) {
            return Err(InvalidRoles);
        }
        Ok(Self { policy, administrators: administrators.to_vec() })
    }

    /// Whether `account` may remove others and change roles, given the accounts that are members now. A group none of
    /// whose administrators is left belongs to everybody.
    pub fn may_administer(&self, account: &[u8; 16], mut members: impl Iterator<Item = [u8; 16]>) -> bool {
        self.policy == Policy::Equal
            || self.administrators.binary_search(account).is_ok()
            || !members.any(|member| self.administrators.binary_search(&member).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_round_trip_canonically() {
        let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16], [2; 16]] };
        assert_eq!(Roles::decode(&roles.encode()), Ok(roles.clone()));
        let mut swapped = roles.encode();
        swapped[4..].rotate_left(16);
        assert_eq!(Roles::decode(&swapped), Err(InvalidRoles));
        assert_eq!(Roles::decode(&roles.encode()[..20]), Err(InvalidRoles));
    }

    #[test]
    fn a_group_without_administrators_belongs_to_everybody() {
        let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16]] };
        assert!(roles.may_administer(&[1; 16], [[1; 16], [2; 16]].into_iter()));
        assert!(!roles.may_administer(&[2; 16], [[1; 16], [2; 16]].into_iter()));
        assert!(roles.may_administer(&[2; 16], [[2; 16]].into_iter()));
    }
}
