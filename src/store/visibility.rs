//! Who may see whom, and what accounts hide.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Answer, Store,
    relations::may_see,
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
    let enabled = |account: AccountId| -> Sql<Option<(i64, Seen)>> {
        let sql = "SELECT account_no, hide_presence, last_there FROM accounts WHERE account_id = ?1 AND enabled = 1";
        let row = |row: &Row<'_>| Ok((row.get(0)?, Seen { account, hidden: row.get(1)?, last_there: uint(row, 2)? }));
        db.prepare_cached(sql)?.query_one([account], row).optional()
    };
    let Some((viewer_no, _)) = enabled(viewer)? else { return Ok(Vec::new()) };
    let mut seen = Vec::new();
    for subject in subjects.iter().filter(|subject| **subject != viewer) {
        let Some((subject_no, known)) = enabled(*subject)? else { continue };
        if may_see(db, viewer_no, subject_no)? {
            seen.push(known);
        }
    }
    Ok(seen)
}
