//! Groups: reserved, created, listed, reset.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Answer, Store, departures,
    engine::Txn,
    known::KnownDevice,
    log,
    places::{Places, Select, Way},
    types::{CreateOutcome, GroupState, GroupSummary, Membership, NewGroup, ResetOutcome},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, Epoch, GroupId, LogId},
    store::rosters,
};

/// How long a reserved id may be used.
const RESERVATION_MS: u64 = 60 * 60 * 1000;
/// Reservations a device holds at once; a further one takes the place of the oldest.
const RESERVATIONS_MAX: i64 = 16;

impl Store {
    /// Reserves an id, drawn at random by the caller, for one hour.
    pub fn reserve_group(&self, device: DeviceId, group: GroupId, now: UnixMs) -> Answer<()> {
        self.write(0, move |txn| {
            let Some(device) = txn.device(device)? else { return Ok(()) };
            txn.db
                .prepare_cached(
                    "DELETE FROM reservations WHERE group_id IN
                     (SELECT group_id FROM reservations WHERE device_no = ?1 ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)",
                )?
                .execute([device.no, RESERVATIONS_MAX - 1])?;
            txn.db
                .prepare_cached("INSERT OR IGNORE INTO reservations (group_id, device_no, expires_at) VALUES (?1, ?2, ?3)")?
                .execute(params![group, device.no, U(now.saturating_add(RESERVATION_MS))])
                .map(drop)
        })
    }

    /// Makes a group at epoch 0 with the creator's leaf, which reads the log from the start. Of several who create
    /// under one direct key while each other's account is a member, the first wins. The creator's repetition is
    /// answered as the first time.
    pub fn create_group(&self, new: NewGroup) -> Answer<CreateOutcome> {
        self.write(new.group_info.len(), move |txn| txn.create_group(&new))
    }

    /// What validating a handshake of the group needs; `None`: no such group.
    pub fn group_state(&self, group: GroupId) -> Answer<Option<GroupState>> {
        self.read_entries(move |db, places| group_state(db, places, group))
    }

    /// The groups in which the account has a leaf, by ascending id behind `after`, at most `limit` (never above 256).
    pub fn groups_of(
        &self,
        account: AccountId,
        device: DeviceId,
        after: Option<GroupId>,
        limit: usize,
    ) -> Answer<Vec<GroupSummary>> {
        self.read(move |db| {
            let sql =
                "SELECT group_id, epoch, max(device_id = ?2 AND windows.state = 0), max(removal_asked = 1), frozen, successor, suspended,
                              max(device_id = ?2 AND windows.state = 0 AND revived = 1),
                              (SELECT adder.account_id FROM group_requests JOIN accounts AS adder ON adder.account_no = added_by
                               WHERE group_requests.account_no = accounts.account_no AND group_requests.log_no = groups.log_no)
                       FROM accounts JOIN devices USING (account_no) JOIN windows USING (device_no)
                       JOIN groups ON groups.log_no = windows.log_no
                       WHERE account_id = ?1 AND leave_seq IS NULL AND windows.state = 0 AND group_id > ?3
                       GROUP BY group_id ORDER BY group_id LIMIT ?4";
            let after: &[u8] = after.as_ref().map_or(&[], |id| &id.0);
            db.prepare_cached(sql)?
                .query_map(params![account, device, after, U(limit.min(256) as u64)], |row| {
                    Ok(GroupSummary {
                        group: row.get(0)?,
                        epoch: uint(row, 1)?,
                        joined: row.get(2)?,
                        leaving: row.get(3)?,
                        frozen: row.get(4)?,
                        successor: row.get(5)?,
                        suspended: row.get(6)?,
                        welcome_lost: row.get(7)?,
                        request_of: row.get(8)?,
                    })
                })?
                .collect()
        })
    }

    /// Replaces a frozen group by a new one under the same conversation, once: compare-and-set on group and epoch.
    pub fn reset(&self, old: GroupId, epoch: Epoch, new: NewGroup) -> Answer<ResetOutcome> {
        self.write(new.group_info.len(), move |txn| txn.reset(old, epoch, &new))
    }
}

impl Txn<'_> {
    fn create_group(&mut self, new: &NewGroup) -> Sql<CreateOutcome> {
        let Some(creator) = self.device(new.creator.device_id)? else { return Ok(CreateOutcome::NotReserved) };
        if self.was_created(new, creator.no)? {
            return Ok(CreateOutcome::Created);
        }
        if !self.is_reserved(new, creator.no)? {
            return Ok(CreateOutcome::NotReserved);
        }
        if let Some(key) = new.direct_key {
            if let Some(standing) = self.under_direct_key(Blob(key), creator)? {
                return Ok(CreateOutcome::Exists(standing));
            }
            // Whoever holds the key does not have the caller's account in: it cannot keep others from theirs.
            self.db.prepare_cached("UPDATE groups SET direct_key = NULL WHERE direct_key = ?1")?.execute([Blob(key)])?;
        }
        self.found(new, new.group, new.direct_key.map(Blob), creator)?;
        Ok(CreateOutcome::Created)
    }

    fn reset(&mut self, old: GroupId, epoch: Epoch, new: &NewGroup) -> Sql<ResetOutcome> {
        let (Some(group), Some(caller)) = (self.group(old)?, self.device(new.creator.device_id)?) else {
            return Ok(ResetOutcome::NotFound);
        };
        if rosters::membership(self.db, group.no, caller)? != Membership::Member {
            return Ok(ResetOutcome::NotFound);
        }
        let sql = "SELECT conversation_id, successor FROM groups WHERE log_no = ?1";
        let (conversation, successor): (GroupId, Option<GroupId>) =
            self.db.prepare_cached(sql)?.query_one([group.no], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some(successor) = successor {
            return Ok(ResetOutcome::Successor(successor));
        }
        if !group.frozen || group.epoch != epoch {
            return Ok(ResetOutcome::NotFrozen);
        }
        if !self.is_reserved(new, caller.no)? {
            return Ok(ResetOutcome::NotReserved);
        }
        // The successor inherits the key; it is unique, so the old group loses it first.
        let sql = "UPDATE groups SET successor = ?2, direct_key = NULL WHERE log_no = ?1";
        let key: Option<Blob> =
            self.db.prepare_cached("SELECT direct_key FROM groups WHERE log_no = ?1")?.query_one([group.no], |row| row.get(0))?;
        self.db.prepare_cached(sql)?.execute(params![group.no, new.group])?;
        self.found(new, conversation, key, caller)?;
        self.known.forget_group(&old);
        Ok(ResetOutcome::Successor(new.group))
    }

    /// This very creation was answered before; another group under the same id is none.
    fn was_created(&self, new: &NewGroup, device_no: i64) -> Sql<bool> {
        let sql = "SELECT 1 FROM groups JOIN group_infos USING (log_no) WHERE group_id = ?1 AND creator = ?2 AND group_info = ?3";
        self.db.prepare_cached(sql)?.exists(params![new.group, device_no, new.group_info.as_ref()])
    }

    fn is_reserved(&self, new: &NewGroup, device_no: i64) -> Sql<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM reservations WHERE group_id = ?1 AND device_no = ?2 AND expires_at > ?3")?
            .exists(params![new.group, device_no, U(new.now)])
    }

    /// The group under a direct key, if the caller's account is a member of it.
    fn under_direct_key(&self, key: Blob, caller: KnownDevice) -> Sql<Option<GroupId>> {
        self.db
            .prepare_cached(
                "SELECT group_id FROM groups JOIN windows USING (log_no) JOIN devices USING (device_no)
                 WHERE direct_key = ?1 AND account_no = ?2 AND leave_seq IS NULL AND windows.state = 0 AND removal_asked = 0 LIMIT 1",
            )?
            .query_one(params![key, caller.account_no], |row| row.get(0))
            .optional()
    }

    /// The group's rows; uses the reservation up.
    fn found(&mut self, new: &NewGroup, conversation: GroupId, direct_key: Option<Blob>, creator: KnownDevice) -> Sql<()> {
        self.db.prepare_cached("DELETE FROM reservations WHERE group_id = ?1")?.execute([new.group])?;
        let log_no = self.new_log(&LogId::Group(new.group))?;
        self.db
            .prepare_cached(
                "INSERT INTO groups (log_no, group_id, conversation_id, direct_key, creator, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![log_no, new.group, conversation, direct_key, creator.no, U(new.now)])?;
        self.db
            .prepare_cached("INSERT INTO group_infos (log_no, group_info) VALUES (?1, ?2)")?
            .execute(params![log_no, &new.group_info[..]])?;
        self.open_window(log_no, creator.no, (0, sovereign_proto::log::START), None)
    }
}

fn group_state(db: &Connection, places: &Places, group: GroupId) -> Sql<Option<GroupState>> {
    let sql = "SELECT log_no, epoch, group_info, epoch_seq, frozen, suspended, revived_epoch FROM groups JOIN group_infos USING (log_no) WHERE group_id = ?1";
    let found = db
        .prepare_cached(sql)?
        .query_one([group], |row| {
            let state = GroupState {
                epoch: uint(row, 1)?,
                group_info: Bytes::from(row.get::<_, Vec<u8>>(2)?),
                epoch_seq: uint(row, 3)?,
                proposals: Vec::new(),
                frozen: row.get(4)?,
                suspended: row.get(5)?,
                revived_epoch: row.get::<_, Option<U>>(6)?.map(|epoch| epoch.0),
                removals: Vec::new(),
            };
            Ok((row.get(0)?, state))
        })
        .optional()?;
    let Some((log_no, mut state)): Option<(i64, GroupState)> = found else { return Ok(None) };
    let select = Select { columns: "body", joined: "" };
    let mut seqs = db.prepare_cached("SELECT seq FROM proposals WHERE log_no = ?1 ORDER BY seq")?;
    for seq in seqs.query_map([log_no], |row| uint(row, 0))? {
        let place = log::place(log_no, seq?);
        places.walk(db, select, (place..=place, Way::Up), 1, |row| {
            state.proposals.push(Bytes::from(row.get::<_, Vec<u8>>(0)?));
            Ok(true)
        })?;
    }
    state.removals = departures::removals(db, log_no)?;
    Ok(Some(state))
}
