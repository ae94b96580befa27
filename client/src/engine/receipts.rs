//! Receipts: how far members have got, as the server tells it and as the vault remembers it; and this account's own read
//! markers, kept until the server has them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sovereign_proto::v1;

use super::{
    BACKOFF_MS, Engine, Work, lock, pause,
    records::{HistoryRecord, Stage},
};
use crate::{error::Error, event::Event, model::Receipt, vault::Space};

/// Receipts kept of one group; the server tells none of larger ones.
const RECEIPTS_MAX: usize = 64;
/// Groups whose receipts are asked for at a sign-in, those with the newest messages.
const REFRESHED_MAX: usize = 32;

/// How far a member has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ReceiptRecord {
    account: [u8; 16],
    delivered: u64,
    read: u64,
}

/// How far this account has read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ReadRecord {
    group: [u8; 32],
    seq: u64,
    /// The server knows it up to here.
    told: u64,
}

impl Engine {
    /// This account has read the group up to `seq`. Kept at once; the server hears the newest marker when it can.
    pub(crate) fn mark_read(self: &Arc<Self>, group: [u8; 32], seq: u64) -> Result<(), Error> {
        if self.run(|work| work.mark_read(group, seq))? {
            self.send_marker(group);
        }
        Ok(())
    }

    /// How far the others have got: as the server says now, else as it said last.
    pub(crate) async fn receipts(self: &Arc<Self>, group: [u8; 32]) -> Result<Vec<Receipt>, Error> {
        self.run(|work| work.known_group(&group))?;
        if let Err(error) = self.refresh_receipts(group).await {
            tracing::debug!(%error, "receipts are those that were told last");
        }
        self.run(|work| work.receipts(&group))
    }

    /// Shows others how far this account has got and sees it of them, or neither.
    pub(crate) async fn set_receipts(self: &Arc<Self>, on: bool) -> Result<(), Error> {
        let privacy = v1::SetPrivacyRequest { hide_presence: None, hide_receipts: Some(!on) };
        self.patiently(|| self.call(privacy)).await?;
        if !on {
            self.run(|work| {
                let groups = work.all_groups()?;
                Ok(groups.iter().try_for_each(|record| work.tx.remove(Space::Receipt, &record.id))?)
            })?;
        }
        Ok(())
    }

    /// Members have got further.
    pub(super) fn on_receipts(self: &Arc<Self>, changed: &v1::ReceiptsChanged) -> Result<(), Error> {
        let Ok(group) = <[u8; 32]>::try_from(changed.group_id.as_ref()) else { return Ok(()) };
        self.run(|work| work.progressed(group, &changed.receipts, false))
    }

    /// After a sign-in: markers that the server does not know, and what happened meanwhile.
    pub(super) async fn resume_receipts(self: &Arc<Self>) -> Result<(), Error> {
        let (unsent, recent) = self.run(|work| Ok((work.unsent_markers()?, work.recent_groups()?)))?;
        unsent.into_iter().for_each(|group| self.send_marker(group));
        for group in recent {
            self.refresh_receipts(group).await?;
        }
        Ok(())
    }

    async fn refresh_receipts(self: &Arc<Self>, group: [u8; 32]) -> Result<(), Error> {
        let answer = self.call(v1::GetReceiptsRequest { group_id: group.to_vec().into() }).await?;
        self.run(|work| work.progressed(group, &answer.receipts, true))
    }

    /// One task for each group with a marker to tell: however often it moves meanwhile, the newest is sent next.
    fn send_marker(self: &Arc<Self>, group: [u8; 32]) {
        if !lock(&self.marking).insert(group) {
            return;
        }
        let engine = Arc::clone(self);
        self.spawn(async move {
            let mut failures = 0;
            while engine.until_live().await.is_ok() {
                match engine.send_newest_marker(group).await {
                    Ok(true) => failures = 0,
                    Ok(false) => {
                        lock(&engine.marking).remove(&group);
                        let moved = engine.run(|work| work.unsent_marker(&group)).is_ok_and(|marker| marker.is_some());
                        if !(moved && lock(&engine.marking).insert(group)) {
                            return;
                        }
                    }
                    Err(error) => {
                        pause(BACKOFF_MS, failures, error.retry_after_ms()).await;
                        failures += 1;
                    }
                }
            }
            lock(&engine.marking).remove(&group);
        });
    }

    /// False: the server knows the newest.
    async fn send_newest_marker(self: &Arc<Self>, group: [u8; 32]) -> Result<bool, Error> {
        let Some(seq) = self.run(|work| work.unsent_marker(&group))? else { return Ok(false) };
        match self.call(v1::MarkReadRequest { group_id: group.to_vec().into(), seq }).await {
            Err(error) if error.passes() => return Err(error),
            // A marker that is not wanted is not sent again.
            _ => {}
        }
        self.run(|work| work.marker_told(group, seq))?;
        Ok(true)
    }
}

impl Work<'_> {
    /// True: the server has to be told.
    fn mark_read(&mut self, group: [u8; 32], seq: u64) -> Result<bool, Error> {
        self.known_group(&group)?;
        let seq = seq.min(self.log(&group)?.unwrap_or_default().cursor);
        let record = self.marker(group)?;
        if seq <= record.seq {
            return Ok(false);
        }
        self.tx.put(Space::Read, &group, &ReadRecord { seq, ..record })?;
        Ok(true)
    }

    /// How far this account has read, on any of its devices; 0: nothing, or not known here.
    pub(crate) fn read_marker(&self, group: &[u8; 32]) -> Result<u64, Error> {
        Ok(self.marker(*group)?.seq)
    }

    fn marker(&self, group: [u8; 32]) -> Result<ReadRecord, Error> {
        Ok(self.tx.get(Space::Read, &group)?.unwrap_or(ReadRecord { group, seq: 0, told: 0 }))
    }

    fn unsent_marker(&self, group: &[u8; 32]) -> Result<Option<u64>, Error> {
        let record = self.marker(*group)?;
        Ok((record.seq > record.told).then_some(record.seq))
    }

    fn unsent_markers(&self) -> Result<Vec<[u8; 32]>, Error> {
        let records: Vec<ReadRecord> = self.tx.all(Space::Read)?;
        Ok(records.into_iter().filter(|record| record.seq > record.told).map(|record| record.group).collect())
    }

    fn marker_told(&mut self, group: [u8; 32], told: u64) -> Result<(), Error> {
        let record = self.marker(group)?;
        let told = told.max(record.told);
        Ok(self.tx.put(Space::Read, &group, &ReadRecord { seq: record.seq.max(told), told, group })?)
    }

    /// The groups with the newest messages.
    fn recent_groups(&mut self) -> Result<Vec<[u8; 32]>, Error> {
        let mut recent = Vec::new();
        for record in self.all_groups()?.into_iter().filter(|record| record.stage == Stage::Active) {
            let last = self.tx.last::<HistoryRecord>(Space::History, &record.id, u64::MAX, 1)?.pop();
            recent.extend(last.map(|(_, last)| (std::cmp::Reverse(last.time_ms), record.id)));
        }
        recent.sort_unstable();
        Ok(recent.into_iter().take(REFRESHED_MAX).map(|(_, id)| id).collect())
    }

    fn receipts(&mut self, group: &[u8; 32]) -> Result<Vec<Receipt>, Error> {
        let records: Vec<ReceiptRecord> = self.tx.get(Space::Receipt, group)?.unwrap_or_default();
        records
            .into_iter()
            .map(|ReceiptRecord { account, delivered, read }| {
                Ok(Receipt { account, username: self.name_of(&account)?, delivered, read })
            })
            .collect()
    }

    /// Takes what the server tells. Both numbers only grow; `complete`: who is not named is not shown any more.
    fn progressed(&mut self, group: [u8; 32], told: &[v1::Receipt], complete: bool) -> Result<(), Error> {
        if self.group(&group)?.is_none_or(|record| record.stage != Stage::Active) {
            return Ok(());
        }
        let me = self.me().account;
        let before: Vec<ReceiptRecord> = self.tx.get(Space::Receipt, &group)?.unwrap_or_default();
        let mut after = if complete { Vec::new() } else { before.clone() };
        for told in told {
            let Ok(account) = <[u8; 16]>::try_from(told.account_id.as_ref()) else { continue };
            if account == me {
                // Read on another device, or on this one before its vault forgot.
                self.marker_told(group, told.read_seq.min(self.log(&group)?.unwrap_or_default().cursor))?;
                continue;
            }
            let known = before.iter().find(|known| known.account == account).copied();
            let known = known.unwrap_or(ReceiptRecord { account, delivered: 0, read: 0 });
            // What was read was delivered.
            let read = known.read.max(told.read_seq);
            let new = ReceiptRecord { account, read, delivered: known.delivered.max(told.delivered_seq).max(read) };
            after.retain(|other| other.account != account);
            if after.len() == RECEIPTS_MAX {
                break;
            }
            after.push(new);
            if new != known {
                let ReceiptRecord { delivered, read, .. } = new;
                self.effects.events.push(Event::Receipt { group, account, username: self.name_of(&account)?, delivered, read });
            }
        }
        after.sort_unstable_by_key(|record| record.account);
        if after != before {
            self.tx.put(Space::Receipt, &group, &after)?;
        }
        Ok(())
    }
}
