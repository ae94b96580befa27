//! Entries of logs as they are stored, and as a device gets them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sovereign_proto::log::Kind;

use super::Hash;
use crate::{
    clock::UnixMs,
    ids::{ClientId, DeviceId, LogId, Seq},
};

/// Where a log stands for one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// Which.
    pub log: LogId,
    /// The oldest seq still held for it; head + 1 if none is.
    pub first_available: Seq,
    /// The newest seq the device may read.
    pub head: Seq,
    /// The newest seq it has acknowledged.
    pub cursor: Seq,
    /// Where its window ends; `None` while it is a member. Nothing behind it is for this device.
    pub end: Option<Seq>,
}

/// An entry as it is stored. Held once in memory however many sessions send it.
pub struct StoredEntry {
    /// Its place.
    pub seq: Seq,
    /// When it was accepted.
    pub time: UnixMs,
    /// What it holds.
    pub kind: Kind,
    /// `None` on device logs.
    pub sender: Option<DeviceId>,
    /// Client id of a message; SHA-256 of a handshake.
    pub sender_ref: SenderRef,
    /// [`sovereign_proto::log::entry_hash`] of it.
    pub entry_hash: Hash,
    /// As it came; of a Welcome or a removal, the encoded entry.
    pub body: Bytes,
    /// Devices whose leaves this commit removes: their windows end here. Filled where the entry comes from memory;
    /// what is read from disk has passed the window filter already.
    pub removes: Box<[DeviceId]>,
    /// When a message is given to nobody any more.
    pub expires_at: Option<UnixMs>,
    /// What the sender says of a message.
    pub urgent: bool,
    /// The encoded `Envelope` with an `Entries` push of this entry alone, made by the first session that needs it.
    pub frame: OnceLock<Bytes>,
}

impl StoredEntry {
    /// Whether it is given to nobody any more but, by name, to its sender.
    #[must_use]
    pub fn has_expired(&self, now: impl FnOnce() -> UnixMs) -> bool {
        self.expires_at.is_some_and(|at| at <= now())
    }
}

/// How the sender recognises its own entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderRef {
    /// Nobody's: an entry of a device log.
    None,
    /// Client id of a message.
    Message(ClientId),
    /// SHA-256 of a commit or a proposal.
    Handshake(Hash),
}

/// One seq range of a window as a device gets it.
#[derive(Clone)]
pub enum Item {
    /// An entry.
    Entry(Arc<StoredEntry>),
    /// `from..=to` are not given to this device.
    Skipped {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
        /// Why.
        reason: SkipReason,
        /// Of the entry behind, or now.
        time: UnixMs,
        /// The running hash at `to`, from which the chain goes on.
        running_hash: Hash,
    },
}

/// Why a device does not get what stands in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Passed over when the store was restored: what stood there, if anything, is not known any more.
    Restored,
    /// It stands before the device's join.
    BeforeJoin,
    /// It is gone: everybody else has passed it, or it is too old.
    Retention,
    /// A message whose life is over.
    Expired,
}

/// A page of a log.
pub struct Page {
    /// In the order asked for.
    pub items: Vec<Item>,
    /// The newest seq the device may read in its current window.
    pub head: Seq,
    /// There is more behind the last item (or, backwards, before it).
    pub more: bool,
    /// The window is closed and this page reaches its end: nothing follows until the next window's Welcome is
    /// acknowledged.
    pub ended: bool,
}
