//! Groups: how they begin, how devices stand to them, and how they are replaced.

use bytes::Bytes;

use super::Hash;
use crate::{
    clock::UnixMs,
    ids::{AccountId, Epoch, GroupId, Leaf, Seq},
};

/// What validating a handshake message of a group needs. Loaded before the commit is checked; what it says is checked
/// again inside the writing transaction.
#[derive(Clone)]
pub struct GroupState {
    /// The current one.
    pub epoch: Epoch,
    /// `MLSMessage` (`mls_group_info`) of the current epoch, with the ratchet tree: the whole public state.
    pub group_info: Bytes,
    /// The log's head at that epoch's commit.
    pub epoch_seq: Seq,
    /// Pending proposals of this epoch (`MLSMessage`, `mls_public_message`), in log order.
    pub proposals: Vec<Bytes>,
    /// Sends and commits are refused; reading goes on, and it may be reset.
    pub frozen: bool,
    /// The store was restored: nothing is taken until the members have said where the group stands.
    pub suspended: bool,
    /// Where it went on after the last restore.
    pub revived_epoch: Option<Epoch>,
    /// Leaves that have to go at the next commit: of accounts that are leaving, and of revoked devices.
    pub removals: Vec<Leaf>,
}

/// How a device stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Has an open window: its device is a leaf.
    Member,
    /// Its account has asked to leave, or the device is being removed: may read, not send.
    Leaving,
    /// Another device of its account is a leaf; this one is not. May join by external commit.
    AccountOnly,
    /// Everything else, the group's non-existence included.
    None,
}

/// A group as it begins.
pub struct NewGroup {
    /// Reserved before.
    pub group: GroupId,
    /// Its only leaf.
    pub creator: Leaf,
    /// The public state of epoch 0.
    pub group_info: Bytes,
    /// The key of the one group of exactly these people; `None`: none.
    pub direct_key: Option<Hash>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How creating a group ended.
pub enum CreateOutcome {
    /// The group stands at epoch 0.
    Created,
    /// Somebody's group stands under the direct key, with the caller's account a member.
    Exists(GroupId),
    /// Not reserved by this device, or used.
    NotReserved,
}

/// A group as its members' devices list it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct GroupSummary {
    /// Its id.
    pub group: GroupId,
    /// The current one.
    pub epoch: Epoch,
    /// The asking device is a leaf.
    pub joined: bool,
    /// The account has asked to leave.
    pub leaving: bool,
    /// It waits for its reset.
    pub frozen: bool,
    /// The store was restored: it waits for its members.
    pub suspended: bool,
    /// The asking device was found to be a leaf when the group was revived; its Welcome is gone.
    pub welcome_lost: bool,
    /// The group that replaced it.
    pub successor: Option<GroupId>,
    /// Who added the account, while it has accepted neither that one nor the group.
    pub request_of: Option<AccountId>,
}

/// What a device says of an epoch.
pub enum Verdict {
    /// Its confirmation tag: equal states give equal tags.
    Tag(Hash),
    /// The commit cannot be processed.
    Nack,
}

/// How a confirmation ended.
pub enum ConfirmOutcome {
    /// It counts, unless it was about another epoch.
    Noted {
        /// How the group stands now.
        frozen: bool,
    },
    /// No open window, or no such group.
    NotFound,
}

/// How a reset ended.
pub enum ResetOutcome {
    /// The successor: ours, or that of whoever came first.
    Successor(GroupId),
    /// The group is not frozen, or its epoch is another.
    NotFrozen,
    /// The new id is not reserved by this device.
    NotReserved,
    /// No open window, or no such group.
    NotFound,
}
