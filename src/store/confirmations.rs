//! What members say of an epoch, and when a group is frozen for it.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, params};

use super::{
    Answer, Store,
    engine::Txn,
    known::KnownGroup,
    rosters,
    types::{ConfirmOutcome, Hash, Membership, Verdict},
    values::{Blob, Sql, U},
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, Epoch, GroupId},
};

/// One device's word on the current epoch.
struct Said {
    device_no: i64,
    account_no: i64,
    /// `None`: the commit cannot be processed there.
    tag: Option<Hash>,
}

impl Store {
    /// Notes a device's word on the current epoch, the newest counting; words on other epochs change nothing. The
    /// group is frozen when nobody but the committer's device confirms and members of two accounts, or the only other
    /// one, nack.
    pub fn confirm(
        &self,
        group: GroupId,
        device: DeviceId,
        epoch: Epoch,
        verdict: Verdict,
        _now: UnixMs,
    ) -> Answer<ConfirmOutcome> {
        self.write(0, move |txn| txn.confirm(group, device, epoch, &verdict))
    }
}

impl Txn<'_> {
    fn confirm(&mut self, id: GroupId, device: DeviceId, epoch: Epoch, verdict: &Verdict) -> Sql<ConfirmOutcome> {
        let (Some(group), Some(device)) = (self.group(id)?, self.device(device)?) else { return Ok(ConfirmOutcome::NotFound) };
        if !matches!(rosters::membership(self.db, group.no, device)?, Membership::Member | Membership::Leaving) {
            return Ok(ConfirmOutcome::NotFound);
        }
        if epoch != group.epoch || group.frozen || group.suspended {
            return Ok(ConfirmOutcome::Noted { frozen: group.frozen });
        }
        let tag = match verdict {
            Verdict::Tag(tag) => Some(Blob(*tag)),
            Verdict::Nack => None,
        };
        self.db
            .prepare_cached(
                "INSERT INTO confirmations (log_no, device_no, tag) VALUES (?1, ?2, ?3)
                 ON CONFLICT (log_no, device_no) DO UPDATE SET tag = excluded.tag",
            )?
            .execute(params![group.no, device.no, tag])?;
        let frozen = self.is_condemned(group)?;
        if frozen {
            self.db.prepare_cached("UPDATE groups SET frozen = 1 WHERE log_no = ?1")?.execute([group.no])?;
            self.known.forget_group(&id);
        }
        Ok(ConfirmOutcome::Noted { frozen })
    }

    fn is_condemned(&self, group: KnownGroup) -> Sql<bool> {
        let sql = "SELECT device_no, account_no FROM commits JOIN devices USING (device_no) WHERE commits.log_no = ?1 AND from_epoch = ?2";
        let committer: Option<(i64, i64)> = self
            .db
            .prepare_cached(sql)?
            .query_one(params![group.no, U(group.epoch.wrapping_sub(1))], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // Epoch 0 was made by nobody else than its creator.
        let Some((committer_no, committer_account)) = committer else { return Ok(false) };
        let sql = "SELECT device_no, account_no, tag FROM confirmations JOIN devices USING (device_no)
                   JOIN windows USING (log_no, device_no)
                   WHERE log_no = ?1 AND leave_seq IS NULL AND windows.state = 0";
        let said: Vec<Said> = self
            .db
            .prepare_cached(sql)?
            .query_map([group.no], |row| Ok(Said { device_no: row.get(0)?, account_no: row.get(1)?, tag: row.get(2)? }))?
            .collect::<Sql<_>>()?;
        let sql = "SELECT count(DISTINCT account_no) FROM windows JOIN devices USING (device_no)
                   WHERE windows.log_no = ?1 AND leave_seq IS NULL AND windows.state = 0 AND account_no <> ?2";
        let other_accounts: i64 = self.db.prepare_cached(sql)?.query_one([group.no, committer_account], |row| row.get(0))?;
        Ok(condemned(&said, committer_no, committer_account, other_accounts))
    }
}

/// The rule. A tag that differs from the committer's own is neither a confirmation nor a nack.
fn condemned(said: &[Said], committer_no: i64, committer_account: i64, other_accounts: i64) -> bool {
    let committers_tag = said.iter().find(|said| said.device_no == committer_no).and_then(|said| said.tag);
    let others = || said.iter().filter(|said| said.device_no != committer_no);
    if others().any(|said| said.tag.is_some_and(|tag| committers_tag.is_none_or(|committers| committers == tag))) {
        return false;
    }
    let nacks: HashSet<i64> = others().filter(|said| said.tag.is_none()).map(|said| said.account_no).collect();
    let only_other = other_accounts == 1 && nacks.iter().any(|account| *account != committer_account);
    nacks.len() >= 2 || only_other
}

#[cfg(test)]
mod tests {
    use super::*;

    const NACK: Option<Hash> = None;
    const TAG: Option<Hash> = Some([1; 32]);
    const OTHER: Option<Hash> = Some([2; 32]);

    /// Device 1 of account 1 is the committer; each word is (device, account, tag).
    fn verdict(said: &[(i64, i64, Option<Hash>)], other_accounts: i64) -> bool {
        let said: Vec<Said> = said.iter().map(|&(device_no, account_no, tag)| Said { device_no, account_no, tag }).collect();
        condemned(&said, 1, 1, other_accounts)
    }

    #[test]
    fn a_group_is_frozen_by_two_accounts_or_the_only_other() {
        assert!(!verdict(&[(2, 2, NACK)], 3), "a lone nack never freezes");
        assert!(!verdict(&[(2, 2, NACK), (3, 2, NACK)], 3), "two devices of one account are one");
        assert!(verdict(&[(2, 2, NACK), (3, 3, NACK)], 3));
        assert!(verdict(&[(2, 2, NACK)], 1), "the only other one");
        assert!(!verdict(&[(4, 1, NACK)], 1), "the committer's own other device is not the other one");
    }

    #[test]
    fn one_confirmation_that_is_not_the_committers_keeps_it_alive() {
        assert!(!verdict(&[(2, 2, NACK), (3, 3, NACK), (4, 4, TAG)], 3));
        assert!(!verdict(&[(2, 2, NACK), (3, 3, NACK), (4, 1, TAG)], 3));
        assert!(verdict(&[(1, 1, TAG), (2, 2, NACK), (3, 3, NACK)], 3), "the committer's own does not count");
        assert!(verdict(&[(1, 1, TAG), (2, 2, NACK), (3, 3, NACK), (4, 4, OTHER)], 3), "another state is no confirmation");
    }
}
