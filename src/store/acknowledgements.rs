//! Acknowledgements: cursors move forward, first in memory, then durably. Losing those in memory only sends again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::Movement,
    values::{Sql, U},
    windows,
};
use crate::ids::{DeviceId, GroupId, LogId, Seq};

/// Cursors written by one flush at most; the rest waits for the next.
const FLUSH_MAX: usize = 16_384;

/// Cursors that wait to be written. Clones share them.
#[derive(Clone)]
pub(super) struct Pending {
    cursors: Arc<Mutex<HashMap<(DeviceId, LogId), Seq>>>,
    bound: usize,
}

impl Pending {
    pub(super) fn new(bound: usize) -> Self {
        Self { cursors: Arc::default(), bound }
    }

    /// The newest cursor of a log, given the durable one.
    pub(super) fn at_least(&self, device: DeviceId, log: LogId, durable: Seq) -> Seq {
        self.lock().get(&(device, log)).map_or(durable, |seq| durable.max(*seq))
    }

    fn note(&self, device: DeviceId, positions: Vec<(LogId, Seq)>) {
        let mut cursors = self.lock();
        for (log, seq) in positions {
            let room = cursors.len() < self.bound;
            match cursors.entry((device, log)) {
                Entry::Occupied(mut cursor) => *cursor.get_mut() = seq.max(*cursor.get()),
                Entry::Vacant(place) if room => drop(place.insert(seq)),
                // Forgotten: its entries are sent again.
                Entry::Vacant(_) => {}
            }
        }
    }

    fn take(&self) -> Vec<((DeviceId, LogId), Seq)> {
        let mut cursors = self.lock();
        if cursors.len() <= FLUSH_MAX {
            return cursors.drain().collect();
        }
        let some: Vec<_> = cursors.iter().take(FLUSH_MAX).map(|(key, seq)| (*key, *seq)).collect();
        for (key, _) in &some {
            cursors.remove(key);
        }
        some
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(DeviceId, LogId), Seq>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Notes how far a device has read; written by the next flush. Cumulative, idempotent, forward only; what lies
    /// beyond the window's end counts as its end.
    pub fn acknowledge(&self, device: DeviceId, positions: Vec<(LogId, Seq)>) {
        self.0.pending.note(device, positions);
    }

    /// Writes what [`Store::acknowledge`] noted. Gives the devices and groups whose next window flows from now on.
    pub fn flush_acknowledgements(&self) -> Answer<Vec<(DeviceId, GroupId)>> {
        if self.0.pending.lock().is_empty() {
            return Answer::ready(Vec::new());
        }
        let pending = self.0.pending.clone();
        self.relieve(move |txn| {
            let mut flowing = Vec::new();
            for ((device, log), seq) in pending.take() {
                let mut groups = Vec::new();
                txn.acknowledge(device, log, seq, &mut groups)?;
                flowing.extend(groups.into_iter().map(|group| (device, group)));
            }
            Ok(flowing)
        })
    }

    /// Writes acknowledgements at once, for those of a device's own log: a Welcome that is acknowledged lets its group
    /// flow. Gives the groups that flow from now on.
    pub fn acknowledge_now(&self, device: DeviceId, positions: Vec<(LogId, Seq)>) -> Answer<Vec<GroupId>> {
        self.relieve(move |txn| {
            let mut flowing = Vec::new();
            for (log, seq) in positions {
                txn.acknowledge(device, log, seq, &mut flowing)?;
            }
            flowing.sort_unstable();
            flowing.dedup();
            Ok(flowing)
        })
    }
}

impl Txn<'_> {
    /// Moves the cursor of the window that flows; a window that has drained goes, and the position counts for the next
    /// one. Groups that begin to flow are added to `flowing`.
    pub(super) fn acknowledge(&mut self, id: DeviceId, log: LogId, seq: Seq, flowing: &mut Vec<GroupId>) -> Sql<()> {
        let Some(device) = self.device(id)? else { return Ok(()) };
        let log_no = match log {
            LogId::Group(group) => self.group(group)?.map(|group| group.no),
            LogId::Device(owner) => (owner == id).then_some(device.log_no),
        };
        let Some(log_no) = log_no else { return Ok(()) };
        while let Some((window, (end, _))) = windows::readable(self.db, log_no, device.no)? {
            let cursor = seq.min(end);
            if window.left.is_some() && cursor >= end {
                self.db.prepare_cached("DELETE FROM windows WHERE window_no = ?1")?.execute([window.no])?;
                flowing.extend(self.flowing(log_no, device.no)?);
                continue;
            }
            if cursor > window.cursor {
                self.db
                    .prepare_cached("UPDATE windows SET cursor = ?2 WHERE window_no = ?1")?
                    .execute(params![window.no, U(cursor)])?;
                match log {
                    LogId::Device(_) => self.acknowledge_welcomes(device.no, cursor, flowing)?,
                    LogId::Group(group) => self.moved.push((group, device.account_id, Movement::default())),
                }
            }
            break;
        }
        Ok(())
    }

    fn acknowledge_welcomes(&mut self, device_no: i64, cursor: Seq, flowing: &mut Vec<GroupId>) -> Sql<()> {
        let sql = "UPDATE windows SET welcome_seq = NULL WHERE device_no = ?1 AND welcome_seq <= ?2 RETURNING log_no, window_no";
        let welcomed: Vec<(i64, i64)> = self
            .db
            .prepare_cached(sql)?
            .query_map(params![device_no, U(cursor)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Sql<_>>()?;
        for (log_no, window_no) in welcomed {
            // Behind one that still drains it flows later.
            if windows::readable(self.db, log_no, device_no)?.is_some_and(|(window, _)| window.no == window_no) {
                flowing.extend(self.flowing(log_no, device_no)?);
            }
        }
        Ok(())
    }

    /// The group of that log, if a window of the device flows there.
    fn flowing(&self, log_no: i64, device_no: i64) -> Sql<Option<GroupId>> {
        if windows::readable(self.db, log_no, device_no)?.is_none() {
            return Ok(None);
        }
        self.db.prepare_cached("SELECT group_id FROM groups WHERE log_no = ?1")?.query_one([log_no], |row| row.get(0)).optional()
    }
}
