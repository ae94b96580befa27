//! How far members have got: durable cursors and read markers. What only memory knows never shows here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    engine::Txn,
    rosters,
    types::{Membership, Movement, Movements, Receipt, Relation},
    values::{Sql, U, uint},
    windows,
};
use crate::{
    ids::{AccountId, DeviceId, GroupId, Seq},
    limits::RECEIPT_ACCOUNTS,
};

/// Groups of which it is known at once that somebody got further; beyond it a movement is forgotten: receipts are hints.
const GROUPS_MAX: usize = 65_536;

/// Who has got further since it was last asked. Filled when a transaction is durable. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Moved(Arc<Mutex<HashMap<GroupId, BTreeMap<AccountId, Movement>>>>);

/// One step, inside the transaction that makes it.
pub(super) type Step = (GroupId, AccountId, Movement);

impl Moved {
    /// The transaction is durable.
    pub(super) fn publish(&self, steps: impl Iterator<Item = Step>) {
        let mut groups = None;
        for (group, account, movement) in steps {
            let groups = groups.get_or_insert_with(|| self.lock());
            if groups.len() == GROUPS_MAX && !groups.contains_key(&group) {
                continue;
            }
            let accounts = groups.entry(group).or_default();
            // More than may be told of one group need not be known by name.
            if accounts.len() <= RECEIPT_ACCOUNTS || accounts.contains_key(&account) {
                accounts.entry(account).or_default().read |= movement.read;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, BTreeMap<AccountId, Movement>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Takes what has moved since the last time.
    #[must_use]
    pub fn movements(&self) -> Movements {
        std::mem::take(&mut *self.0.moved.lock()).into_iter().collect()
    }

    /// How far the member accounts of each of these groups have got. A group of more than 64 accounts, one that is not
    /// there, or one without members gives nothing.
    pub fn receipts(&self, groups: Vec<GroupId>) -> Answer<Vec<(GroupId, Vec<Receipt>)>> {
        self.read(move |db| groups.into_iter().map(|group| Ok((group, receipts(db, group)?))).collect())
    }

    /// The device's account has read the group up to `seq`. Gives the marker as it stands; `None`: not a member whose
    /// Welcome was acknowledged.
    pub fn mark_read(&self, group: GroupId, device: DeviceId, seq: Seq) -> Answer<Option<Seq>> {
        self.write(0, move |txn| txn.mark_read(group, device, seq))
    }
}

impl Txn<'_> {
    fn mark_read(&mut self, id: GroupId, device: DeviceId, seq: Seq) -> Sql<Option<Seq>> {
        let (Some(group), Some(device)) = (self.group(id)?, self.device(device)?) else { return Ok(None) };
        if rosters::membership(self.db, group.no, device)? != Membership::Member {
            return Ok(None);
        }
        let Some((window, (end, _))) = windows::readable(self.db, group.no, device.no)? else { return Ok(None) };
        let sql = "SELECT seq FROM read_markers WHERE log_no = ?1 AND account_no = ?2";
        let marker = self.db.prepare_cached(sql)?.query_one([group.no, device.account_no], |row| uint(row, 0)).optional()?;
        let (marker, seq) = (marker.unwrap_or(0), seq.min(end));
        if seq <= marker.max(window.join_seq) {
            return Ok(Some(marker));
        }
        self.db
            .prepare_cached("INSERT OR REPLACE INTO read_markers (log_no, account_no, seq) VALUES (?1, ?2, ?3)")?
            .execute(params![group.no, device.account_no, U(seq)])?;
        self.moved.push((id, device.account_id, Movement { read: true }));
        Ok(Some(seq))
    }
}

/// Leaves that count: those of accounts that are leaving, were struck, or have not accepted the group do not.
const MEMBERS: &str = "FROM windows JOIN devices USING (device_no) JOIN accounts USING (account_no)
                       WHERE windows.log_no = ?1 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0
                         AND NOT EXISTS (SELECT 1 FROM group_requests AS asked
                                         WHERE asked.log_no = windows.log_no AND asked.account_no = accounts.account_no)";

fn receipts(db: &Connection, group: GroupId) -> Sql<Vec<Receipt>> {
    let sql = "SELECT log_no FROM groups WHERE group_id = ?1";
    let log_no: Option<i64> = db.prepare_cached(sql)?.query_one([group], |row| row.get(0)).optional()?;
    let Some(log_no) = log_no else { return Ok(Vec::new()) };
    // Ends with the first account too many, however many follow.
    let sql = format!("SELECT count(*) FROM (SELECT DISTINCT account_no {MEMBERS} LIMIT ?2)");
    let accounts: u64 =
        db.prepare_cached(&sql)?.query_one(params![log_no, U(RECEIPT_ACCOUNTS as u64 + 1)], |row| uint(row, 0))?;
    if accounts > RECEIPT_ACCOUNTS as u64 {
        return Ok(Vec::new());
    }
    // Where a window begins, nothing was delivered yet.
    let sql = format!(
        "SELECT account_id, max(iif(welcome_seq IS NULL AND cursor > join_seq, cursor, 0)),
                coalesce((SELECT seq FROM read_markers WHERE read_markers.log_no = ?1
                          AND read_markers.account_no = accounts.account_no), 0), hide_receipts
         {MEMBERS} GROUP BY accounts.account_no ORDER BY account_id"
    );
    let row = |row: &Row<'_>| {
        let (delivered, read) = (uint(row, 1)?, uint(row, 2)?);
        Ok(Receipt { account: row.get(0)?, delivered, read, hidden: row.get(3)?, blocked: Vec::new() })
    };
    let mut receipts: Vec<Receipt> = db.prepare_cached(&sql)?.query_map([log_no], row)?.collect::<Sql<_>>()?;
    let sql = format!(
        "SELECT own.account_id, other.account_id FROM (SELECT DISTINCT account_no {MEMBERS}) AS members
         JOIN relations USING (account_no) JOIN accounts AS own USING (account_no)
         JOIN accounts AS other ON other.account_no = other_no WHERE state = ?2"
    );
    for pair in db.prepare_cached(&sql)?.query_map(params![log_no, Relation::Blocked], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (one, other): (AccountId, AccountId) = pair?;
        for receipt in &mut receipts {
            receipt
                .blocked
                .extend([(one, other), (other, one)].into_iter().filter(|(own, _)| *own == receipt.account).map(|pair| pair.1));
        }
    }
    Ok(receipts)
}
