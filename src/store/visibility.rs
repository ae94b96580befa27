//! Who may see whom, and what accounts hide.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    types::{Privacy, PrivacyChange, Seen, StoreError},
    values::{Sql, U, uint},
};
use crate::{clock::UnixMs, ids::AccountId};

/// Accounts that one snapshot is held for.
const AT_ONCE: usize = 64;

impl Store {
    /// Which of these accounts `viewer` may see, in their order. Nothing is said of the others, whether they exist or
    /// not; and nobody watches their own account.
    pub async fn visible(&self, viewer: AccountId, subjects: &[AccountId]) -> Result<Vec<Seen>, StoreError> {
        let mut seen = Vec::new();
        for some in subjects.chunks(AT_ONCE) {
            let some = some.to_vec();
            seen.extend(self.read(move |db| visible(db, viewer, &some)).await?);
        }
        Ok(seen)
    }

    /// What the account keeps from others; `None`: there is no such account.
    pub fn privacy(&self, account: AccountId) -> Answer<Option<Privacy>> {
        self.read(move |db| {
            let sql = "SELECT hide_presence, hide_receipts, last_there FROM accounts WHERE account_id = ?1";
            let row =
                |row: &Row<'_>| Ok(Privacy { hide_presence: row.get(0)?, hide_receipts: row.get(1)?, last_there: uint(row, 2)? });
            db.prepare_cached(sql)?.query_one([account], row).optional()
        })
    }

    /// Changes what the account keeps from others.
    pub fn set_privacy(&self, account: AccountId, change: PrivacyChange) -> Answer<()> {
        self.relieve(move |txn| {
            txn.db
                .prepare_cached(
                    "UPDATE accounts SET hide_presence = coalesce(?2, hide_presence), hide_receipts = coalesce(?3, hide_receipts)
                     WHERE account_id = ?1",
                )?
                .execute(params![account, change.hide_presence, change.hide_receipts])
                .map(drop)
        })
    }

    /// Notes when accounts were there, coarse.
    pub fn note_there(&self, there: Vec<(AccountId, UnixMs)>) -> Answer<()> {
        if there.is_empty() {
            return Answer::ready(());
        }
        self.relieve(move |txn| {
            let sql = "UPDATE accounts SET last_there = max(last_there, ?2) WHERE account_id = ?1 AND hide_presence = 0";
            for (account, time) in there {
                txn.db.prepare_cached(sql)?.execute(params![account, U(time)])?;
            }
            Ok(())
        })
    }
}

fn visible(db: &Connection, viewer: AccountId, subjects: &[AccountId]) -> Sql<Vec<Seen>> {
    let relations = Relations::of(db, viewer)?;
    let sql = "SELECT account_no, hide_presence, last_there FROM accounts WHERE account_id = ?1 AND enabled = 1";
    let mut seen = Vec::new();
    for subject in subjects {
        let row = |row: &Row<'_>| Ok((row.get(0)?, Seen { account: *subject, hidden: row.get(1)?, last_there: uint(row, 2)? }));
        let found: Option<(i64, Seen)> = db.prepare_cached(sql)?.query_one([*subject], row).optional()?;
        let Some((subject_no, known)) = found.filter(|_| *subject != viewer) else { continue };
        if relations.may_see(db, subject_no)? {
            seen.push(known);
        }
    }
    Ok(seen)
}

/// To whom somebody stands in relation: whoever shares a group. The one place that decides it, for presence.
struct Relations {
    /// The logs that the account's devices are leaves of.
    logs: HashSet<i64>,
}

/// The groups (and own logs) that an account's devices read as leaves, those it is leaving left out.
const LOGS: &str = "SELECT log_no FROM devices JOIN windows USING (device_no)
                    WHERE account_no = ?1 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0";

impl Relations {
    fn of(db: &Connection, viewer: AccountId) -> Sql<Self> {
        let sql = "SELECT account_no FROM accounts WHERE account_id = ?1 AND enabled = 1";
        let viewer: Option<i64> = db.prepare_cached(sql)?.query_one([viewer], |row| row.get(0)).optional()?;
        let logs = match viewer {
            Some(viewer) => db.prepare_cached(LOGS)?.query_map([viewer], |row| row.get(0))?.collect::<Sql<_>>()?,
            None => HashSet::new(),
        };
        Ok(Self { logs })
    }

    /// Whether the two stand in relation: either both may see each other, or none.
    fn may_see(&self, db: &Connection, subject: i64) -> Sql<bool> {
        if self.logs.is_empty() {
            return Ok(false);
        }
        let mut statement = db.prepare_cached(LOGS)?;
        let mut logs = statement.query([subject])?;
        while let Some(row) = logs.next()? {
            if self.logs.contains(&row.get(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
