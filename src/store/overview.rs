//! What operators ask of the whole: accounts and devices in pages, and everything in numbers.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    types::{AccountOverview, Census, DeviceOverview},
    values::{Sql, U, uint},
};
use crate::ids::AccountId;

/// Rows of one page at most: one more than is told, which says whether there is more.
const PAGE_MAX: usize = 257;
/// Names looked at for one that is like another at most.
const NAMES_MAX: i64 = 10_000;

const ACCOUNT: &str =
    "SELECT account_id, username, enabled, deleted_at IS NOT NULL, administrator, password_hash IS NOT NULL, created_at,
    (SELECT coalesce(max(last_seen), 0) FROM devices WHERE devices.account_no = accounts.account_no),
    (SELECT count(*) FROM devices WHERE devices.account_no = accounts.account_no AND state = 1),
    (SELECT count(*) FROM devices WHERE devices.account_no = accounts.account_no AND state = 0),
    (SELECT coalesce(max(bytes), 0) FROM usage WHERE usage.account_no = accounts.account_no)
  FROM accounts";
/// Seqs behind the cursors of windows, without those that a restore passed over.
const UNDELIVERED: &str = "coalesce(sum(coalesce(leave_seq, next_seq - 1) - cursor
    - coalesce((SELECT sum(to_seq - max(from_seq - 1, cursor)) FROM gaps
                WHERE gaps.log_no = windows.log_no AND to_seq > cursor AND to_seq <= coalesce(leave_seq, next_seq - 1)), 0)), 0)";

fn device_sql() -> String {
    format!(
        "SELECT device_no, device_id, username, state, devices.created_at, last_seen,
    (SELECT count(*) FROM key_packages WHERE key_packages.device_no = devices.device_no AND last_resort = 0),
    (SELECT {UNDELIVERED} FROM windows JOIN logs USING (log_no)
     WHERE windows.device_no = devices.device_no AND windows.state < 2)
  FROM devices JOIN accounts USING (account_no)"
    )
}

impl Store {
    /// Accounts behind a name in the order of their names, deleted ones included, at most `limit` (and never
    /// above 257).
    pub fn account_overviews(&self, after: String, limit: usize) -> Answer<Vec<AccountOverview>> {
        self.read(move |db| {
            let sql = format!("{ACCOUNT} WHERE username > ?1 ORDER BY username LIMIT ?2");
            db.prepare_cached(&sql)?.query_map(params![after, page(limit)], account)?.collect()
        })
    }

    /// The account of that exact username.
    pub fn account_overview(&self, username: String) -> Answer<Option<AccountOverview>> {
        self.read(move |db| {
            db.prepare_cached(&format!("{ACCOUNT} WHERE username = ?1"))?.query_one([username], account).optional()
        })
    }

    /// Devices behind a place, oldest first, of one account or of all, at most `limit` (and never above 257).
    pub fn device_overviews(&self, account: Option<AccountId>, after: u64, limit: usize) -> Answer<Vec<DeviceOverview>> {
        self.read(move |db| {
            let Some(account) = account else {
                let sql = format!("{} WHERE device_no > ?1 ORDER BY device_no LIMIT ?2", device_sql());
                return db.prepare_cached(&sql)?.query_map(params![U(after), page(limit)], device)?.collect();
            };
            let sql = format!("{} WHERE account_id = ?3 AND device_no > ?1 ORDER BY device_no LIMIT ?2", device_sql());
            db.prepare_cached(&sql)?.query_map(params![U(after), page(limit), account], device)?.collect()
        })
    }

    /// The newest devices of an account, newest first, at most 256.
    pub fn newest_devices(&self, account: AccountId) -> Answer<Vec<DeviceOverview>> {
        self.read(move |db| {
            let sql = format!("{} WHERE account_id = ?1 ORDER BY device_no DESC LIMIT ?2", device_sql());
            db.prepare_cached(&sql)?.query_map(params![account, page(PAGE_MAX - 1)], device)?.collect()
        })
    }

    /// In how many groups the account has a leaf.
    pub fn group_count(&self, account: AccountId) -> Answer<u32> {
        self.read(move |db| {
            let sql = "SELECT count(DISTINCT windows.log_no) FROM accounts JOIN devices USING (account_no)
                       JOIN windows USING (device_no) JOIN groups ON groups.log_no = windows.log_no
                       WHERE account_id = ?1 AND leave_seq IS NULL";
            db.prepare_cached(sql)?.query_one([account], |row| row.get(0))
        })
    }

    /// The usernames of these accounts, in their order; unknown ones are left out.
    pub fn usernames(&self, accounts: Vec<AccountId>) -> Answer<Vec<(AccountId, String)>> {
        self.read(move |db| {
            let mut statement = db.prepare_cached("SELECT username FROM accounts WHERE account_id = ?1")?;
            let mut names = Vec::with_capacity(accounts.len());
            for account in accounts {
                names.extend(statement.query_one([account], |row| row.get(0)).optional()?.map(|name| (account, name)));
            }
            Ok(names)
        })
    }

    /// Usernames of about that length, for a suggestion; at most 10,000.
    pub fn similar_usernames(&self, like: String) -> Answer<Vec<String>> {
        self.read(move |db| {
            let sql =
                "SELECT username FROM accounts WHERE deleted_at IS NULL AND abs(length(username) - length(?1)) <= 2 LIMIT ?2";
            db.prepare_cached(sql)?.query_map(params![like, NAMES_MAX], |row| row.get(0))?.collect()
        })
    }

    /// Everything in numbers. Looks at every window and device: not for every second.
    pub fn census(&self) -> Answer<Census> {
        let low = self.0.key_packages_low;
        self.read(move |db| census(db, low))
    }
}

pub(super) fn census(db: &Connection, low: u32) -> Sql<Census> {
    let number = |sql: &str| db.prepare_cached(sql)?.query_one([], |row| uint(row, 0));
    let stock = "SELECT coalesce(sum(held), 0), coalesce(sum(held < ?1), 0) FROM
        (SELECT (SELECT count(*) FROM key_packages WHERE key_packages.device_no = devices.device_no AND last_resort = 0) AS held
         FROM devices WHERE state = 1)";
    let (key_packages, devices_low) = db.prepare_cached(stock)?.query_one([low], |row| Ok((uint(row, 0)?, uint(row, 1)?)))?;
    Ok(Census {
        accounts: number("SELECT count(*) FROM accounts WHERE deleted_at IS NULL")?,
        accounts_disabled: number("SELECT count(*) FROM accounts WHERE deleted_at IS NULL AND enabled = 0")?,
        devices_active: number("SELECT count(*) FROM devices WHERE state = 1")?,
        devices_pending: number("SELECT count(*) FROM devices WHERE state = 0")?,
        groups: number("SELECT count(*) FROM groups WHERE successor IS NULL")?,
        groups_behind: number(
            "SELECT count(*) FROM (SELECT log_no FROM windows WHERE removal_asked > 0 AND leave_seq IS NULL
             UNION SELECT log_no FROM add_tasks)",
        )?,
        groups_frozen: number("SELECT count(*) FROM groups WHERE frozen = 1 AND successor IS NULL")?,
        groups_suspended: number("SELECT count(*) FROM groups WHERE suspended = 1")?,
        undelivered: number(&format!("SELECT {UNDELIVERED} FROM windows JOIN logs USING (log_no) WHERE windows.state < 2"))?,
        key_packages,
        devices_low,
        notices_open: number("SELECT count(*) FROM notices")?,
        stored_bytes: number("SELECT coalesce(sum(stored_bytes), 0) FROM logs")?,
    })
}

fn page(limit: usize) -> U {
    U(limit.clamp(1, PAGE_MAX) as u64)
}

fn account(row: &Row<'_>) -> Sql<AccountOverview> {
    Ok(AccountOverview {
        account_id: row.get(0)?,
        username: row.get(1)?,
        enabled: row.get(2)?,
        deleted: row.get(3)?,
        administrator: row.get(4)?,
        has_password: row.get(5)?,
        created_at: uint(row, 6)?,
        last_seen: uint(row, 7)?,
        active: row.get(8)?,
        pending: row.get(9)?,
        stored_bytes: uint(row, 10)?,
    })
}

fn device(row: &Row<'_>) -> Sql<DeviceOverview> {
    Ok(DeviceOverview {
        place: uint(row, 0)?,
        device_id: row.get(1)?,
        username: row.get(2)?,
        state: row.get(3)?,
        created_at: uint(row, 4)?,
        last_seen: uint(row, 5)?,
        key_packages: row.get(6)?,
        undelivered: uint(row, 7)?,
    })
}
