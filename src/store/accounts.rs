//! Accounts and their devices.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    engine::Txn,
    relations,
    types::{Account, Applicant, Device, DeviceState, EnrolOutcome, NewAccount, NewDevice, SignUpOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, LogId},
    limits::{DEVICES_EVER_PER_ACCOUNT, DEVICES_PER_ACCOUNT, PENDING_DEVICES_PER_ACCOUNT, REVOKED_DEVICES_LISTED},
};

const ACCOUNT: &str = "SELECT account_id, username, identity_key, enabled, administrator, manifest_version, password_hash,
                       deleted_at IS NOT NULL FROM accounts";
const DEVICE: &str = "SELECT device_id, account_id, device_key, state, devices.created_at, last_seen, incarnation
                      FROM devices JOIN accounts USING (account_no)";

impl Store {
    /// Makes an account with its first device, active by its first manifest, and uses up the invite.
    pub fn sign_up(&self, new: NewAccount) -> Answer<SignUpOutcome> {
        self.write(new.manifest.len(), move |txn| txn.sign_up(&new))
    }

    /// The account of that exact username, for one who asks without being known to it: nothing where it is disabled or
    /// has blocked the asker. The same is looked up in either case.
    pub fn find_account(&self, asker: AccountId, username: String) -> Answer<Option<Account>> {
        self.read(move |db| {
            let found =
                db.prepare_cached(&format!("{ACCOUNT} WHERE username = ?1"))?.query_one([&username], account).optional()?;
            let blocked = relations::blocks(db, found.as_ref().map_or(AccountId([0; 16]), |found| found.account_id), asker)?;
            Ok(found.filter(|found| found.enabled && !blocked))
        })
    }

    /// The account of that id as another one may see it: nothing where it is disabled, or has blocked the asker and they
    /// are in no group together. An account always sees itself.
    pub fn visible_account(&self, asker: AccountId, id: AccountId) -> Answer<Option<Account>> {
        self.read(move |db| {
            let found = db.prepare_cached(&format!("{ACCOUNT} WHERE account_id = ?1"))?.query_one([id], account).optional()?;
            let visible = id == asker || relations::is_visible(db, asker, id)?;
            Ok(found.filter(|_| visible))
        })
    }

    /// The account of that exact username.
    pub fn account_by_name(&self, username: String) -> Answer<Option<Account>> {
        self.read(move |db| {
            db.prepare_cached(&format!("{ACCOUNT} WHERE username = ?1"))?.query_one([username], account).optional()
        })
    }

    /// The account of that id.
    pub fn account(&self, id: AccountId) -> Answer<Option<Account>> {
        self.read(move |db| db.prepare_cached(&format!("{ACCOUNT} WHERE account_id = ?1"))?.query_one([id], account).optional())
    }

    /// The device of that id, whatever its state.
    pub fn device(&self, id: DeviceId) -> Answer<Option<Device>> {
        self.read(move |db| db.prepare_cached(&format!("{DEVICE} WHERE device_id = ?1"))?.query_one([id], device).optional())
    }

    /// The device of that id, whatever its state, with its account.
    pub fn applicant(&self, id: DeviceId) -> Answer<Option<Applicant>> {
        self.read(move |db| {
            let sql = "SELECT account_id, device_key, state, username, enabled, administrator, manifest_version
                       FROM devices JOIN accounts USING (account_no) WHERE device_id = ?1";
            let applicant = |row: &Row<'_>| {
                Ok(Applicant {
                    account_id: row.get(0)?,
                    device_key: row.get(1)?,
                    state: row.get(2)?,
                    username: row.get(3)?,
                    enabled: row.get(4)?,
                    administrator: row.get(5)?,
                    manifest_version: uint(row, 6)?,
                })
            };
            db.prepare_cached(sql)?.query_one([id], applicant).optional()
        })
    }

    /// The devices of an account that are not revoked, and the latest of those that are; oldest first.
    pub fn devices(&self, account: AccountId) -> Answer<Vec<Device>> {
        self.read(move |db| devices(db, account))
    }

    /// Enrols a further device, pending until a manifest lists it. The same device again is enrolled again.
    pub fn enrol_pending(&self, account: AccountId, new: NewDevice, now: UnixMs) -> Answer<EnrolOutcome> {
        self.write(0, move |txn| txn.enrol_pending(account, new, now))
    }

    /// Replaces the password (a PHC string), forgets every token of the account, and revokes the devices that wait for
    /// their approval: they came by the old password. Gives those devices.
    pub fn set_password(&self, account: AccountId, phc: String) -> Answer<Vec<DeviceId>> {
        self.relieve(move |txn| {
            txn.db
                .prepare_cached("UPDATE accounts SET password_hash = ?2 WHERE account_id = ?1")?
                .execute(params![account, phc])?;
            txn.forget_tokens(account)?;
            txn.revoke_pending(account)
        })
    }

    /// Enables or disables an account, on an operator's word. Gives whom to cut off: the account and its devices.
    /// `None`: no such account, or a deleted one. Disabling forgets its tokens.
    pub fn set_enabled(&self, username: String, enabled: bool, now: UnixMs) -> Answer<Option<(AccountId, Vec<DeviceId>)>> {
        self.relieve(move |txn| {
            let sql = "UPDATE accounts SET enabled = ?2 WHERE username = ?1 AND deleted_at IS NULL RETURNING account_id";
            let account: Option<AccountId> =
                txn.db.prepare_cached(sql)?.query_one(params![username, enabled], |row| row.get(0)).optional()?;
            let Some(account) = account else { return Ok(None) };
            txn.known.forget_senders();
            if !enabled {
                txn.forget_tokens(account)?;
            }
            txn.audit(if enabled { "enable account" } else { "disable account" }, &account.0, now)?;
            let devices = devices(txn.db, account)?;
            let ids = devices.iter().filter(|device| device.state != DeviceState::Revoked).map(|device| device.device_id);
            Ok(Some((account, ids.collect())))
        })
    }
}

impl Txn<'_> {
    fn sign_up(&mut self, new: &NewAccount) -> Sql<SignUpOutcome> {
        let Some(administrator) = self.admits(new.invite, new.now)? else { return Ok(SignUpOutcome::InviteInvalid) };
        if self.db.prepare_cached("SELECT 1 FROM accounts WHERE username = ?1")?.exists([&new.username])? {
            return Ok(SignUpOutcome::UsernameTaken);
        }
        let known = "SELECT 1 FROM accounts WHERE account_id = ?1 OR identity_key = ?2";
        if self.db.prepare_cached(known)?.exists(params![new.account_id, Blob(new.identity_key)])?
            || self.knows_device(&new.device)?
        {
            return Ok(SignUpOutcome::IdTaken);
        }
        self.use_invite(new.invite)?;
        self.db
            .prepare_cached(
                "INSERT INTO accounts (account_id, username, identity_key, administrator, manifest_version, password_hash, created_at)
                 VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6)",
            )?
            .execute(params![new.account_id, new.username, Blob(new.identity_key), administrator, new.password_hash, U(new.now)])?;
        let account_no = self.db.last_insert_rowid();
        self.store_manifest(account_no, 1, new.manifest_hash, &new.manifest)?;
        self.enrol(account_no, &new.device, DeviceState::Active, new.now)?;
        Ok(SignUpOutcome::Created { administrator })
    }

    fn enrol_pending(&mut self, account: AccountId, new: NewDevice, now: UnixMs) -> Sql<EnrolOutcome> {
        let sql = "SELECT account_no, (SELECT count(*) FROM devices WHERE account_no = accounts.account_no AND state < 2),
                          (SELECT count(*) FROM devices WHERE account_no = accounts.account_no AND state = 0),
                          (SELECT count(*) FROM devices WHERE account_no = accounts.account_no)
                   FROM accounts WHERE account_id = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]));
        let found: Option<(i64, [u32; 3])> = self.db.prepare_cached(sql)?.query_one([account], row).optional()?;
        let Some((account_no, held)) = found else { return Ok(EnrolOutcome::Refused) };
        // Who lost the answer asks again.
        let again = "SELECT 1 FROM devices WHERE device_id = ?1 AND device_key = ?2 AND account_no = ?3 AND state = 0";
        if self.db.prepare_cached(again)?.exists(params![new.device_id, Blob(new.device_key), account_no])? {
            return Ok(EnrolOutcome::Enrolled);
        }
        let most = [DEVICES_PER_ACCOUNT, PENDING_DEVICES_PER_ACCOUNT, DEVICES_EVER_PER_ACCOUNT];
        if held.iter().zip(most).any(|(held, most)| *held >= most) || self.knows_device(&new)? {
            return Ok(EnrolOutcome::Refused);
        }
        self.enrol(account_no, &new, DeviceState::Pending, now)?;
        Ok(EnrolOutcome::Enrolled)
    }

    pub(super) fn knows_device(&self, device: &NewDevice) -> Sql<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM devices WHERE device_id = ?1 OR device_key = ?2")?
            .exists(params![device.device_id, Blob(device.device_key)])
    }

    /// The device with its own log, which it reads from the start.
    pub(super) fn enrol(&mut self, account_no: i64, device: &NewDevice, state: DeviceState, now: UnixMs) -> Sql<()> {
        let log_no = self.new_log(&LogId::Device(device.device_id))?;
        self.db
            .prepare_cached("INSERT INTO devices (device_id, account_no, device_key, state, created_at, own_log_no) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![device.device_id, account_no, Blob(device.device_key), state, U(now), log_no])?;
        let device_no = self.db.last_insert_rowid();
        self.open_window(log_no, device_no, (0, sovereign_proto::log::START), None)
    }

    fn revoke_pending(&mut self, account: AccountId) -> Sql<Vec<DeviceId>> {
        let sql = "SELECT device_no, device_id FROM devices JOIN accounts USING (account_no) WHERE account_id = ?1 AND state = 0";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let pending: Vec<(i64, DeviceId)> = self.db.prepare_cached(sql)?.query_map([account], row)?.collect::<Sql<_>>()?;
        for (device_no, _) in &pending {
            // A pending device is in no group.
            self.revoke(*device_no)?;
        }
        Ok(pending.into_iter().map(|(_, device)| device).collect())
    }

    /// Forgets every token of an account.
    pub(super) fn forget_tokens(&mut self, account: AccountId) -> Sql<()> {
        self.db
            .prepare_cached(
                "DELETE FROM tokens WHERE device_no IN
                 (SELECT device_no FROM devices JOIN accounts USING (account_no) WHERE account_id = ?1)",
            )?
            .execute([account])?;
        Ok(())
    }
}

fn devices(db: &Connection, account: AccountId) -> Sql<Vec<Device>> {
    let sql = format!(
        "{DEVICE} WHERE account_id = ?1 AND (state < 2 OR device_no IN
           (SELECT device_no FROM devices JOIN accounts USING (account_no)
            WHERE account_id = ?1 AND state = 2 ORDER BY device_no DESC LIMIT ?2))
         ORDER BY device_no"
    );
    db.prepare_cached(&sql)?.query_map(params![account, REVOKED_DEVICES_LISTED], device)?.collect()
}

fn account(row: &Row<'_>) -> Sql<Account> {
    Ok(Account {
        account_id: row.get(0)?,
        username: row.get(1)?,
        identity_key: row.get(2)?,
        enabled: row.get(3)?,
        administrator: row.get(4)?,
        manifest_version: uint(row, 5)?,
        password_hash: row.get(6)?,
        deleted: row.get(7)?,
    })
}

fn device(row: &Row<'_>) -> Sql<Device> {
    Ok(Device {
        device_id: row.get(0)?,
        account_id: row.get(1)?,
        device_key: row.get(2)?,
        state: row.get(3)?,
        created_at: uint(row, 4)?,
        last_seen: uint(row, 5)?,
        incarnation: uint(row, 6)?,
    })
}
