//! How accounts stand to each other, each in its own eyes; and who may see whom.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    types::{Contact, Relation, RelationChange, RelationChanged, SetRelationOutcome},
    values::{Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, GroupId},
    limits::RELATIONS_PER_ACCOUNT,
};

impl Store {
    /// The account's own side of its relations, by ascending account id behind `after`, at most `limit`.
    pub fn relations(&self, account: AccountId, after: Option<AccountId>, limit: usize) -> Answer<Vec<Contact>> {
        self.read(move |db| {
            let sql = "SELECT other.account_id, other.username, state, since
                       FROM accounts AS own JOIN relations ON relations.account_no = own.account_no
                       JOIN accounts AS other ON other.account_no = other_no
                       WHERE own.account_id = ?1 AND other.account_id > ?2 ORDER BY other.account_id LIMIT ?3";
            let after: &[u8] = after.as_ref().map_or(&[], |id| &id.0);
            let contact = |row: &rusqlite::Row<'_>| {
                let (account_id, username) = (row.get(0)?, row.get(1)?);
                Ok(Contact { account_id, username, relation: row.get(2)?, since: uint(row, 3)? })
            };
            db.prepare_cached(sql)?.query_map(params![account, after, U(limit as u64)], contact)?.collect()
        })
    }

    /// Changes the account's own side of a relation. Accepting answers a request, on both sides, and takes in the groups
    /// that were requests of the other one; being strangers makes the groups of just the two requests again.
    pub fn set_relation(
        &self,
        account: AccountId,
        other: AccountId,
        change: RelationChange,
        now: UnixMs,
    ) -> Answer<SetRelationOutcome> {
        self.write(0, move |txn| txn.set_relation(account, other, change, now))
    }

    /// Takes in a group, whoever has added the account to it. False: the account is no member.
    pub fn accept_group(&self, account: AccountId, group: GroupId) -> Answer<bool> {
        self.write(0, move |txn| {
            let (Some(group), Some(account_no)) = (txn.group(group)?, number(txn.db, account)?) else { return Ok(false) };
            if !has_leaf(txn.db, group.no, account_no)? {
                return Ok(false);
            }
            txn.forget_group_request(account_no, group.no)?;
            Ok(true)
        })
    }

    /// Whether `viewer` may see what `subject` shows to those it has to do with: presence and receipts. Both have
    /// accepted each other, or both are in a group that both have accepted; and neither has blocked the other.
    pub fn may_see(&self, viewer: AccountId, subject: AccountId) -> Answer<bool> {
        self.read(move |db| match (number(db, viewer)?, number(db, subject)?) {
            (Some(viewer), Some(subject)) => may_see(db, viewer, subject),
            _ => Ok(false),
        })
    }
}

/// See [`Store::may_see`]. It is the same in both directions.
pub(super) fn may_see(db: &Connection, viewer: i64, subject: i64) -> Sql<bool> {
    if viewer == subject {
        return Ok(true);
    }
    match (relation(db, viewer, subject)?, relation(db, subject, viewer)?) {
        (Some(Relation::Blocked), _) | (_, Some(Relation::Blocked)) => Ok(false),
        (Some(Relation::Accepted), Some(Relation::Accepted)) => Ok(true),
        _ => share_group(db, viewer, subject, true),
    }
}

/// Whether an account shows itself to one who knows its id: it is enabled, and has not blocked the asker unless they are
/// in a group together, where each sees the other anyway.
pub(super) fn is_visible(db: &Connection, asker: AccountId, id: AccountId) -> Sql<bool> {
    let blocked = blocks(db, id, asker)?;
    let found: Option<(i64, bool)> = db
        .prepare_cached("SELECT account_no, enabled FROM accounts WHERE account_id = ?1")?
        .query_one([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (Some((no, true)), Some(asker)) = (found, number(db, asker)?) else { return Ok(false) };
    if blocked { share_group(db, asker, no, false) } else { Ok(true) }
}

/// Whether an account has blocked another one.
pub(super) fn blocks(db: &Connection, account: AccountId, other: AccountId) -> Sql<bool> {
    db.prepare_cached(
        "SELECT 1 FROM accounts AS own JOIN relations ON relations.account_no = own.account_no
         JOIN accounts AS other ON other.account_no = other_no
         WHERE own.account_id = ?1 AND other.account_id = ?2 AND state = ?3",
    )?
    .exists(params![account, other, Relation::Blocked])
}

/// One side of a relation; `None`: strangers.
pub(super) fn relation(db: &Connection, account_no: i64, other_no: i64) -> Sql<Option<Relation>> {
    db.prepare_cached("SELECT state FROM relations WHERE account_no = ?1 AND other_no = ?2")?
        .query_one([account_no, other_no], |row| row.get(0))
        .optional()
}

/// Whether both are members of one group and neither is leaving it; `accepted`: which both have accepted.
pub(super) fn share_group(db: &Connection, one: i64, other: i64, accepted: bool) -> Sql<bool> {
    db.prepare_cached(
        "SELECT 1 FROM devices AS own CROSS JOIN windows AS here ON here.device_no = own.device_no
         CROSS JOIN devices AS theirs CROSS JOIN windows AS there ON there.log_no = here.log_no AND there.device_no = theirs.device_no
         WHERE own.account_no = ?1 AND theirs.account_no = ?2
           AND here.leave_seq IS NULL AND here.state = 0 AND here.removal_asked = 0
           AND there.leave_seq IS NULL AND there.state = 0 AND there.removal_asked = 0
           AND (?3 = 0 OR NOT EXISTS (SELECT 1 FROM group_requests
                                      WHERE log_no = here.log_no AND group_requests.account_no IN (?1, ?2)))
         LIMIT 1",
    )?
    .exists(params![one, other, accepted])
}

/// Whether a device of the account is a leaf of the group.
pub(super) fn has_leaf(db: &Connection, log_no: i64, account_no: i64) -> Sql<bool> {
    db.prepare_cached(
        "SELECT 1 FROM devices CROSS JOIN windows USING (device_no)
         WHERE account_no = ?2 AND log_no = ?1 AND leave_seq IS NULL AND windows.state = 0",
    )?
    .exists([log_no, account_no])
}

fn number(db: &Connection, account: AccountId) -> Sql<Option<i64>> {
    db.prepare_cached("SELECT account_no FROM accounts WHERE account_id = ?1")?.query_one([account], |row| row.get(0)).optional()
}

impl Txn<'_> {
    fn set_relation(
        &mut self,
        account: AccountId,
        other: AccountId,
        change: RelationChange,
        now: UnixMs,
    ) -> Sql<SetRelationOutcome> {
        let (Some(own), Some(their)) = (number(self.db, account)?, number(self.db, other)?) else {
            return Ok(SetRelationOutcome::NotFound);
        };
        let before = relation(self.db, own, their)?;
        if before.is_none() && !is_visible(self.db, account, other)? {
            return Ok(SetRelationOutcome::NotFound);
        }
        if before.is_none() && change != RelationChange::Remove && self.relations_of(own)? >= RELATIONS_PER_ACCOUNT {
            return Ok(SetRelationOutcome::TooMany);
        }
        let mut changed = Vec::new();
        match change {
            RelationChange::Accept => {
                if !matches!(before, Some(Relation::Accepted | Relation::Requested)) {
                    self.relate(own, their, Some(Relation::Accepted), now, &mut changed)?;
                }
                if relation(self.db, their, own)? == Some(Relation::Requested) {
                    self.relate(their, own, Some(Relation::Accepted), now, &mut changed)?;
                }
                self.db
                    .prepare_cached("DELETE FROM group_requests WHERE account_no = ?1 AND added_by = ?2")?
                    .execute([own, their])?;
            }
            RelationChange::Block => self.relate(own, their, Some(Relation::Blocked), now, &mut changed)?,
            RelationChange::Remove => {
                self.relate(own, their, None, now, &mut changed)?;
                self.request_groups_of_two(own, their)?;
            }
        }
        Ok(SetRelationOutcome::Set { relation: relation(self.db, own, their)?, changed })
    }

    /// Makes one side of a relation what it shall be, and notes it if it was something else.
    pub(super) fn relate(
        &mut self,
        account_no: i64,
        other_no: i64,
        to: Option<Relation>,
        now: UnixMs,
        changed: &mut Vec<RelationChanged>,
    ) -> Sql<()> {
        if relation(self.db, account_no, other_no)? == to {
            return Ok(());
        }
        if let Some(to) = to {
            self.db
                .prepare_cached(
                    "INSERT INTO relations (account_no, other_no, state, since) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (account_no, other_no) DO UPDATE SET state = excluded.state, since = excluded.since",
                )?
                .execute(params![account_no, other_no, to, U(now)])?;
        } else {
            let sql = "DELETE FROM relations WHERE account_no = ?1 AND other_no = ?2";
            self.db.prepare_cached(sql)?.execute([account_no, other_no])?;
        }
        let sql = "SELECT own.account_id, other.account_id, other.username FROM accounts AS own, accounts AS other
                   WHERE own.account_no = ?1 AND other.account_no = ?2";
        changed.push(self.db.prepare_cached(sql)?.query_one([account_no, other_no], |row| {
            let contact = Contact { account_id: row.get(1)?, username: row.get(2)?, relation: to, since: now };
            Ok(RelationChanged { of: row.get(0)?, contact })
        })?);
        Ok(())
    }

    /// How many relations the account has.
    pub(super) fn relations_of(&self, account_no: i64) -> Sql<usize> {
        let sql = "SELECT count(*) FROM relations WHERE account_no = ?1";
        let count: u32 = self.db.prepare_cached(sql)?.query_one([account_no], |row| row.get(0))?;
        Ok(count as usize)
    }

    /// Whether the group is a request to the account.
    pub(super) fn is_group_request(&self, account_no: i64, log_no: i64) -> Sql<bool> {
        self.db.prepare_cached("SELECT 1 FROM group_requests WHERE account_no = ?1 AND log_no = ?2")?.exists([account_no, log_no])
    }

    /// The group is no request of this account any more.
    pub(super) fn forget_group_request(&mut self, account_no: i64, log_no: i64) -> Sql<()> {
        self.db
            .prepare_cached("DELETE FROM group_requests WHERE account_no = ?1 AND log_no = ?2")?
            .execute([account_no, log_no])
            .map(drop)
    }

    /// Strangers see nothing of each other in a group of nobody else.
    fn request_groups_of_two(&mut self, own: i64, their: i64) -> Sql<()> {
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO group_requests (account_no, log_no, added_by)
                 SELECT ?1, here.log_no, ?2 FROM devices AS own CROSS JOIN windows AS here ON here.device_no = own.device_no
                 CROSS JOIN devices AS theirs CROSS JOIN windows AS there
                   ON there.log_no = here.log_no AND there.device_no = theirs.device_no
                 WHERE own.account_no = ?1 AND theirs.account_no = ?2
                   AND here.leave_seq IS NULL AND here.state = 0 AND there.leave_seq IS NULL AND there.state = 0
                   AND NOT EXISTS (SELECT 1 FROM windows AS third JOIN devices AS others ON others.device_no = third.device_no
                                   WHERE third.log_no = here.log_no AND third.leave_seq IS NULL
                                     AND others.account_no NOT IN (?1, ?2))",
            )?
            .execute([own, their])
            .map(drop)
    }
}
