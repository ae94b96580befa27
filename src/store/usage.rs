//! How much stands here of what an account has sent, and in a group: what quotas are about.
//!
//! A group's number is a column of its log, which every message changes anyway. An account's is kept in memory and
//! written about once a second, so that a message costs no row more.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    numbers::{NumberMap, NumberSet},
    types::Quota,
    values::{Sql, U, uint},
};
use crate::{
    clock::Instant,
    ids::{AccountId, GroupId},
    limits::KNOWN_BY_HEART,
};

/// How often the accounts' numbers are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// The accounts' numbers.
#[derive(Default)]
pub(super) struct Usage {
    accounts: NumberMap<i64, u64>,
    /// Of devices: whose they are. That never changes.
    owners: NumberMap<i64, i64>,
    /// Not written since they changed.
    dirty: NumberSet<i64>,
    /// What stood there before, in the order of this transaction's changes.
    before: Vec<(i64, u64)>,
    written: Option<Instant>,
    writing: bool,
}

impl Usage {
    /// A point to come back to within the transaction.
    pub(super) fn mark(&self) -> usize {
        self.before.len()
    }

    /// Takes back what changed behind a point.
    pub(super) fn back_to(&mut self, mark: usize) {
        for (account_no, bytes) in self.before.drain(mark..).rev() {
            self.accounts.insert(account_no, bytes);
        }
    }

    /// Nothing of the transaction came to be.
    pub(super) fn rolled_back(&mut self) {
        self.back_to(0);
        self.writing = false;
    }

    /// Writes what changed, if it is time or `now_or_never`; within a transaction or on its own.
    pub(super) fn write(&mut self, db: &Connection, now: Instant, now_or_never: bool) -> Sql<()> {
        let due = self.written.is_none_or(|written| now.saturating_duration_since(written) >= WRITE_EVERY);
        if self.dirty.is_empty() || !(due || now_or_never) {
            return Ok(());
        }
        let mut statement = db.prepare_cached("INSERT OR REPLACE INTO usage (account_no, bytes) VALUES (?1, ?2)")?;
        for account_no in &self.dirty {
            statement.execute(params![account_no, U(self.accounts.get(account_no).copied().unwrap_or(0))])?;
        }
        self.writing = true;
        Ok(())
    }

    /// What was written is durable.
    pub(super) fn committed(&mut self, now: Instant) {
        self.before.clear();
        if std::mem::take(&mut self.writing) {
            self.dirty.clear();
            self.written = Some(now);
        }
        if self.dirty.is_empty() && self.accounts.len() > KNOWN_BY_HEART {
            self.accounts.clear();
        }
        if self.owners.len() > KNOWN_BY_HEART {
            self.owners.clear();
        }
    }

    fn bytes(&mut self, db: &Connection, account_no: i64) -> Sql<u64> {
        if let Some(bytes) = self.accounts.get(&account_no) {
            return Ok(*bytes);
        }
        let bytes = stored(db, account_no)?;
        self.accounts.insert(account_no, bytes);
        Ok(bytes)
    }

    fn change(&mut self, db: &Connection, account_no: i64, change: impl FnOnce(u64) -> u64) -> Sql<()> {
        let bytes = self.bytes(db, account_no)?;
        self.before.push((account_no, bytes));
        self.accounts.insert(account_no, change(bytes));
        self.dirty.insert(account_no);
        Ok(())
    }

    fn owner(&mut self, db: &Connection, device_no: i64) -> Sql<i64> {
        if let Some(account_no) = self.owners.get(&device_no) {
            return Ok(*account_no);
        }
        let sql = "SELECT account_no FROM devices WHERE device_no = ?1";
        let account_no = db.prepare_cached(sql)?.query_one([device_no], |row| row.get(0))?;
        self.owners.insert(device_no, account_no);
        Ok(account_no)
    }
}

impl Store {
    /// What of the account's messages stands here, and what in a group if one is named; about a second old.
    pub fn usage(&self, account: AccountId, group: Option<GroupId>) -> Answer<(Quota, Option<Quota>)> {
        let (account_limit, group_limit) = (self.0.account_bytes, self.0.group_bytes);
        self.read(move |db| {
            let sql = "SELECT account_no FROM accounts WHERE account_id = ?1";
            let account_no = db.prepare_cached(sql)?.query_one([account], |row| row.get(0)).optional()?;
            let used = account_no.map_or(Ok(0), |account_no| stored(db, account_no))?;
            let of_account = Quota { used, limit: account_limit };
            let Some(group) = group else { return Ok((of_account, None)) };
            let sql = "SELECT stored_bytes FROM logs WHERE owner = ?1";
            let used = db.prepare_cached(sql)?.query_one([group], |row| uint(row, 0)).optional()?.unwrap_or(0);
            Ok((of_account, Some(Quota { used, limit: group_limit })))
        })
    }
}

impl Txn<'_> {
    /// What of an account's messages stands here.
    pub(super) fn used_by(&mut self, account_no: i64) -> Sql<u64> {
        self.usage.bytes(self.db, account_no)
    }

    /// A message of the account stands here.
    pub(super) fn charge(&mut self, account_no: i64, bytes: usize) -> Sql<()> {
        self.usage.change(self.db, account_no, |used| used.saturating_add(bytes as u64))
    }

    /// A message of a device is gone from a log.
    pub(super) fn release(&mut self, log_no: i64, device_no: i64, bytes: u64) -> Sql<()> {
        let account_no = self.usage.owner(self.db, device_no)?;
        self.usage.change(self.db, account_no, |used| used.saturating_sub(bytes))?;
        self.shrink(log_no, bytes)
    }
}

fn stored(db: &Connection, account_no: i64) -> Sql<u64> {
    let sql = "SELECT bytes FROM usage WHERE account_no = ?1";
    Ok(db.prepare_cached(sql)?.query_one([account_no], |row| uint(row, 0)).optional()?.unwrap_or(0))
}
