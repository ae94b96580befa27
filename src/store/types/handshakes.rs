//! Commits and proposals.

use bytes::Bytes;

use super::{Hash, NewMessage, Quota, RelationChanged};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, Epoch, GroupId, Leaf, Seq},
};

/// What a validated commit changes; everything here has been checked against [`GroupState`].
pub struct CommitPlan {
    /// The group.
    pub group: GroupId,
    /// Who sends it: the leaf that signed it, or the one it adds (external commit).
    pub committer: Leaf,
    /// The committer is not a leaf of `from_epoch` (external commit).
    pub external: bool,
    /// The epoch it was made in.
    pub from_epoch: Epoch,
    /// SHA-256 of the commit message.
    pub commit_hash: Hash,
    /// SHA-256 of the whole bundle.
    pub bundle_hash: Hash,
    /// The commit message.
    pub commit: Bytes,
    /// The public state that it makes.
    pub group_info: Bytes,
    /// Added leaves with the reference of the key package each redeems (none for an external joiner).
    pub added: Vec<(Leaf, Vec<u8>)>,
    /// Removed leaves, the joiner's own old leaf included.
    pub removed: Vec<Leaf>,
    /// Empty when nobody is added.
    pub welcome: Bytes,
    /// Application messages of the new epoch.
    pub messages: Vec<NewMessage>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How a commit ended.
pub enum CommitOutcome {
    /// It made the new epoch.
    Accepted {
        /// Where it stands in the group's log.
        seq: Seq,
        /// The epoch it made.
        epoch: Epoch,
        /// It stood already; nothing was written.
        duplicate: bool,
        /// New head of the group's log.
        head: Seq,
        /// Devices that got an entry on their own log (Welcome or removal).
        notified: Vec<DeviceId>,
        /// Relations that it made or changed.
        relations: Vec<RelationChanged>,
    },
    /// Another commit of that epoch stands.
    Stale {
        /// The group's.
        current_epoch: Epoch,
    },
    /// `from_epoch` is above the group's: only a restored server sees that.
    ServerBehind,
    /// The same commit came in another bundle, or a client id is used otherwise.
    Conflict,
    /// The caller has no open window (or may not join).
    NotFound,
    /// There is no room for the bundle's messages: of the committer's account, or in the group.
    Full {
        /// It is the group's room that is used up.
        of_group: bool,
        /// What is used of it.
        quota: Quota,
    },
    /// An added device has no unredeemed claim for this group, is not active or not enabled, or is a member already.
    BadAdd(DeviceId),
    /// The group waits for its reset.
    Frozen,
    /// The store was restored: the group waits for its members.
    Suspended,
}

/// How a proposal ended.
pub enum ProposeOutcome {
    /// It waits for the next commit.
    Accepted {
        /// Where it stands.
        seq: Seq,
    },
    /// It stood already.
    Duplicate {
        /// Where it stands.
        seq: Seq,
    },
    /// Its epoch has passed, or is not there yet.
    Stale {
        /// The group's.
        current_epoch: Epoch,
    },
    /// No open window, or no such group.
    NotFound,
    /// The group waits for its reset.
    Frozen,
    /// The store was restored: the group waits for its members.
    Suspended,
    /// The epoch has its bounded number of proposals.
    TooMany,
}
