//! Who is a leaf of a group: the windows that no commit has closed. There is no second list of members.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    known::{self, KnownDevice},
    types::Membership,
    values::Sql,
};
use crate::ids::{DeviceId, GroupId, Leaf};

/// How a device's own leaf stands, and its account's others.
struct Standing {
    own: Option<OwnLeaf>,
    /// Another device of the account is a leaf that nobody asked to remove.
    others: bool,
}

struct OwnLeaf {
    open: bool,
    asked: bool,
}

impl Store {
    /// How a device stands to a group. A revoked device, or one of a disabled account, stands nowhere.
    pub fn membership(&self, group: GroupId, device: DeviceId) -> Answer<Membership> {
        self.read(move |db| {
            let sql = "SELECT log_no FROM groups WHERE group_id = ?1";
            let group_no: Option<i64> = db.prepare_cached(sql)?.query_one([group], |row| row.get(0)).optional()?;
            match (group_no, known::device(db, device)?) {
                (Some(group_no), Some(device)) => membership(db, group_no, device),
                _ => Ok(Membership::None),
            }
        })
    }

    /// The leaves of a group in the order of their joining, those included whose Welcome is not acknowledged yet and
    /// those who are leaving; not those of revoked devices, which [`Store::removal_tasks`] names until a commit removes
    /// them.
    pub fn members(&self, group: GroupId) -> Answer<Vec<Leaf>> {
        self.read(move |db| {
            let sql = "SELECT account_id, device_id FROM groups JOIN windows USING (log_no) JOIN devices USING (device_no)
                       JOIN accounts USING (account_no)
                       WHERE group_id = ?1 AND leave_seq IS NULL AND windows.state = 0 ORDER BY window_no";
            db.prepare_cached(sql)?
                .query_map([group], |row| Ok(Leaf { account_id: row.get(0)?, device_id: row.get(1)? }))?
                .collect()
        })
    }
}

impl Store {
    /// The leaves of a group that may hear what is said there now, ascending, and whether each may send: those that are
    /// leaving may not. Revoked devices and those of disabled accounts are not among them.
    pub fn roster(&self, group: GroupId) -> Answer<Vec<(DeviceId, bool)>> {
        self.read(move |db| {
            let sql = "SELECT device_id, removal_asked = 0 FROM groups JOIN windows USING (log_no)
                       JOIN devices USING (device_no) JOIN accounts USING (account_no)
                       WHERE group_id = ?1 AND leave_seq IS NULL AND windows.state = 0 AND devices.state = 1 AND enabled = 1
                       ORDER BY device_id";
            db.prepare_cached(sql)?.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }
}

/// How a device stands to a group of that number.
pub(super) fn membership(db: &Connection, group_no: i64, device: KnownDevice) -> Sql<Membership> {
    if !is_active(db, device.no)? {
        return Ok(Membership::None);
    }
    let standing = standing(db, group_no, device)?;
    Ok(match standing.own {
        Some(OwnLeaf { open: true, asked: false }) => Membership::Member,
        Some(OwnLeaf { open: true, asked: true }) => Membership::Leaving,
        None if standing.others => Membership::AccountOnly,
        Some(_) | None => Membership::None,
    })
}

/// Whether the device is active and its account enabled.
pub(super) fn is_active(db: &Connection, device_no: i64) -> Sql<bool> {
    db.prepare_cached(
        "SELECT 1 FROM devices JOIN accounts USING (account_no) WHERE device_no = ?1 AND state = 1 AND enabled = 1",
    )?
    .exists([device_no])
}

fn standing(db: &Connection, group_no: i64, device: KnownDevice) -> Sql<Standing> {
    let own = db
        .prepare_cached(
            "SELECT state = 0, removal_asked > 0 FROM windows WHERE log_no = ?1 AND device_no = ?2 AND leave_seq IS NULL",
        )?
        .query_one([group_no, device.no], |row| Ok(OwnLeaf { open: row.get(0)?, asked: row.get(1)? }))
        .optional()?;
    let others = db
        .prepare_cached(
            "SELECT 1 FROM devices JOIN windows USING (device_no)
             WHERE account_no = ?1 AND log_no = ?2 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0 AND device_no <> ?3",
        )?
        .exists([device.account_no, group_no, device.no])?;
    Ok(Standing { own, others })
}

impl Txn<'_> {
    /// The window of a device that is a leaf, whatever its state: its number, and whether it is not revoked.
    pub(super) fn leaf_window(&self, group_no: i64, device_no: i64) -> Sql<Option<(i64, bool)>> {
        self.db
            .prepare_cached(
                "SELECT window_no, state = 0 FROM windows WHERE log_no = ?1 AND device_no = ?2 AND leave_seq IS NULL",
            )?
            .query_one(params![group_no, device_no], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }
}
