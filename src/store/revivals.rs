//! Groups that a restore has suspended: their members say where they stand, and the group goes on from there.
//!
//! The highest epoch counts on whose state two accounts agree, so that no one person makes up a group; a group of one
//! account is that account's to say. Nothing is decided before all accounts of that state have spoken, or a short while
//! has passed: a newer state may be on its way. Where nobody agrees the group is frozen, which leaves its reset.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    commits::Going,
    engine::Txn,
    known::KnownGroup,
    rosters,
    types::{DeviceState, Hash, Membership, Revival, ReviveOutcome, Revived},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, Epoch, GroupId, Leaf, Seq},
    limits::{REVIVAL_PATIENCE, REVIVAL_WINDOW},
};

/// Bytes of a leaf as it is stored: account and device.
const LEAF: usize = 32;

/// A state on which enough accounts agree.
struct Agreed {
    epoch: Epoch,
    tag: Hash,
    leaves: Vec<Leaf>,
    /// All its accounts have spoken.
    complete: bool,
}

/// A leaf's window, as it stands before the group goes on.
struct Standing {
    window_no: i64,
    device_no: i64,
    leaf: Leaf,
    open: bool,
}

impl Store {
    /// Takes a member's word on a group that waits for it, or that has just gone on from an older state than this one; and
    /// lets the group go on if that is decided by it.
    pub fn revive(&self, revival: Revival) -> Answer<ReviveOutcome> {
        self.write(revival.group_info.len(), move |txn| txn.revive(&revival))
    }
}

impl Txn<'_> {
    fn revive(&mut self, revival: &Revival) -> Sql<ReviveOutcome> {
        let (Some(group), Some(device)) = (self.group(revival.group)?, self.device(revival.from.device_id)?) else {
            return Ok(ReviveOutcome::NotFound);
        };
        if !matches!(rosters::membership(self.db, group.no, device)?, Membership::Member | Membership::Leaving) {
            return Ok(ReviveOutcome::NotFound);
        }
        if group.frozen {
            return Ok(ReviveOutcome::Frozen);
        }
        let sql = "SELECT revived_epoch IS epoch FROM groups WHERE log_no = ?1";
        let revived: bool = self.db.prepare_cached(sql)?.query_one([group.no], |row| row.get(0))?;
        if !(group.suspended || revived && revival.epoch > group.epoch) {
            return Ok(ReviveOutcome::Elsewhere);
        }
        self.note_word(group.no, device.no, revival)?;
        if revival.epoch >= group.epoch && self.may_be(group, revival, device.account_no)? {
            self.note_state(group.no, revival)?;
        }
        self.forget_states_of_nobody(group.no)?;
        let waited = self.waited(group.no, revival.now)?;
        let window_over = waited >= millis(REVIVAL_WINDOW);
        match self.agreed(group)? {
            Some(agreed) if agreed.complete || window_over => self.go_on(group, revival, &agreed).map(ReviveOutcome::Revived),
            Some(_) => Ok(ReviveOutcome::Waiting),
            None => {
                let everybody = self.accounts_heard(group.no)?.is_superset(&self.accounts_of_leaves(group.no)?);
                // A state may be lacking for a device that its account is about to make known again.
                if group.suspended && ((everybody && window_over) || waited >= millis(REVIVAL_PATIENCE)) {
                    self.give_up(group, revival.group)?;
                    return Ok(ReviveOutcome::Frozen);
                }
                Ok(if !group.suspended && window_over { ReviveOutcome::Elsewhere } else { ReviveOutcome::Waiting })
            }
        }
    }

    fn note_word(&mut self, group_no: i64, device_no: i64, revival: &Revival) -> Sql<()> {
        self.db
            .prepare_cached(
                "INSERT INTO revivals (log_no, device_no, epoch, tag, said_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (log_no, device_no) DO UPDATE SET epoch = excluded.epoch, tag = excluded.tag",
            )?
            .execute(params![group_no, device_no, U(revival.epoch), Blob(revival.tag), U(revival.now)])
            .map(drop)
    }

    fn note_state(&mut self, group_no: i64, revival: &Revival) -> Sql<()> {
        let leaf = |(leaf, _): &(Leaf, [u8; 32])| [leaf.account_id.0, leaf.device_id.0].concat();
        let leaves: Vec<u8> = revival.leaves.iter().flat_map(leaf).collect();
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO revived_states (log_no, epoch, tag, group_info, leaves) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![group_no, U(revival.epoch), Blob(revival.tag), &revival.group_info[..], leaves])
            .map(drop)
    }

    /// One state for each device at most.
    fn forget_states_of_nobody(&mut self, group_no: i64) -> Sql<()> {
        let sql = "DELETE FROM revived_states WHERE log_no = ?1 AND NOT EXISTS
                   (SELECT 1 FROM revivals WHERE revivals.log_no = ?1 AND revivals.epoch = revived_states.epoch
                    AND revivals.tag = revived_states.tag)";
        self.db.prepare_cached(sql)?.execute([group_no]).map(drop)
    }

    /// Whether every leaf is of a device that is registered with that key, and nobody comes in who has shut out whoever
    /// brings it.
    fn may_be(&mut self, group: KnownGroup, revival: &Revival, bringer_no: i64) -> Sql<bool> {
        for (leaf, key) in &revival.leaves {
            let sql = "SELECT 1 FROM devices JOIN accounts USING (account_no) WHERE device_id = ?1 AND account_id = ?2 AND device_key = ?3";
            if !self.db.prepare_cached(sql)?.exists(params![leaf.device_id, leaf.account_id, Blob(*key)])? {
                return Ok(false);
            }
            let Some(device) = self.device(leaf.device_id)? else { return Ok(false) };
            let is_leaf = self.leaf_window(group.no, device.no)?.is_some();
            if !is_leaf && device.account_no != bringer_no && self.refuses(group.no, device.account_no, bringer_no)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Milliseconds since the first word.
    fn waited(&self, group_no: i64, now: UnixMs) -> Sql<u64> {
        let sql = "SELECT min(said_at) FROM revivals WHERE log_no = ?1";
        let first: Option<U> = self.db.prepare_cached(sql)?.query_one([group_no], |row| row.get(0))?;
        Ok(first.map_or(0, |first| now.saturating_sub(first.0)))
    }

    /// The highest epoch on whose state two accounts agree, or the one account that the group has.
    fn agreed(&self, group: KnownGroup) -> Sql<Option<Agreed>> {
        let states: Vec<(Epoch, Hash, Vec<u8>)> = self
            .db
            .prepare_cached("SELECT epoch, tag, leaves FROM revived_states WHERE log_no = ?1 ORDER BY epoch DESC")?
            .query_map([group.no], |row| Ok((uint(row, 0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Sql<_>>()?;
        let heard = self.accounts_heard(group.no)?;
        let members = self.accounts_of_leaves(group.no)?;
        let alone = members.len() == 1;
        for (epoch, tag, leaves) in states {
            let sql = "SELECT count(DISTINCT account_no) FROM revivals JOIN devices USING (device_no)
                       WHERE log_no = ?1 AND epoch = ?2 AND tag = ?3";
            let for_it: u32 = self.db.prepare_cached(sql)?.query_one(params![group.no, U(epoch), Blob(tag)], |row| row.get(0))?;
            let leaves: Vec<Leaf> = leaves.as_chunks::<LEAF>().0.iter().map(leaf).collect();
            let accounts: HashSet<AccountId> = leaves.iter().map(|leaf| leaf.account_id).collect();
            if for_it >= 2 || (alone && accounts.len() == 1 && for_it == 1) {
                return Ok(Some(Agreed {
                    epoch,
                    tag,
                    leaves,
                    complete: accounts.is_subset(&heard) && members.is_subset(&heard),
                }));
            }
        }
        Ok(None)
    }

    fn accounts_heard(&self, group_no: i64) -> Sql<HashSet<AccountId>> {
        let sql = "SELECT DISTINCT account_id FROM revivals JOIN devices USING (device_no) JOIN accounts USING (account_no)
                   WHERE log_no = ?1";
        self.db.prepare_cached(sql)?.query_map([group_no], |row| row.get(0))?.collect()
    }

    /// Those that may speak: disabled accounts and revoked devices may not.
    fn accounts_of_leaves(&self, group_no: i64) -> Sql<HashSet<AccountId>> {
        let sql = "SELECT DISTINCT account_id FROM windows JOIN devices USING (device_no) JOIN accounts USING (account_no)
                   WHERE log_no = ?1 AND leave_seq IS NULL AND windows.state = 0 AND devices.state = 1 AND enabled = 1";
        self.db.prepare_cached(sql)?.query_map([group_no], |row| row.get(0))?.collect()
    }

    /// The group goes on from a state: its leaves are those of that state, and nobody else's.
    fn go_on(&mut self, group: KnownGroup, revival: &Revival, agreed: &Agreed) -> Sql<Revived> {
        let (head, bringer) = (self.head(group.no)?, self.device(revival.from.device_id)?);
        let standing = self.leaf_windows(group.no)?;
        let sql = "UPDATE groups SET epoch = ?2, epoch_seq = ?3, last_removal_epoch = ?2, suspended = 0, revived_epoch = ?2 WHERE log_no = ?1";
        self.db.prepare_cached(sql)?.execute(params![group.no, U(agreed.epoch), U(head.seq)])?;
        let sql = "UPDATE group_infos SET group_info = (SELECT group_info FROM revived_states WHERE log_no = ?1 AND epoch = ?2 AND tag = ?3)
                   WHERE log_no = ?1";
        self.db.prepare_cached(sql)?.execute(params![group.no, U(agreed.epoch), Blob(agreed.tag)])?;
        let mut removed = Vec::new();
        for gone in standing.iter().filter(|window| !agreed.leaves.contains(&window.leaf)) {
            let Some(device) = self.device(gone.leaf.device_id)? else { continue };
            let going = Going { device, id: gone.leaf.device_id, window_no: gone.window_no, reads_on: gone.open };
            self.close_window(&going, (head.seq, head.running), revival.now, false)?;
            // No entry says so in this log: who has read all of it acknowledges nothing more, and another window of the
            // device would wait behind this one for ever.
            self.db
                .prepare_cached("DELETE FROM windows WHERE window_no = ?1 AND cursor >= leave_seq")?
                .execute([going.window_no])?;
            if going.reads_on {
                self.tell_removed(&going, revival.group, head.seq, revival.now)?;
            }
            removed.push(gone.leaf);
        }
        let (mut added, mut newcomers) = (Vec::new(), Vec::new());
        let join = self.before_the_gap(group.no)?.unwrap_or((head.seq, head.running));
        for leaf in agreed.leaves.iter().filter(|leaf| !standing.iter().any(|window| window.leaf == **leaf)) {
            let Some(device) = self.device(leaf.device_id)? else { continue };
            if !standing.iter().any(|window| window.leaf.account_id == leaf.account_id) && !newcomers.contains(&device.account_no)
            {
                newcomers.push(device.account_no);
            }
            self.open_window(group.no, device.no, join, None)?;
            self.db
                .prepare_cached("UPDATE windows SET revived = 1 WHERE log_no = ?1 AND device_no = ?2 AND leave_seq IS NULL")?
                .execute([group.no, device.no])?;
            added.push(leaf.device_id);
        }
        self.ask_to_remove_revoked(group.no)?;
        self.db
            .prepare_cached(
                "DELETE FROM add_tasks WHERE log_no = ?1 AND device_no IN
            (SELECT device_no FROM windows WHERE log_no = ?1 AND leave_seq IS NULL)",
            )?
            .execute([group.no])?;
        self.forget_words(group.no)?;
        let accounts: Vec<i64> =
            standing.iter().filter(|window| removed.contains(&window.leaf)).map(|window| window.device_no).collect();
        let accounts = self.accounts_of_devices(&accounts)?;
        self.forget_requests_of(accounts, group.no)?;
        let relations = match bringer {
            Some(bringer) => {
                newcomers.retain(|account_no| *account_no != bringer.account_no);
                self.meet(bringer.account_no, &newcomers, group.no, revival.now)?
            }
            None => Vec::new(),
        };
        self.known.forget_group(&revival.group);
        self.known.forget_senders();
        Ok(Revived { epoch: agreed.epoch, tag: agreed.tag, added, removed, relations })
    }

    /// Nobody knows where the group stands: it waits for its reset.
    fn give_up(&mut self, group: KnownGroup, id: GroupId) -> Sql<()> {
        self.db.prepare_cached("UPDATE groups SET frozen = 1, suspended = 0 WHERE log_no = ?1")?.execute([group.no])?;
        self.forget_words(group.no)?;
        self.known.forget_group(&id);
        self.known.forget_senders();
        Ok(())
    }

    fn forget_words(&mut self, group_no: i64) -> Sql<()> {
        for sql in [
            "DELETE FROM revivals WHERE log_no = ?1",
            "DELETE FROM revived_states WHERE log_no = ?1",
            "DELETE FROM proposals WHERE log_no = ?1",
            "DELETE FROM confirmations WHERE log_no = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([group_no])?;
        }
        Ok(())
    }

    /// The windows of leaves, revoked ones included.
    fn leaf_windows(&self, group_no: i64) -> Sql<Vec<Standing>> {
        let sql =
            "SELECT window_no, device_no, account_id, device_id, windows.state = 0 FROM windows JOIN devices USING (device_no)
                   JOIN accounts USING (account_no) WHERE log_no = ?1 AND leave_seq IS NULL";
        self.db
            .prepare_cached(sql)?
            .query_map([group_no], |row| {
                let leaf = Leaf { account_id: row.get(2)?, device_id: row.get(3)? };
                Ok(Standing { window_no: row.get(0)?, device_no: row.get(1)?, leaf, open: row.get(4)? })
            })?
            .collect()
    }

    /// Where the last restore began to pass seqs over: who came since reads from there, so that no seq goes unnamed.
    fn before_the_gap(&self, log_no: i64) -> Sql<Option<(Seq, Hash)>> {
        let sql = "SELECT from_seq - 1, previous_hash FROM gaps WHERE log_no = ?1 ORDER BY to_seq DESC LIMIT 1";
        self.db.prepare_cached(sql)?.query_one([log_no], |row| Ok((uint(row, 0)?, row.get(1)?))).optional()
    }

    /// Leaves of devices that their accounts have struck meanwhile.
    fn ask_to_remove_revoked(&mut self, group_no: i64) -> Sql<()> {
        let sql = "UPDATE windows SET state = 2, removal_asked = 2 WHERE log_no = ?1 AND leave_seq IS NULL
                   AND device_no IN (SELECT device_no FROM devices WHERE state = ?2)";
        self.db.prepare_cached(sql)?.execute(params![group_no, DeviceState::Revoked]).map(drop)
    }

    fn accounts_of_devices(&self, devices: &[i64]) -> Sql<Vec<i64>> {
        let mut statement = self.db.prepare_cached("SELECT account_no FROM devices WHERE device_no = ?1")?;
        devices.iter().map(|device_no| statement.query_one([device_no], |row| row.get(0))).collect()
    }
}

fn leaf(bytes: &[u8; LEAF]) -> Leaf {
    let (mut account, mut device) = ([0; 16], [0; 16]);
    account.copy_from_slice(&bytes[..16]);
    device.copy_from_slice(&bytes[16..]);
    Leaf { account_id: AccountId(account), device_id: DeviceId(device) }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
