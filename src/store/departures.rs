//! What is asked of the next commit: leaves that have to go, devices that want to come.

use rusqlite::Connection;

use super::{Answer, Store, rosters, types::Membership, values::Sql};
use crate::ids::{DeviceId, GroupId, Leaf};

impl Store {
    /// Marks the device's account as leaving: every leaf of it has to be removed, and none of them may send. False:
    /// the device is no member. Leaving twice is leaving.
    pub fn leave(&self, group: GroupId, device: DeviceId) -> Answer<bool> {
        self.relieve(move |txn| {
            let (Some(group), Some(device)) = (txn.group(group)?, txn.device(device)?) else { return Ok(false) };
            match rosters::membership(txn.db, group.no, device)? {
                Membership::Member => {}
                Membership::Leaving => return Ok(true),
                Membership::AccountOnly | Membership::None => return Ok(false),
            }
            txn.known.forget_senders();
            txn.db
                .prepare_cached(
                    "UPDATE windows SET removal_asked = 1 WHERE log_no = ?1 AND leave_seq IS NULL AND removal_asked = 0
                     AND device_no IN (SELECT device_no FROM devices WHERE account_no = ?2)",
                )?
                .execute([group.no, device.account_no])?;
            txn.db
                .prepare_cached("DELETE FROM add_tasks WHERE log_no = ?1 AND device_no IN (SELECT device_no FROM devices WHERE account_no = ?2)")?
                .execute([group.no, device.account_no])?;
            Ok(true)
        })
    }

    /// The leaves that the next commit has to remove: of leaving accounts and of revoked devices.
    pub fn removal_tasks(&self, group: GroupId) -> Answer<Vec<Leaf>> {
        self.read(move |db| match super::log::number(db, &crate::ids::LogId::Group(group))? {
            Some(log_no) => removals(db, log_no),
            None => Ok(Vec::new()),
        })
    }

    /// Active devices of member accounts that could not be added for want of key packages.
    pub fn add_tasks(&self, group: GroupId) -> Answer<Vec<Leaf>> {
        self.read(move |db| {
            let sql = "SELECT account_id, device_id FROM groups JOIN add_tasks USING (log_no) JOIN devices USING (device_no)
                       JOIN accounts USING (account_no) WHERE group_id = ?1 AND state = 1 AND enabled = 1 ORDER BY asked_at LIMIT 256";
            db.prepare_cached(sql)?.query_map([group], |row| Ok(Leaf { account_id: row.get(0)?, device_id: row.get(1)? }))?.collect()
        })
    }
}

/// Groups that this device could do something for: it may commit, and removals or additions are asked. At most 256. That
/// the device is active is known.
pub(super) fn with_tasks(db: &Connection, device_no: i64) -> Sql<Vec<GroupId>> {
    db.prepare_cached(
        "SELECT group_id FROM windows AS own JOIN groups ON groups.log_no = own.log_no
         WHERE device_no = ?1 AND leave_seq IS NULL AND own.state = 0 AND removal_asked = 0
           AND frozen = 0 AND suspended = 0 AND (
             EXISTS (SELECT 1 FROM windows AS going WHERE going.log_no = own.log_no
                     AND going.removal_asked > 0 AND going.leave_seq IS NULL)
             OR EXISTS (SELECT 1 FROM add_tasks WHERE add_tasks.log_no = own.log_no))
         LIMIT 256",
    )?
    .query_map([device_no], |row| row.get(0))?
    .collect()
}

/// The leaves of a group that have to go.
pub(super) fn removals(db: &Connection, log_no: i64) -> Sql<Vec<Leaf>> {
    db.prepare_cached(
        "SELECT account_id, device_id FROM windows JOIN devices USING (device_no) JOIN accounts USING (account_no)
         WHERE windows.log_no = ?1 AND removal_asked > 0 AND leave_seq IS NULL ORDER BY window_no",
    )?
    .query_map([log_no], |row| Ok(Leaf { account_id: row.get(0)?, device_id: row.get(1)? }))?
    .collect()
}
