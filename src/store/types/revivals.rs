//! How groups go on after a restore.

use bytes::Bytes;

use super::{Hash, RelationChanged};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, Epoch, GroupId, Leaf},
};

/// What a member's device says of its state of a group, validated.
pub struct Revival {
    /// Which.
    pub group: GroupId,
    /// Whose word it is.
    pub from: Leaf,
    /// Its epoch.
    pub epoch: Epoch,
    /// Equal states have equal tags.
    pub tag: Hash,
    /// The state, signed by its leaf.
    pub group_info: Bytes,
    /// The leaves in it, with their signature keys.
    pub leaves: Vec<(Leaf, [u8; 32])>,
    /// When it is said.
    pub now: UnixMs,
}

/// What has become of the group by a member's word.
#[derive(Debug)]
pub enum ReviveOutcome {
    /// It goes on from the state that enough members have.
    Revived(Revived),
    /// Not enough have spoken.
    Waiting,
    /// It goes on already, from another state than this device's.
    Elsewhere,
    /// Its members cannot agree: it is frozen, and waits for its reset.
    Frozen,
    /// No open window, or no such group.
    NotFound,
}

/// A group that goes on.
#[derive(Debug)]
pub struct Revived {
    /// From this epoch.
    pub epoch: Epoch,
    /// From this state.
    pub tag: Hash,
    /// Devices that read it from now on.
    pub added: Vec<DeviceId>,
    /// Leaves that are none any more; those that are told of it have it on their own logs.
    pub removed: Vec<Leaf>,
    /// Relations that this made or changed.
    pub relations: Vec<RelationChanged>,
}
