//! Application messages on their way into a log.

use bytes::Bytes;

use crate::{
    clock::UnixMs,
    ids::{ClientId, DeviceId, Epoch, GroupId, Seq},
};

/// An application message of a bundle, or on its own.
#[derive(Clone)]
pub struct NewMessage {
    /// Chosen by the sender: the same id gets the same answer.
    pub client_id: ClientId,
    /// `MLSMessage` (`mls_private_message`).
    pub ciphertext: Bytes,
    /// How long it lives once it is accepted; `None`: as long as anything.
    pub ttl_ms: Option<u64>,
    /// The sender says so.
    pub urgent: bool,
}

/// A message on its way into a log.
pub struct Append {
    /// The group.
    pub group: GroupId,
    /// The device that was authenticated.
    pub sender: DeviceId,
    /// The epoch in its clear header.
    pub epoch: Epoch,
    /// What is stored.
    pub message: NewMessage,
    /// When it came.
    pub now: UnixMs,
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is durable.
    Accepted {
        /// Where it stands.
        seq: Seq,
        /// When it was accepted.
        time: UnixMs,
    },
    /// It was durable already.
    Duplicate {
        /// Where it stands.
        seq: Seq,
        /// When it was accepted.
        time: UnixMs,
    },
    /// No open window: a stranger, a removed or leaving member, or no such group.
    NotFound,
    /// The same ciphertext came from another device, or the client id was used for a handshake.
    Conflict,
    /// Its epoch is too old.
    Stale {
        /// The group's.
        current_epoch: Epoch,
    },
    /// The sender's account has as much standing here as it may.
    AccountFull(Quota),
    /// The group has.
    GroupFull(Quota),
    /// The group waits for its reset.
    Frozen,
    /// The store was restored: the group waits for its members.
    Suspended,
    /// The message's epoch is above the group's.
    ServerBehind,
}

impl AppendOutcome {
    /// Whether this message was refused where one behind it might be taken.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        matches!(self, Self::Conflict | Self::AccountFull(_) | Self::GroupFull(_))
    }
}

/// Bytes of messages that stand here, and how many may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Now.
    pub used: u64,
    /// At most.
    pub limit: u64,
}

impl Quota {
    /// Whether so many more may come.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used.saturating_add(bytes as u64) <= self.limit
    }
}
