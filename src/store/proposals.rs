//! Proposals of the current epoch, waiting for the commit that takes or drops them.

use bytes::Bytes;
use rusqlite::params;
use sha2::{Digest as _, Sha256};
use sovereign_proto::log::{self, Kind};

use super::{
    Answer, Store,
    engine::Txn,
    ledger::Sent,
    log::NewEntry,
    rosters,
    types::{Hash, ProposeOutcome, SenderRef},
    values::{Sql, U},
};
use crate::{
    clock::UnixMs,
    ids::{ClientId, DeviceId, Epoch, GroupId, LogId},
};

/// Proposals of one epoch at most.
const PROPOSALS_MAX: i64 = 64;

impl Store {
    /// Stores a validated proposal for an epoch. The same bytes again are answered as the first time, also when the
    /// epoch has passed.
    pub fn propose(
        &self,
        group: GroupId,
        device: DeviceId,
        epoch: Epoch,
        proposal: Bytes,
        now: UnixMs,
    ) -> Answer<ProposeOutcome> {
        let hash: Hash = Sha256::digest(&proposal).into();
        self.write(proposal.len(), move |txn| txn.propose(group, device, epoch, proposal, hash, now))
    }
}

impl Txn<'_> {
    fn propose(
        &mut self,
        group: GroupId,
        device: DeviceId,
        epoch: Epoch,
        body: Bytes,
        hash: Hash,
        now: UnixMs,
    ) -> Sql<ProposeOutcome> {
        let (Some(known), Some(sender)) = (self.group(group)?, self.device(device)?) else { return Ok(ProposeOutcome::NotFound) };
        let key = ClientId::try_from(&hash[..16]).expect("half of a hash has the length of a client id");
        let sending = self.sending(known.no, sender.no, key, log::entry_hash(Kind::Proposal, &body));
        if let Some(sent) = self.sent(&sending)? {
            return Ok(if sent.handshake { ProposeOutcome::Duplicate { seq: sent.seq } } else { ProposeOutcome::NotFound });
        }
        // Who is leaving sends nothing any more, but may still propose to go.
        let open = self.leaf_window(known.no, sender.no)?.is_some_and(|(_, open)| open);
        if !open || !rosters::is_active(self.db, sender.no)? {
            return Ok(ProposeOutcome::NotFound);
        }
        if known.suspended {
            return Ok(ProposeOutcome::Suspended);
        }
        if known.frozen {
            return Ok(ProposeOutcome::Frozen);
        }
        if epoch != known.epoch {
            return Ok(ProposeOutcome::Stale { current_epoch: known.epoch });
        }
        let sql = "SELECT count(*) FROM proposals WHERE log_no = ?1";
        if self.db.prepare_cached(sql)?.query_one([known.no], |row| row.get::<_, i64>(0))? >= PROPOSALS_MAX {
            return Ok(ProposeOutcome::TooMany);
        }
        let entry_hash = sending.entry_hash;
        let (sender_ref, removes) = (SenderRef::Handshake(hash), Box::default());
        let from = Some((sender.no, device));
        let (time, kind, body_no, expires_at) = (now, Kind::Proposal, None, None);
        let entry =
            NewEntry { time, kind, sender: from, sender_ref, entry_hash, body, body_no, removes, expires_at, urgent: false };
        let seq = self.append_entry(LogId::Group(group), known.no, entry)?;
        self.remember(&sending, &Sent { seq, time: now, handshake: true })?;
        self.db.prepare_cached("INSERT INTO proposals (log_no, seq) VALUES (?1, ?2)")?.execute(params![known.no, U(seq)])?;
        Ok(ProposeOutcome::Accepted { seq })
    }
}
