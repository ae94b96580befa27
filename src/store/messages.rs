//! Application messages: appended once, whatever the number of their readers.

use sovereign_proto::log::{self, Kind};

use super::{
    Answer, Store,
    engine::Txn,
    known::{KnownDevice, KnownGroup},
    ledger::{Sending, Sent},
    log::NewEntry,
    types::{Append, AppendOutcome, Hash, NewMessage, Quota, SenderRef},
    values::Sql,
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, GroupId, LogId, Seq},
    order::InPlace,
};

impl Store {
    /// Appends a message. What is known under its client id is answered as the first time, before any other check.
    pub fn append(&self, append: Append) -> Answer<AppendOutcome> {
        self.append_in_place(append, None)
    }

    /// The same; with a place it keeps it: refused, it holds those behind it, and it is refused behind such a one.
    pub fn append_in_place(&self, append: Append, in_place: Option<InPlace>) -> Answer<AppendOutcome> {
        // Hashed here, on the caller's thread: the writer's time is everybody's.
        let entry_hash = log::entry_hash(Kind::Message, &append.message.ciphertext);
        let place = in_place.clone();
        self.append_job(append.message.ciphertext.len(), in_place, move |txn| {
            let outcome = txn.append(append, entry_hash)?;
            // Those behind it may stand in the same transaction, and have room.
            if let (Some(place), true) = (place, outcome.is_of_one()) {
                place.hold();
            }
            Ok(outcome)
        })
    }
}

impl Txn<'_> {
    fn append(&mut self, append: Append, entry_hash: Hash) -> Sql<AppendOutcome> {
        let (Some(group), Some(sender)) = (self.group(append.group)?, self.device(append.sender)?) else {
            return Ok(AppendOutcome::NotFound);
        };
        let sending = self.sending(group.no, sender.no, append.message.client_id, entry_hash);
        let known = self.sent(&sending)?;
        #[cfg(feature = "sabotage")]
        let known = known.filter(|_| !crate::sabotage::breaks("duplicate_effect"));
        if let Some(sent) = known {
            let Sent { seq, time, handshake } = sent;
            return Ok(if handshake { AppendOutcome::Conflict } else { AppendOutcome::Duplicate { seq, time } });
        }
        if !self.may_send(group.no, sender.no)? {
            return Ok(AppendOutcome::NotFound);
        }
        if let Some(refusal) = refusal(group, append.epoch) {
            return Ok(refusal);
        }
        if let Some(outcome) = self.over_quota(group.no, sender.account_no, append.message.ciphertext.len())? {
            return Ok(outcome);
        }
        if self.is_sent_by_another(&sending)? {
            return Ok(AppendOutcome::Conflict);
        }
        let seq = self.append_message(append.group, (sender, append.sender), append.message, &sending, append.now)?;
        Ok(AppendOutcome::Accepted { seq, time: append.now })
    }

    /// Whether there is no room for so many bytes more: of this account, or in this group.
    pub(super) fn over_quota(&mut self, group_no: i64, account_no: i64, bytes: usize) -> Sql<Option<AppendOutcome>> {
        let in_group = Quota { used: self.head(group_no)?.bytes, limit: self.options.group_bytes };
        let of_account = Quota { used: self.used_by(account_no)?, limit: self.options.account_bytes };
        Ok(match (of_account.has_room(bytes), in_group.has_room(bytes)) {
            (true, true) => None,
            (false, _) => Some(AppendOutcome::AccountFull(of_account)),
            (true, false) => Some(AppendOutcome::GroupFull(in_group)),
        })
    }

    /// Stores a message that was admitted, and remembers its client id.
    pub(super) fn append_message(
        &mut self,
        group: GroupId,
        (sender, sender_id): (KnownDevice, DeviceId),
        message: NewMessage,
        sending: &Sending,
        time: UnixMs,
    ) -> Sql<Seq> {
        let NewMessage { client_id, ciphertext: body, ttl_ms, urgent } = message;
        self.charge(sender.account_no, body.len())?;
        let (sender_ref, removes) = (SenderRef::Message(client_id), Box::default());
        let (sender, entry_hash) = (Some((sender.no, sender_id)), sending.entry_hash);
        let (kind, expires_at) = (Kind::Message, ttl_ms.map(|ttl| time.saturating_add(ttl)));
        let entry = NewEntry { time, kind, sender, sender_ref, entry_hash, body, body_no: None, removes, expires_at, urgent };
        let seq = self.append_entry(LogId::Group(group), sending.group_no, entry)?;
        self.remember(sending, &Sent { seq, time, handshake: false })?;
        Ok(seq)
    }
}

fn refusal(group: KnownGroup, epoch: u64) -> Option<AppendOutcome> {
    if group.suspended {
        Some(AppendOutcome::Suspended)
    } else if group.frozen {
        Some(AppendOutcome::Frozen)
    } else if epoch > group.epoch {
        Some(AppendOutcome::ServerBehind)
    } else if epoch < group.oldest_epoch() {
        Some(AppendOutcome::Stale { current_epoch: group.epoch })
    } else {
        None
    }
}
