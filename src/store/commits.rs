//! Commits: exactly one for each epoch, with everything it brings, or nothing of it.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message as _;
use rusqlite::{OptionalExtension as _, params};
use sovereign_proto::{
    log::{self, Kind},
    v1::{RemovedEntry, WelcomeEntry},
};

use super::{
    Answer, Store,
    engine::Txn,
    known::{KnownDevice, KnownGroup},
    log::NewEntry,
    relations, rosters,
    types::{AppendOutcome, CommitOutcome, CommitPlan, Hash, Membership, SenderRef},
    values::{Blob, Sql, U, uint},
};
use crate::ids::{DeviceId, Epoch, GroupId, Leaf, LogId, Seq};

/// A commit that stands.
struct Standing {
    from_epoch: Epoch,
    seq: Seq,
    device_no: i64,
    bundle_hash: Hash,
}

/// A plan whose every precondition holds in this transaction.
struct Checked {
    group: KnownGroup,
    committer: KnownDevice,
    added: Vec<Coming>,
    removed: Vec<Going>,
}

/// A leaf that a commit adds, and the claim record that it redeems.
struct Coming {
    device: KnownDevice,
    id: DeviceId,
    item_no: i64,
}

/// A leaf that a commit removes.
pub(super) struct Going {
    pub(super) device: KnownDevice,
    pub(super) id: DeviceId,
    pub(super) window_no: i64,
    /// Not revoked: it reads on up to the commit, and is told.
    pub(super) reads_on: bool,
}

/// Hashes made before the writer is asked.
struct Hashes {
    commit: Hash,
    messages: Vec<Hash>,
}

impl Store {
    /// Accepts a validated commit with its whole bundle in one transaction, or refuses it and writes nothing. The
    /// bundle that stands already is accepted again. Epoch, the committer's leaf, the state of every added device and
    /// every claim are checked here once more.
    pub fn accept_commit(&self, plan: CommitPlan) -> Answer<CommitOutcome> {
        let messages: Vec<Hash> =
            plan.messages.iter().map(|message| log::entry_hash(Kind::Message, &message.ciphertext)).collect();
        let hashes = Hashes { commit: log::entry_hash(Kind::Commit, &plan.commit), messages };
        let bytes = plan.commit.len() + plan.group_info.len() + plan.welcome.len();
        let bytes = bytes + plan.messages.iter().map(|message| message.ciphertext.len()).sum::<usize>();
        self.write(bytes, move |txn| match txn.check_commit(&plan, &hashes)? {
            Ok(checked) => txn.write_commit(plan, checked, &hashes),
            Err(outcome) => Ok(outcome),
        })
    }

    /// Where the device's open window of the group begins, with the running hash there.
    pub fn window_start(&self, group: GroupId, device: DeviceId) -> Answer<Option<(Seq, Hash)>> {
        self.read(move |db| {
            let sql = "SELECT join_seq, join_hash FROM groups JOIN windows USING (log_no) JOIN devices USING (device_no)
                       WHERE group_id = ?1 AND device_id = ?2 AND leave_seq IS NULL";
            let row = |row: &rusqlite::Row<'_>| Ok((uint(row, 0)?, row.get(1)?));
            db.prepare_cached(sql)?.query_one(params![group, device], row).optional()
        })
    }

    /// The seq of a bundle that this device had accepted, and the epoch it made.
    pub fn known_commit(&self, group: GroupId, device: DeviceId, bundle_hash: Hash) -> Answer<Option<(Seq, Epoch)>> {
        self.read(move |db| {
            let sql = "SELECT seq, from_epoch + 1 FROM groups JOIN commits USING (log_no) JOIN devices USING (device_no)
                       WHERE group_id = ?1 AND bundle_hash = ?2 AND device_id = ?3";
            let row = |row: &rusqlite::Row<'_>| Ok((uint(row, 0)?, uint(row, 1)?));
            db.prepare_cached(sql)?.query_one(params![group, Blob(bundle_hash), device], row).optional()
        })
    }
}

impl Txn<'_> {
    /// Every reason to refuse, before the first write.
    fn check_commit(&mut self, plan: &CommitPlan, hashes: &Hashes) -> Sql<Result<Checked, CommitOutcome>> {
        let (Some(group), Some(committer)) = (self.group(plan.group)?, self.device(plan.committer.device_id)?) else {
            return Ok(Err(CommitOutcome::NotFound));
        };
        if let Some(standing) = self.standing_commit(group.no, committer.no, &plan.commit_hash)? {
            return Ok(Err(if standing.bundle_hash == plan.bundle_hash {
                let head = self.head(group.no)?.seq;
                CommitOutcome::Accepted {
                    seq: standing.seq,
                    epoch: standing.from_epoch + 1,
                    duplicate: true,
                    head,
                    notified: Vec::new(),
                    relations: Vec::new(),
                }
            } else {
                CommitOutcome::Conflict
            }));
        }
        if !self.may_commit(plan, group, committer)? {
            return Ok(Err(CommitOutcome::NotFound));
        }
        if group.suspended {
            return Ok(Err(CommitOutcome::Suspended));
        }
        if plan.from_epoch > group.epoch {
            return Ok(Err(CommitOutcome::ServerBehind));
        }
        if plan.from_epoch < group.epoch {
            return Ok(Err(CommitOutcome::Stale { current_epoch: group.epoch }));
        }
        if group.frozen {
            return Ok(Err(CommitOutcome::Frozen));
        }
        let Some(removed) = self.check_removed(plan, group)? else { return Ok(Err(CommitOutcome::Conflict)) };
        let added = match self.check_added(plan, group, committer)? {
            Ok(added) => added,
            Err(device) => return Ok(Err(CommitOutcome::BadAdd(device))),
        };
        if !self.check_messages(plan, hashes, group.no, committer.no)? {
            return Ok(Err(CommitOutcome::Conflict));
        }
        // A commit alone is never refused for room: it may be the one that removes somebody.
        let bytes = plan.messages.iter().map(|message| message.ciphertext.len()).sum();
        match self.over_quota(group.no, committer.account_no, bytes)? {
            Some(AppendOutcome::AccountFull(quota)) if bytes > 0 => {
                return Ok(Err(CommitOutcome::Full { of_group: false, quota }));
            }
            Some(AppendOutcome::GroupFull(quota)) if bytes > 0 => return Ok(Err(CommitOutcome::Full { of_group: true, quota })),
            _ => {}
        }
        Ok(Ok(Checked { group, committer, added, removed }))
    }

    fn standing_commit(&self, group_no: i64, device_no: i64, commit_hash: &Hash) -> Sql<Option<Standing>> {
        let sql = "SELECT from_epoch, seq, device_no, bundle_hash FROM commits WHERE log_no = ?1 AND commit_hash = ?2";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Standing { from_epoch: uint(row, 0)?, seq: uint(row, 1)?, device_no: row.get(2)?, bundle_hash: row.get(3)? })
        };
        let standing = self.db.prepare_cached(sql)?.query_one(params![group_no, Blob(*commit_hash)], row).optional()?;
        Ok(standing.filter(|standing| standing.device_no == device_no))
    }

    /// A member may; an external joiner may if another leaf of its account stays, or if it replaces its own leaf, and
    /// if it removes nobody else.
    fn may_commit(&self, plan: &CommitPlan, group: KnownGroup, committer: KnownDevice) -> Sql<bool> {
        if committer.account_id != plan.committer.account_id {
            return Ok(false);
        }
        let replaces_own = plan.removed.contains(&plan.committer);
        Ok(match (rosters::membership(self.db, group.no, committer)?, plan.external) {
            (Membership::Member, false) => !replaces_own,
            (Membership::Member, true) => plan.removed == [plan.committer],
            (Membership::AccountOnly, true) => plan.removed.is_empty(),
            _ => false,
        })
    }

    /// The windows that close; `None` if a removed leaf is none.
    fn check_removed(&mut self, plan: &CommitPlan, group: KnownGroup) -> Sql<Option<Vec<Going>>> {
        let mut removed = Vec::with_capacity(plan.removed.len());
        let mut seen = HashSet::new();
        for leaf in &plan.removed {
            let Some(device) = self.device(leaf.device_id)? else { return Ok(None) };
            let Some((window_no, reads_on)) = self.leaf_window(group.no, device.no)? else { return Ok(None) };
            if !seen.insert(device.no) {
                return Ok(None);
            }
            removed.push(Going { device, id: leaf.device_id, window_no, reads_on });
        }
        Ok(Some(removed))
    }

    /// The added devices with their claims, or the first that may not be added.
    fn check_added(
        &mut self,
        plan: &CommitPlan,
        group: KnownGroup,
        committer: KnownDevice,
    ) -> Sql<Result<Vec<Coming>, DeviceId>> {
        let mut added = Vec::with_capacity(plan.added.len());
        let mut seen = HashSet::new();
        for (leaf, reference) in &plan.added {
            let Leaf { account_id, device_id } = *leaf;
            if plan.external && *leaf == plan.committer {
                continue;
            }
            let device = self.device(device_id)?.filter(|device| device.account_id == account_id);
            let Some(device) = device else { return Ok(Err(device_id)) };
            let is_leaf = self.leaf_window(group.no, device.no)?.is_some() && !plan.removed.contains(leaf);
            if is_leaf || !seen.insert(device.no) || !rosters::is_active(self.db, device.no)? {
                return Ok(Err(device_id));
            }
            // The claim may be older than the block.
            if self.refuses(group.no, device.account_no, committer.account_no)? {
                return Ok(Err(device_id));
            }
            let Some(item_no) = self.open_claim(plan.group, device.no, reference, plan.now)? else { return Ok(Err(device_id)) };
            added.push(Coming { device, id: device_id, item_no });
        }
        Ok(Ok(added))
    }

    /// Whether the bundle's messages are new.
    fn check_messages(&self, plan: &CommitPlan, hashes: &Hashes, group_no: i64, device_no: i64) -> Sql<bool> {
        let mut ids = HashSet::new();
        for (message, hash) in plan.messages.iter().zip(&hashes.messages) {
            let sending = self.sending(group_no, device_no, message.client_id, *hash);
            let known = self.sent(&sending)?.is_some() || !ids.insert(message.client_id);
            if known || self.is_sent_by_another(&sending)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write_commit(&mut self, plan: CommitPlan, checked: Checked, hashes: &Hashes) -> Sql<CommitOutcome> {
        let Checked { group, committer, added, removed } = checked;
        let log = LogId::Group(plan.group);
        let sender = Some((committer.no, plan.committer.device_id));
        let (time, sender_ref) = (plan.now, SenderRef::Handshake(plan.commit_hash));
        let removes = plan.removed.iter().map(|leaf| leaf.device_id).collect();
        let (entry_hash, body) = (hashes.commit, plan.commit.clone());
        let (kind, body_no, expires_at) = (Kind::Commit, None, None);
        let entry = NewEntry { time, kind, sender, sender_ref, entry_hash, body, body_no, removes, expires_at, urgent: false };
        let seq = self.append_entry(log, group.no, entry)?;
        let join = (seq, self.head(group.no)?.running);
        self.store_epoch(&plan, group, committer, seq)?;

        let mut notified = Vec::new();
        for going in &removed {
            // Who comes back by itself has done with its old window.
            let replaced = plan.external && going.device.no == committer.no;
            self.close_window(going, join, plan.now, replaced)?;
            if going.reads_on && !replaced {
                self.tell_removed(going, plan.group, seq, plan.now)?;
                notified.push(going.id);
            }
        }
        self.forget_requests_of(removed.iter().map(|going| going.device.account_no), group.no)?;
        let relations = self.meet(committer.account_no, &self.newcomers(&added, group, committer)?, group.no, plan.now)?;
        self.welcome(&plan, &added, group.no, join)?;
        notified.extend(added.iter().map(|coming| coming.id));
        if plan.external {
            self.open_window(group.no, committer.no, join, None)?;
            self.forget_add_task(group.no, committer.no)?;
        }
        for (message, hash) in plan.messages.into_iter().zip(&hashes.messages) {
            let sending = self.sending(group.no, committer.no, message.client_id, *hash);
            self.append_message(plan.group, (committer, plan.committer.device_id), message, &sending, plan.now)?;
        }
        self.known.forget_group(&plan.group);
        self.known.forget_senders();
        notified.sort_unstable();
        notified.dedup();
        let head = self.head(group.no)?.seq;
        Ok(CommitOutcome::Accepted { seq, epoch: group.epoch + 1, duplicate: false, head, notified, relations })
    }

    /// The accounts of others that come in with their first device.
    fn newcomers(&self, added: &[Coming], group: KnownGroup, committer: KnownDevice) -> Sql<Vec<i64>> {
        let mut accounts: Vec<i64> = added.iter().map(|coming| coming.device.account_no).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut newcomers = Vec::with_capacity(accounts.len());
        for account_no in accounts {
            if account_no != committer.account_no && !relations::has_leaf(self.db, group.no, account_no)? {
                newcomers.push(account_no);
            }
        }
        Ok(newcomers)
    }

    /// The commit's own row and the group's new state.
    fn store_epoch(&mut self, plan: &CommitPlan, group: KnownGroup, committer: KnownDevice, seq: Seq) -> Sql<()> {
        self.db
            .prepare_cached(
                "INSERT INTO commits (log_no, from_epoch, seq, device_no, commit_hash, bundle_hash, time, total_bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                         ?8 + coalesce((SELECT total_bytes FROM commits WHERE log_no = ?1 ORDER BY from_epoch DESC LIMIT 1), 0))",
            )?
            .execute(params![
                group.no,
                U(group.epoch),
                U(seq),
                committer.no,
                Blob(plan.commit_hash),
                Blob(plan.bundle_hash),
                U(plan.now),
                U(plan.commit.len() as u64),
            ])?;
        let epoch = group.epoch + 1;
        let last_removal = if plan.removed.is_empty() { group.last_removal_epoch } else { epoch };
        self.db
            .prepare_cached("UPDATE groups SET epoch = ?2, epoch_seq = ?3, last_removal_epoch = ?4 WHERE log_no = ?1")?
            .execute(params![group.no, U(epoch), U(seq), U(last_removal)])?;
        self.db
            .prepare_cached("UPDATE group_infos SET group_info = ?2 WHERE log_no = ?1")?
            .execute(params![group.no, &plan.group_info[..]])?;
        self.db.prepare_cached("DELETE FROM proposals WHERE log_no = ?1")?.execute([group.no])?;
        self.db.prepare_cached("DELETE FROM confirmations WHERE log_no = ?1")?.execute([group.no])?;
        Ok(())
    }

    pub(super) fn close_window(&mut self, going: &Going, leave: (Seq, Hash), now: u64, replaced: bool) -> Sql<()> {
        if replaced {
            return self.db.prepare_cached("DELETE FROM windows WHERE window_no = ?1")?.execute([going.window_no]).map(drop);
        }
        self.db
            .prepare_cached(
                "UPDATE windows SET leave_seq = ?2, leave_hash = ?3, left_at = ?4, state = max(state, 1) WHERE window_no = ?1",
            )?
            .execute(params![going.window_no, U(leave.0), Blob(leave.1), U(now)])
            .map(drop)
    }

    pub(super) fn tell_removed(&mut self, going: &Going, group: GroupId, leave_seq: Seq, now: u64) -> Sql<()> {
        let body = RemovedEntry { group_id: Bytes::copy_from_slice(&group.0), leave_seq }.encode_to_vec();
        let entry = NewEntry::unicast(Kind::Removed, Bytes::from(body), now);
        self.append_entry(LogId::Device(going.id), going.device.log_no, entry).map(drop)
    }

    /// Windows for the added devices, behind the commit, and the Welcome on the log of each: stored once for all to whom
    /// the group is a request, and once for the others.
    fn welcome(&mut self, plan: &CommitPlan, added: &[Coming], group_no: i64, join: (Seq, Hash)) -> Sql<()> {
        let mut shared: [Option<(i64, Bytes, Hash)>; 2] = [None, None];
        for coming in added {
            // The last one of many is let in, and never told.
            #[cfg(feature = "sabotage")]
            if added.len() > 1
                && added.last().is_some_and(|last| last.item_no == coming.item_no)
                && crate::sabotage::breaks("torn")
            {
                continue;
            }
            let request = self.is_group_request(coming.device.account_no, group_no)?;
            let (body_no, body, entry_hash) = match &shared[usize::from(request)] {
                Some(shared) => shared.clone(),
                None => shared[usize::from(request)].insert(self.welcome_body(plan, join, request)?).clone(),
            };
            let &Coming { device, id, item_no } = coming;
            if !self.redeem(item_no)? {
                // It was there a moment ago, in this very transaction.
                return Err(rusqlite::Error::StatementChangedRows(0));
            }
            let (body_no, removes) = (Some(body_no), Box::default());
            let (time, sender_ref) = (plan.now, SenderRef::None);
            let (kind, sender, expires_at) = (Kind::Welcome, None, None);
            let entry =
                NewEntry { time, kind, sender, sender_ref, entry_hash, body, body_no, removes, expires_at, urgent: false };
            let welcome_seq = self.append_entry(LogId::Device(id), device.log_no, entry)?;
            self.open_window(group_no, device.no, join, Some(welcome_seq))?;
            self.forget_add_task(group_no, device.no)?;
        }
        Ok(())
    }

    fn welcome_body(&mut self, plan: &CommitPlan, join: (Seq, Hash), request: bool) -> Sql<(i64, Bytes, Hash)> {
        let welcome = WelcomeEntry {
            group_id: Bytes::copy_from_slice(&plan.group.0),
            welcome: plan.welcome.clone(),
            join_seq: join.0,
            running_hash: Bytes::copy_from_slice(&join.1),
            added_by: Bytes::copy_from_slice(&plan.committer.account_id.0),
            request,
        };
        let body = Bytes::from(welcome.encode_to_vec());
        self.db.prepare_cached("INSERT INTO bodies (body) VALUES (?1)")?.execute([&body[..]])?;
        let entry_hash = log::entry_hash(Kind::Welcome, &body);
        Ok((self.db.last_insert_rowid(), body, entry_hash))
    }

    fn forget_add_task(&mut self, group_no: i64, device_no: i64) -> Sql<()> {
        self.db
            .prepare_cached("DELETE FROM add_tasks WHERE log_no = ?1 AND device_no = ?2")?
            .execute([group_no, device_no])
            .map(drop)
    }
}
