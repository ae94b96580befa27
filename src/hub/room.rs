//! The live readers of one group, and what each of them may do with signals.
//!
//! Reading goes on in windows that were closed while their device was away, so reading is no membership. Who is a member
//! is asked of the store once, and again after every change: a room is *settled* until somebody comes or membership may
//! have changed.

use std::sync::Arc;

use bytes::Bytes;

use super::Inbox;
use crate::ids::{DeviceId, GroupId, LogId};

/// The live readers of a group's log. A group without any has none.
#[derive(Default)]
pub(super) struct Room {
    readers: Vec<Reader>,
    settled: bool,
    /// The number of the last change: what was asked of the store before it does not count any more.
    change: u64,
}

struct Reader {
    device: DeviceId,
    inbox: Arc<Inbox>,
    standing: Standing,
}

/// What a reader may do with signals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A leaf that may send.
    Speaks,
    /// A leaf that is leaving.
    Listens,
    /// Reads what it is entitled to, and is no member any more.
    Reads,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// It went to whoever may hear it, which may be nobody.
    Done,
    /// The store has to be asked first who is a member; the number of the change that made it so.
    Unsettled(u64),
}

impl Room {
    /// Whether the device is among them now and was not before.
    pub(super) fn enter(&mut self, device: DeviceId, inbox: &Arc<Inbox>, change: u64) -> bool {
        if self.readers.iter().any(|reader| reader.device == device) {
            return false;
        }
        self.readers.push(Reader { device, inbox: Arc::clone(inbox), standing: Standing::Reads });
        self.unsettle(change);
        true
    }

    pub(super) fn leave(&mut self, device: DeviceId) {
        self.readers.retain(|reader| reader.device != device);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.readers.iter().map(|reader| reader.device).collect()
    }

    pub(super) fn wake(&self, log: LogId) {
        self.readers.iter().for_each(|reader| reader.inbox.wake(log));
    }

    pub(super) fn unsettle(&mut self, change: u64) {
        (self.settled, self.change) = (false, change);
    }

    /// Takes the store's answer, unless something has changed since it was asked.
    pub(super) fn settle(&mut self, change: u64, leaves: &[(DeviceId, bool)]) {
        if self.change != change {
            return;
        }
        for reader in &mut self.readers {
            let leaf = leaves.binary_search_by_key(&reader.device, |(device, _)| *device).map(|index| leaves[index].1);
            reader.standing = match leaf {
                Ok(true) => Standing::Speaks,
                Ok(false) => Standing::Listens,
                Err(_) => Standing::Reads,
            };
        }
        self.settled = true;
    }

    pub(super) fn relay(&self, group: GroupId, from: DeviceId, frame: &Bytes) -> Relayed {
        let Some(sender) = self.readers.iter().find(|reader| reader.device == from) else { return Relayed::Done };
        if !self.settled {
            return Relayed::Unsettled(self.change);
        }
        if sender.standing == Standing::Speaks {
            let hears = |reader: &&Reader| reader.device != from && reader.standing != Standing::Reads;
            self.readers.iter().filter(hears).for_each(|reader| reader.inbox.signal(group, from, frame));
        }
        Relayed::Done
    }
}
