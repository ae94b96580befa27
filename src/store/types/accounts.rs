//! Accounts, their devices, and the invites that make them.

use super::Hash;
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId},
};

/// A new account with its first device.
pub struct NewAccount {
    /// Chosen by the client.
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    /// Ed25519 public key of the account.
    pub identity_key: [u8; 32],
    /// The encoded `Manifest` message, version 1, verified by the caller.
    pub manifest: Vec<u8>,
    /// SHA-256 of the manifest's body.
    pub manifest_hash: Hash,
    /// The one device that the manifest lists.
    pub device: NewDevice,
    /// PHC string; `None`: no password.
    pub password_hash: Option<String>,
    /// SHA-256 of the invite code; checked and used up in the same transaction.
    pub invite: InviteUse,
    /// When it is asked.
    pub now: UnixMs,
}

/// How an invite enters a sign-up.
#[derive(Clone, Copy)]
pub enum InviteUse {
    /// Registration is open and no code was given.
    None,
    /// A code was given: it must be valid.
    Code(Hash),
}

/// A device as it is enrolled.
#[derive(Clone, Copy)]
pub struct NewDevice {
    /// Chosen by the client.
    pub device_id: DeviceId,
    /// Ed25519 public key: authenticates, and signs the device's MLS leaves.
    pub device_key: [u8; 32],
}

/// How a sign-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpOutcome {
    /// The account exists.
    Created {
        /// The invite made it an administrator's.
        administrator: bool,
    },
    /// Somebody has the username.
    UsernameTaken,
    /// Account id, device id or identity key is known already.
    IdTaken,
    /// Unknown, expired, revoked or used up: the caller is not told which.
    InviteInvalid,
}

/// An account as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    /// Ed25519 public key.
    pub identity_key: [u8; 32],
    /// Not shut out by an operator.
    pub enabled: bool,
    /// An operator has deleted it for good; it is disabled then, too.
    pub deleted: bool,
    /// Was made by a setup link. It gives no further right yet.
    pub administrator: bool,
    /// The newest version, from 1.
    pub manifest_version: u64,
    /// PHC string.
    pub password_hash: Option<String>,
}

/// What a device may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Listed in no manifest: may read manifests and sign out.
    Pending,
    /// Listed in the newest manifest.
    Active,
    /// Struck from the manifest, for ever.
    Revoked,
}

/// A device as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: DeviceId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Ed25519 public key.
    pub device_key: [u8; 32],
    /// What it may do.
    pub state: DeviceState,
    /// When it was enrolled.
    pub created_at: UnixMs,
    /// 0: never.
    pub last_seen: UnixMs,
    /// The highest it stated at a sign-in; 0: none.
    pub incarnation: u64,
}

/// A device that wants to sign in, with what its account has to say to that.
pub struct Applicant {
    /// Whose device it is.
    pub account_id: AccountId,
    /// Ed25519 public key.
    pub device_key: [u8; 32],
    /// What the device may do.
    pub state: DeviceState,
    /// The account's name.
    pub username: String,
    /// The account is not shut out by an operator.
    pub enabled: bool,
    /// The account was made by a setup link.
    pub administrator: bool,
    /// The account's newest version, from 1.
    pub manifest_version: u64,
}

/// How an enrolment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// The device is known and pending.
    Enrolled,
    /// The id or the key is known, or the account has 64 devices that are not revoked.
    Refused,
}

/// A single invite as operators see it.
#[derive(Clone, Debug)]
pub struct Invite {
    /// SHA-256 of the code.
    pub hash: Hash,
    /// Sign-ups it still admits.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: UnixMs,
    /// Makes administrators.
    pub administrator: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// An operator took it back.
    pub revoked: bool,
}
