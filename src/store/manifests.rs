//! The chain of manifests: which devices an account vouches for.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{DeviceState, Hash, NewManifest, PublishOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::ids::{AccountId, DeviceId, GroupId};

/// A device's row as a manifest decides over it.
struct Row {
    no: i64,
    id: DeviceId,
    key: [u8; 32],
    state: DeviceState,
}

impl Store {
    /// The encoded manifests behind version `after`, in order, at most `limit` (and never more than 256).
    pub fn manifests(&self, account: AccountId, after: u64, limit: usize) -> Answer<Vec<Vec<u8>>> {
        self.read(move |db| {
            let sql = "SELECT manifest FROM manifests JOIN accounts USING (account_no)
                       WHERE account_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3";
            let limit = U(limit.min(256) as u64);
            db.prepare_cached(sql)?.query_map(params![account, U(after), limit], |row| row.get(0))?.collect()
        })
    }

    /// Stores the next manifest. Listed pending devices become active; active ones it does not list are revoked: they
    /// read nothing more, their tokens and key packages are gone, and their leaves have to be removed. The newest
    /// manifest again is published again, with nothing to change.
    pub fn publish_manifest(&self, new: NewManifest) -> Answer<PublishOutcome> {
        self.write(new.manifest.len(), move |txn| txn.publish_manifest(&new))
    }
}

impl Txn<'_> {
    fn publish_manifest(&mut self, new: &NewManifest) -> Sql<PublishOutcome> {
        let sql = "SELECT account_no, manifest_version, hash FROM accounts JOIN manifests USING (account_no)
                   WHERE account_id = ?1 AND version = manifest_version";
        let newest = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, uint(row, 1)?, row.get(2)?));
        let newest: Option<(i64, u64, Hash)> = self.db.prepare_cached(sql)?.query_one([new.account_id], newest).optional()?;
        let Some((account_no, version, hash)) = newest else { return Ok(PublishOutcome::Conflict) };
        if (new.version, new.hash) == (version, hash) {
            return Ok(PublishOutcome::Published { activated: Vec::new(), revoked: Vec::new(), groups: Vec::new() });
        }
        if Some(new.version) != version.checked_add(1) || new.previous != hash {
            return Ok(PublishOutcome::Conflict);
        }
        let known = self.devices_of(account_no)?;
        let listed: HashMap<DeviceId, [u8; 32]> =
            new.devices.iter().map(|device| (device.device_id, device.device_key)).collect();
        let vouched =
            known.iter().filter(|row| row.state != DeviceState::Revoked && listed.get(&row.id) == Some(&row.key)).count();
        if vouched != listed.len() {
            return Ok(PublishOutcome::UnknownDevice);
        }

        self.store_manifest(account_no, new.version, new.hash, &new.manifest)?;
        self.db
            .prepare_cached("UPDATE accounts SET manifest_version = ?2 WHERE account_no = ?1")?
            .execute(params![account_no, U(new.version)])?;
        let (mut activated, mut revoked, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for row in &known {
            match (row.state, listed.contains_key(&row.id)) {
                (DeviceState::Pending, true) => {
                    self.set_state(row.no, DeviceState::Active)?;
                    activated.push(row.id);
                }
                (DeviceState::Active, false) => {
                    groups.extend(self.revoke(row.no)?);
                    revoked.push(row.id);
                }
                _ => {}
            }
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(PublishOutcome::Published { activated, revoked, groups })
    }

    /// Appends to the chain.
    pub(super) fn store_manifest(&mut self, account_no: i64, version: u64, hash: Hash, manifest: &[u8]) -> Sql<()> {
        self.db
            .prepare_cached("INSERT INTO manifests (account_no, version, hash, manifest) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![account_no, U(version), Blob(hash), manifest])?;
        Ok(())
    }

    fn devices_of(&self, account_no: i64) -> Sql<Vec<Row>> {
        self.db
            .prepare_cached("SELECT device_no, device_id, device_key, state FROM devices WHERE account_no = ?1")?
            .query_map([account_no], |row| Ok(Row { no: row.get(0)?, id: row.get(1)?, key: row.get(2)?, state: row.get(3)? }))?
            .collect()
    }

    fn set_state(&mut self, device_no: i64, state: DeviceState) -> Sql<()> {
        self.known.forget_senders();
        self.db.prepare_cached("UPDATE devices SET state = ?2 WHERE device_no = ?1")?.execute(params![device_no, state])?;
        Ok(())
    }

    /// Takes everything from a device but its leaves, which only commits can remove. Gives the groups that have one.
    pub(super) fn revoke(&mut self, device_no: i64) -> Sql<Vec<GroupId>> {
        self.set_state(device_no, DeviceState::Revoked)?;
        for sql in [
            "UPDATE windows SET state = 2 WHERE device_no = ?1",
            "UPDATE windows SET removal_asked = 2 WHERE device_no = ?1 AND leave_seq IS NULL
               AND log_no IN (SELECT log_no FROM groups)",
            "DELETE FROM tokens WHERE device_no = ?1",
            "DELETE FROM key_packages WHERE device_no = ?1",
            "DELETE FROM add_tasks WHERE device_no = ?1",
            "DELETE FROM reservations WHERE device_no = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([device_no])?;
        }
        let sql = "SELECT group_id FROM windows JOIN groups USING (log_no) WHERE device_no = ?1 AND leave_seq IS NULL";
        self.db.prepare_cached(sql)?.query_map([device_no], |row| row.get(0))?.collect()
    }
}
