//! The chain of manifests: which devices an account vouches for.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    options::days_ms,
    restoration,
    types::{DeviceState, Hash, NewDevice, NewManifest, PublishOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, GroupId, LogId},
    limits::{DEVICES_PER_ACCOUNT, MANIFESTS_PER_ACCOUNT},
};

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
        if new.version > MANIFESTS_PER_ACCOUNT {
            return Ok(PublishOutcome::TooMany);
        }
        let known = self.devices_of(account_no)?;
        let listed: HashMap<DeviceId, [u8; 32]> =
            new.devices.iter().map(|device| (device.device_id, device.device_key)).collect();
        let vouched =
            known.iter().filter(|row| row.state != DeviceState::Revoked && listed.get(&row.id) == Some(&row.key)).count();
        if vouched != listed.len() && !self.enrol_forgotten(account_no, &known, &listed, new.now)? {
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

    /// After a restore an account may vouch for devices that were enrolled since the backup: they are enrolled again.
    /// False: the store was not restored of late, or some device is another's, revoked, or one too many.
    fn enrol_forgotten(
        &mut self,
        account_no: i64,
        known: &[Row],
        listed: &HashMap<DeviceId, [u8; 32]>,
        now: UnixMs,
    ) -> Sql<bool> {
        let restored: Option<U> = self.db.query_one("SELECT restored_at FROM meta", [], |row| row.get(0))?;
        if restored.is_none_or(|at| now > at.0.saturating_add(days_ms(self.options.commit_days))) {
            return Ok(false);
        }
        let (forgotten, others): (Vec<_>, Vec<_>) = listed.iter().partition(|(id, _)| !known.iter().any(|row| row.id == **id));
        let vouched = |(id, key): &(&DeviceId, &[u8; 32])| {
            known.iter().any(|row| row.id == **id && row.key == **key && row.state != DeviceState::Revoked)
        };
        let room =
            (DEVICES_PER_ACCOUNT as usize).saturating_sub(known.iter().filter(|row| row.state != DeviceState::Revoked).count());
        if !others.iter().all(vouched) || forgotten.len() > room {
            return Ok(false);
        }
        for (id, key) in &forgotten {
            if self.knows_device(&NewDevice { device_id: **id, device_key: **key })? {
                return Ok(false);
            }
        }
        let generation: u64 = self.db.query_one("SELECT store_generation FROM meta", [], |row| uint(row, 0))?;
        for (id, key) in forgotten {
            let device = NewDevice { device_id: *id, device_key: *key };
            self.enrol(account_no, &device, DeviceState::Active, now)?;
            // Its log had entries, too, whose seqs are not given again.
            restoration::pass_over(self.db, &LogId::Device(*id), generation)?;
        }
        Ok(true)
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
