//! What the writer knows by heart: the numbers behind ids, the heads of logs, who may send. Filled from the database,
//! bounded, forgotten whenever something is taken back.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use sovereign_proto::log;

use super::{
    engine::Txn,
    numbers::{NumberMap, NumberSet},
    types::Hash,
    values::{Blob, Sql, U, uint},
};
use crate::{
    ids::{AccountId, DeviceId, Epoch, GroupId, Seq},
    limits::KNOWN_BY_HEART,
};

/// Epochs behind the current one whose messages are still taken.
const EPOCHS_BEHIND: u64 = 3;

/// A device's numbers; they never change.
#[derive(Clone, Copy)]
pub(super) struct KnownDevice {
    pub(super) no: i64,
    pub(super) account_no: i64,
    pub(super) account_id: AccountId,
    pub(super) log_no: i64,
}

/// What a group's next entry depends on. Its number is that of its log.
#[derive(Clone, Copy)]
pub(super) struct KnownGroup {
    pub(super) no: i64,
    pub(super) epoch: Epoch,
    pub(super) last_removal_epoch: Epoch,
    pub(super) frozen: bool,
    /// The store was restored, and members have not said yet where the group stands.
    pub(super) suspended: bool,
}

impl KnownGroup {
    /// Messages of older epochs are refused.
    pub(super) fn oldest_epoch(&self) -> Epoch {
        self.epoch.saturating_sub(EPOCHS_BEHIND).max(self.last_removal_epoch)
    }
}

/// The end of a log.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// 0: empty.
    pub(super) seq: Seq,
    pub(super) running: Hash,
    /// Of the messages that stand in it.
    pub(super) bytes: u64,
    dirty: bool,
}

/// The maps.
#[derive(Default)]
pub(super) struct Known {
    devices: HashMap<DeviceId, KnownDevice>,
    groups: HashMap<GroupId, KnownGroup>,
    heads: NumberMap<i64, Head>,
    dirty: Vec<i64>,
    /// (group, device) of leaves that may send: the window is open, nobody asked for a removal, the account is enabled.
    senders: NumberSet<(i64, i64)>,
}

impl Known {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets who may send. For every verb that changes it.
    pub(super) fn forget_senders(&mut self) {
        self.senders.clear();
    }

    /// Forgets a group whose row was changed.
    pub(super) fn forget_group(&mut self, group: &GroupId) {
        self.groups.remove(group);
    }

    /// Forgets what is too much. Only between transactions: then nothing is dirty.
    pub(super) fn bound(&mut self) {
        if self.devices.len() > KNOWN_BY_HEART {
            self.devices.clear();
        }
        if self.groups.len() > KNOWN_BY_HEART {
            self.groups.clear();
        }
        if self.heads.len() > KNOWN_BY_HEART {
            self.heads.clear();
        }
        if self.senders.len() > KNOWN_BY_HEART {
            self.senders.clear();
        }
    }

    /// Writes the heads that moved since the last time, one row a log however many entries it got.
    pub(super) fn write_back(&mut self, db: &Connection) -> Sql<()> {
        for no in self.dirty.drain(..) {
            if let Some(head) = self.heads.get_mut(&no) {
                head.dirty = false;
                let sql = "UPDATE logs SET next_seq = ?2, running_hash = ?3, stored_bytes = ?4 WHERE log_no = ?1";
                db.prepare_cached(sql)?.execute(params![no, U(head.seq + 1), Blob(head.running), U(head.bytes)])?;
            }
        }
        Ok(())
    }
}

impl Txn<'_> {
    pub(super) fn device(&mut self, id: DeviceId) -> Sql<Option<KnownDevice>> {
        if let Some(device) = self.known.devices.get(&id) {
            return Ok(Some(*device));
        }
        let device = device(self.db, id)?;
        if let Some(device) = device {
            self.known.devices.insert(id, device);
        }
        Ok(device)
    }

    pub(super) fn group(&mut self, id: GroupId) -> Sql<Option<KnownGroup>> {
        if let Some(group) = self.known.groups.get(&id) {
            return Ok(Some(*group));
        }
        let group = self
            .db
            .prepare_cached("SELECT log_no, epoch, last_removal_epoch, frozen, suspended FROM groups WHERE group_id = ?1")?
            .query_one([id], |row| {
                Ok(KnownGroup {
                    no: row.get(0)?,
                    epoch: uint(row, 1)?,
                    last_removal_epoch: uint(row, 2)?,
                    frozen: row.get(3)?,
                    suspended: row.get(4)?,
                })
            })
            .optional()?;
        if let Some(group) = group {
            self.known.groups.insert(id, group);
        }
        Ok(group)
    }

    pub(super) fn head(&mut self, log_no: i64) -> Sql<Head> {
        if let Some(head) = self.known.heads.get(&log_no) {
            return Ok(*head);
        }
        let head = self
            .db
            .prepare_cached("SELECT next_seq - 1, running_hash, stored_bytes FROM logs WHERE log_no = ?1")?
            .query_one([log_no], |row| {
                Ok(Head { seq: uint(row, 0)?, running: row.get(1)?, bytes: uint(row, 2)?, dirty: false })
            })?;
        self.known.heads.insert(log_no, head);
        Ok(head)
    }

    /// So much is gone from a log.
    pub(super) fn shrink(&mut self, log_no: i64, bytes: u64) -> Sql<()> {
        let head = self.head(log_no)?;
        self.put_head(log_no, Head { bytes: head.bytes.saturating_sub(bytes), ..head });
        Ok(())
    }

    fn put_head(&mut self, log_no: i64, head: Head) {
        if !head.dirty {
            self.known.dirty.push(log_no);
        }
        self.known.heads.insert(log_no, Head { dirty: true, ..head });
    }

    /// Takes the next seq of a log for an entry of that hash, a message of so many bytes or something else; gives the seq and the running hash before it.
    pub(super) fn advance(&mut self, log_no: i64, entry_hash: &Hash, bytes: u64) -> Sql<(Seq, Hash)> {
        let head = self.head(log_no)?;
        let seq = head.seq + 1;
        let (running, bytes) = (log::running_hash(&head.running, seq, entry_hash), head.bytes.saturating_add(bytes));
        self.put_head(log_no, Head { seq, running, bytes, ..head });
        Ok((seq, head.running))
    }

    /// Whether the device is a leaf that may send to the group now.
    pub(super) fn may_send(&mut self, group_no: i64, device_no: i64) -> Sql<bool> {
        if self.known.senders.contains(&(group_no, device_no)) {
            return Ok(true);
        }
        let may = self
            .db
            .prepare_cached(
                "SELECT 1 FROM windows JOIN devices USING (device_no) JOIN accounts USING (account_no)
                 WHERE log_no = ?1 AND device_no = ?2 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0
                   AND devices.state = 1 AND enabled = 1",
            )?
            .exists([group_no, device_no])?;
        if may {
            self.known.senders.insert((group_no, device_no));
        }
        Ok(may)
    }
}

/// The numbers behind a device id.
pub(super) fn device(db: &Connection, id: DeviceId) -> Sql<Option<KnownDevice>> {
    db.prepare_cached(
        "SELECT device_no, account_no, account_id, own_log_no FROM devices JOIN accounts USING (account_no) WHERE device_id = ?1",
    )?
    .query_one([id], |row| {
        Ok(KnownDevice { no: row.get(0)?, account_no: row.get(1)?, account_id: row.get(2)?, log_no: row.get(3)? })
    })
    .optional()
}

/// The newest seq of a log and the running hash there, as they are stored.
pub(super) fn stored_head(db: &Connection, log_no: i64) -> Sql<(Seq, Hash)> {
    db.prepare_cached("SELECT next_seq - 1, running_hash FROM logs WHERE log_no = ?1")?
        .query_one([log_no], |row| Ok((uint(row, 0)?, row.get(1)?)))
}
