//! Manifests: which devices an account vouches for.

use super::{Hash, NewDevice};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, GroupId},
};

/// A verified next manifest.
pub struct NewManifest {
    /// Whose devices it lists.
    pub account_id: AccountId,
    /// Counts on from the newest.
    pub version: u64,
    /// SHA-256 of the body before.
    pub previous: Hash,
    /// SHA-256 of this body.
    pub hash: Hash,
    /// The encoded `Manifest` message.
    pub manifest: Vec<u8>,
    /// Every listed device with its key.
    pub devices: Vec<NewDevice>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How publishing a manifest ended.
pub enum PublishOutcome {
    /// It is the newest now.
    Published {
        /// Were pending, may take part now.
        activated: Vec<DeviceId>,
        /// Have to be cut off now.
        revoked: Vec<DeviceId>,
        /// Groups in which a leaf has to be removed now.
        groups: Vec<GroupId>,
    },
    /// Another manifest of that version stands, or `previous` is not the hash of the one before.
    Conflict,
    /// A listed device is unknown, revoked or has another key.
    UnknownDevice,
    /// The chain has reached its bound.
    TooMany,
}
