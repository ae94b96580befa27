//! Whom an account may add to a group without being known to them, how often, and what the two are to each other then.

use std::collections::HashSet;

use rusqlite::params;

use super::{
    claims::CLAIM_MS,
    engine::Txn,
    known::KnownDevice,
    relations::{has_leaf, relation, share_group},
    types::{Relation, RelationChanged},
    values::{Sql, U},
};
use crate::{
    clock::UnixMs,
    limits::{RELATIONS_PER_ACCOUNT, REQUESTS_PER_CLAIMER, REQUESTS_PER_TARGET, STRANGERS_GROUPS_PER_TARGET},
};

/// On which terms an account may be added to a group by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terms {
    /// The own account, a member already, or one who has accepted that.
    Known,
    /// One who has to be asked.
    Stranger,
    /// One who has blocked the asker: nobody.
    Nobody,
    /// One whom the asker itself has blocked.
    Blocked,
}

/// Which bound a claim would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// The claimer has asked enough strangers.
    Claimer {
        /// When the oldest claim was made that counts.
        oldest: Option<UnixMs>,
    },
    /// A stranger has been asked enough.
    Target,
}

impl Txn<'_> {
    /// The terms between the claimer and an account that it wants to add to the group.
    pub(super) fn terms(&self, claimer: KnownDevice, account_no: i64, group_no: Option<i64>) -> Sql<Terms> {
        if account_no == claimer.account_no {
            return Ok(Terms::Known);
        }
        if let Some(group_no) = group_no
            && has_leaf(self.db, group_no, account_no)?
        {
            return Ok(Terms::Known);
        }
        let (theirs, own) =
            (relation(self.db, account_no, claimer.account_no)?, relation(self.db, claimer.account_no, account_no)?);
        Ok(match (theirs, own) {
            (Some(Relation::Blocked), _) => Terms::Nobody,
            (_, Some(Relation::Blocked)) => Terms::Blocked,
            (Some(Relation::Accepted | Relation::Requested), _) => Terms::Known,
            _ if share_group(self.db, claimer.account_no, account_no, true)? => Terms::Known,
            _ => Terms::Stranger,
        })
    }

    /// Whether so many requests may be open at once: those of the claimer, and those that each of the strangers has.
    pub(super) fn exceeds(&self, claimer_no: i64, strangers: &[i64], now: UnixMs) -> Sql<Option<Excess>> {
        if strangers.is_empty() {
            return Ok(None);
        }
        let since = U(now.saturating_sub(CLAIM_MS));
        let mut asked: HashSet<i64> = self
            .db
            .prepare_cached(
                "SELECT account_no FROM relations WHERE other_no = ?1 AND state = ?2
                 UNION SELECT account_no FROM claim_items JOIN claims USING (claim_no) JOIN devices USING (device_no)
                   WHERE stranger = ?1 AND redeemed = 0 AND claimed_at > ?3",
            )?
            .query_map(params![claimer_no, Relation::Request, since], |row| row.get(0))?
            .collect::<Sql<_>>()?;
        asked.extend(strangers);
        if asked.len() > REQUESTS_PER_CLAIMER || self.relations_of(claimer_no)? + strangers.len() > RELATIONS_PER_ACCOUNT {
            let sql = "SELECT min(claimed_at) FROM claim_items JOIN claims USING (claim_no)
                       WHERE stranger = ?1 AND redeemed = 0 AND claimed_at > ?2";
            let oldest: Option<i64> = self.db.prepare_cached(sql)?.query_one(params![claimer_no, since], |row| row.get(0))?;
            return Ok(Some(Excess::Claimer { oldest: oldest.and_then(|oldest| UnixMs::try_from(oldest).ok()) }));
        }
        for stranger in strangers {
            if self.is_asked_enough(*stranger, claimer_no, since)? {
                return Ok(Some(Excess::Target));
            }
        }
        Ok(None)
    }

    fn is_asked_enough(&self, account_no: i64, by: i64, since: U) -> Sql<bool> {
        let groups: u32 = self
            .db
            .prepare_cached("SELECT count(*) FROM group_requests WHERE account_no = ?1 AND added_by = ?2")?
            .query_one([account_no, by], |row| row.get(0))?;
        let mut asking: HashSet<i64> = self
            .db
            .prepare_cached(
                "SELECT other_no FROM relations WHERE account_no = ?1 AND state = ?2
                 UNION SELECT stranger FROM devices JOIN claim_items USING (device_no) JOIN claims USING (claim_no)
                   WHERE account_no = ?1 AND redeemed = 0 AND stranger IS NOT NULL AND claimed_at > ?3",
            )?
            .query_map(params![account_no, Relation::Request, since], |row| row.get(0))?
            .collect::<Sql<_>>()?;
        asking.insert(by);
        Ok(groups >= STRANGERS_GROUPS_PER_TARGET || asking.len() > REQUESTS_PER_TARGET)
    }

    /// Whether an account that is no member yet refuses to be added by this one.
    pub(super) fn refuses(&self, group_no: i64, account_no: i64, adder_no: i64) -> Sql<bool> {
        let blocked = relation(self.db, account_no, adder_no)? == Some(Relation::Blocked);
        Ok(blocked && !has_leaf(self.db, group_no, account_no)?)
    }

    /// A commit adds these accounts to a group that they are no members of yet. Who wants to hear from the adder takes
    /// the group in at once, and both have accepted each other; to all others it is a request.
    pub(super) fn meet(&mut self, adder_no: i64, accounts: &[i64], group_no: i64, now: UnixMs) -> Sql<Vec<RelationChanged>> {
        let mut changed = Vec::new();
        for account_no in accounts.iter().copied() {
            let (theirs, own) = (relation(self.db, account_no, adder_no)?, relation(self.db, adder_no, account_no)?);
            let wanted = matches!(theirs, Some(Relation::Accepted | Relation::Requested));
            self.forget_group_request(account_no, group_no)?;
            let (theirs, own) = match (wanted, own) {
                (true, _) => (Relation::Accepted, Some(Relation::Accepted)),
                // Who asked first, and has forgotten it, is asked now.
                (false, Some(Relation::Request)) => (Relation::Request, Some(Relation::Accepted)),
                (false, None) => (Relation::Request, Some(Relation::Requested)),
                (false, own) => (Relation::Request, own),
            };
            if !wanted {
                self.db
                    .prepare_cached("INSERT INTO group_requests (account_no, log_no, added_by) VALUES (?1, ?2, ?3)")?
                    .execute([account_no, group_no, adder_no])?;
            }
            self.relate(account_no, adder_no, Some(theirs), now, &mut changed)?;
            self.relate(adder_no, account_no, own, now, &mut changed)?;
        }
        Ok(changed)
    }

    /// Accounts of which the last leaf has gone have no request there any more.
    pub(super) fn forget_requests_of(&mut self, accounts: impl IntoIterator<Item = i64>, group_no: i64) -> Sql<()> {
        for account_no in accounts {
            if !has_leaf(self.db, group_no, account_no)? {
                self.forget_group_request(account_no, group_no)?;
            }
        }
        Ok(())
    }
}
