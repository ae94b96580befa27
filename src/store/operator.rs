//! What operators change: passwords, devices, whole accounts. Every change writes its audit row in the same transaction.

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{Deletion, DeviceState, RevokeOutcome},
    values::{Sql, U},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, GroupId},
};

impl Store {
    /// Replaces the password (a PHC string) and forgets every token of the account. `None`: no such account, or a
    /// deleted one.
    pub fn reset_password(&self, username: String, phc: String, now: UnixMs) -> Answer<Option<AccountId>> {
        self.relieve(move |txn| {
            let sql = "UPDATE accounts SET password_hash = ?2 WHERE username = ?1 AND deleted_at IS NULL RETURNING account_id";
            let found = txn.db.prepare_cached(sql)?.query_one(params![username, phc], |row| row.get(0)).optional()?;
            let Some(account): Option<AccountId> = found else { return Ok(None) };
            txn.forget_tokens(account)?;
            txn.audit("reset password", &account.0, now)?;
            Ok(Some(account))
        })
    }

    /// Deletes an account for good: every device is revoked, the password is gone, and the name stays taken. What it
    /// said stays for the others. `None`: no such account, or deleted before.
    pub fn delete_account(&self, username: String, now: UnixMs) -> Answer<Option<Deletion>> {
        self.relieve(move |txn| txn.delete_account(&username, now))
    }

    /// Revokes the one device whose id lies between these two, both inclusive, on an operator's word. The account's
    /// manifest stays: only its own devices sign it.
    pub fn revoke_device(&self, first: DeviceId, last: DeviceId, now: UnixMs) -> Answer<RevokeOutcome> {
        self.relieve(move |txn| txn.revoke_device(first, last, now))
    }

    /// Notes something an operator did that changed no row.
    pub fn note_operation(&self, what: &'static str, target: Vec<u8>, now: UnixMs) -> Answer<()> {
        self.relieve(move |txn| txn.audit(what, &target, now))
    }
}

impl Txn<'_> {
    fn delete_account(&mut self, username: &str, now: UnixMs) -> Sql<Option<Deletion>> {
        let sql = "UPDATE accounts SET deleted_at = ?2, enabled = 0, password_hash = NULL
                   WHERE username = ?1 AND deleted_at IS NULL RETURNING account_no, account_id";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(i64, AccountId)> =
            self.db.prepare_cached(sql)?.query_one(params![username, U(now)], row).optional()?;
        let Some((account_no, account)) = found else { return Ok(None) };
        let devices: Vec<i64> = self
            .db
            .prepare_cached("SELECT device_no FROM devices WHERE account_no = ?1 AND state < 2")?
            .query_map([account_no], |row| row.get(0))?
            .collect::<Sql<_>>()?;
        let mut groups: Vec<GroupId> = Vec::new();
        for device_no in &devices {
            groups.extend(self.revoke(*device_no)?);
        }
        groups.sort_unstable();
        groups.dedup();
        self.forget_tokens(account)?;
        // What others had to do with the account goes with it.
        for sql in [
            "DELETE FROM relations WHERE account_no = ?1",
            "DELETE FROM relations WHERE other_no = ?1",
            "DELETE FROM group_requests WHERE account_no = ?1 OR added_by = ?1",
            "DELETE FROM read_markers WHERE account_no = ?1",
            "UPDATE claim_items SET stranger = NULL WHERE stranger = ?1",
            "UPDATE accounts SET last_there = 0 WHERE account_no = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([account_no])?;
        }
        self.known.forget_senders();
        self.audit("delete account", &account.0, now)?;
        Ok(Some(Deletion { account, devices: u32::try_from(devices.len()).unwrap_or(u32::MAX), groups }))
    }

    fn revoke_device(&mut self, first: DeviceId, last: DeviceId, now: UnixMs) -> Sql<RevokeOutcome> {
        let sql = "SELECT device_no, device_id, state, username FROM devices JOIN accounts USING (account_no)
                   WHERE device_id BETWEEN ?1 AND ?2 LIMIT 2";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let found: Vec<(i64, DeviceId, DeviceState, String)> =
            self.db.prepare_cached(sql)?.query_map([first, last], row)?.collect::<Sql<_>>()?;
        let (device_no, device, state, username) = match <[_; 1]>::try_from(found) {
            Ok([found]) => found,
            Err(found) if found.is_empty() => return Ok(RevokeOutcome::Unknown),
            Err(_) => return Ok(RevokeOutcome::Ambiguous),
        };
        if state == DeviceState::Revoked {
            return Ok(RevokeOutcome::Already);
        }
        let groups = self.revoke(device_no)?;
        self.audit("revoke device", &device.0, now)?;
        Ok(RevokeOutcome::Revoked { device, username, groups })
    }
}
