//! Accounts and their devices.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{Account, Device, DeviceState, EnrolOutcome, NewAccount, NewDevice, SignUpOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, LogId},
};

/// Devices of an account that are not revoked, pending ones included.
const DEVICES_MAX: i64 = 64;
/// Devices of one account that wait for their approval: who knows the password alone cannot fill the account.
const PENDING_MAX: i64 = 8;

const ACCOUNT: &str = "SELECT account_id, username, identity_key, enabled, administrator, manifest_version, password_hash, deleted_at IS NOT NULL FROM accounts";
const DEVICE: &str = "SELECT device_id, account_id, device_key, state, devices.created_at, last_seen, incarnation
                      FROM devices JOIN accounts USING (account_no)";

impl Store {
    /// Makes an account with its first device, active by its first manifest, and uses up the invite.
    pub fn sign_up(&self, new: NewAccount) -> Answer<SignUpOutcome> {
        self.write(new.manifest.len(), move |txn| txn.sign_up(&new))
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

    /// Every device the account ever had, oldest first.
    pub fn devices(&self, account: AccountId) -> Answer<Vec<Device>> {
        self.read(move |db| devices(db, account))
    }

    /// Enrols a further device, pending until a manifest lists it. The same device again is enrolled again.
    pub fn enrol_pending(&self, account: AccountId, new: NewDevice, now: UnixMs) -> Answer<EnrolOutcome> {
        self.write(0, move |txn| txn.enrol_pending(account, new, now))
    }

    /// Replaces the password (a PHC string) and forgets every token of the account.
    pub fn set_password(&self, account: AccountId, phc: String) -> Answer<()> {
        self.relieve(move |txn| {
            txn.db
                .prepare_cached("UPDATE accounts SET password_hash = ?2 WHERE account_id = ?1")?
                .execute(params![account, phc])?;
            txn.forget_tokens(account)
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
                          (SELECT count(*) FROM devices WHERE account_no = accounts.account_no AND state = 0)
                   FROM accounts WHERE account_id = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: Option<(i64, i64, i64)> = self.db.prepare_cached(sql)?.query_one([account], row).optional()?;
        let Some((account_no, devices, pending)) = found else { return Ok(EnrolOutcome::Refused) };
        // Who lost the answer asks again.
        let again = "SELECT 1 FROM devices WHERE device_id = ?1 AND device_key = ?2 AND account_no = ?3 AND state = 0";
        if self.db.prepare_cached(again)?.exists(params![new.device_id, Blob(new.device_key), account_no])? {
            return Ok(EnrolOutcome::Enrolled);
        }
        if devices >= DEVICES_MAX || pending >= PENDING_MAX || self.knows_device(&new)? {
            return Ok(EnrolOutcome::Refused);
        }
        self.enrol(account_no, &new, DeviceState::Pending, now)?;
        Ok(EnrolOutcome::Enrolled)
    }

    fn knows_device(&self, device: &NewDevice) -> Sql<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM devices WHERE device_id = ?1 OR device_key = ?2")?
            .exists(params![device.device_id, Blob(device.device_key)])
    }

    /// The device with its own log, which it reads from the start.
    fn enrol(&mut self, account_no: i64, device: &NewDevice, state: DeviceState, now: UnixMs) -> Sql<()> {
        let log_no = self.new_log(&LogId::Device(device.device_id))?;
        self.db
            .prepare_cached("INSERT INTO devices (device_id, account_no, device_key, state, created_at, own_log_no) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![device.device_id, account_no, Blob(device.device_key), state, U(now), log_no])?;
        let device_no = self.db.last_insert_rowid();
        self.open_window(log_no, device_no, (0, sovereign_proto::log::START), None)
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
    db.prepare_cached(&format!("{DEVICE} WHERE account_id = ?1 ORDER BY device_no"))?.query_map([account], device)?.collect()
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
