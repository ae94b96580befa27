//! Sign-ins and session tokens.

use super::{Hash, LogPosition, Stock};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, GroupId, LogId, Seq},
};

/// What a device says of itself when it signs in.
#[derive(Clone, Default)]
pub struct Arrival {
    /// Of its own store; 0: not stated.
    pub incarnation: u64,
    /// How far it has read, to repair lost acknowledgements.
    pub positions: Vec<(LogId, Seq)>,
}

/// What a device is told when it signs in.
pub struct SignedIn {
    /// Its key packages.
    pub stock: Stock,
    /// Logs with entries behind the cursor, at most 256, the device's own log first.
    pub news: Vec<LogPosition>,
    /// Every group the device has an open or draining window in whose Welcome it has acknowledged.
    pub groups: Vec<GroupId>,
    /// Those of its groups that need a commit of one of their members, at most 256.
    pub tasks: Vec<GroupId>,
}

/// How a sign-in ended.
pub enum SignInOutcome {
    /// It may go on.
    SignedIn(SignedIn),
    /// The stated incarnation is below the known one: the device's store was rolled back.
    RolledBack,
    /// The device is revoked or its account disabled by now.
    Refused,
}

/// A session token as it is kept: the hash of the secret and what it stands for.
#[derive(Clone, Copy)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: Hash,
    /// The device it is bound to.
    pub device_id: DeviceId,
    /// When it ends.
    pub expires_at: UnixMs,
    /// The token it replaces; `None` starts a family.
    pub replaces: Option<Hash>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How issuing a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// It is good.
    Issued,
    /// The replaced token is unknown, expired or belongs to another device.
    Unknown,
    /// The replaced token had been replaced and its successor used: the family is revoked now.
    Replayed,
}
