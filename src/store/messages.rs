//! Application messages: appended once, whatever the number of their readers.

use sovereign_proto::log::{self, Kind};

use super::{
    Answer, Store,
    engine::Txn,
    known::{KnownDevice, KnownGroup},
    ledger::Sent,
    log::NewEntry,
    types::{Append, AppendOutcome, Hash, NewMessage, SenderRef},
    values::Sql,
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, GroupId, LogId, Seq},
};

impl Store {
    /// Appends a message. What is known under its client id is answered as the first time, before any other check.
    pub fn append(&self, append: Append) -> Answer<AppendOutcome> {
        // Hashed here, on the caller's thread: the writer's time is everybody's.
        let entry_hash = log::entry_hash(Kind::Message, &append.message.ciphertext);
        self.append_job(append.message.ciphertext.len(), move |txn| txn.append(append, entry_hash))
    }
}

impl Txn<'_> {
    fn append(&mut self, append: Append, entry_hash: Hash) -> Sql<AppendOutcome> {
        let (Some(group), Some(sender)) = (self.group(append.group)?, self.device(append.sender)?) else {
            return Ok(AppendOutcome::NotFound);
        };
        if let Some(sent) = self.sent(group.no, sender.no, append.message.client_id)? {
            let Sent { seq, time, handshake } = sent;
            return Ok(if handshake { AppendOutcome::Conflict } else { AppendOutcome::Duplicate { seq, time } });
        }
        if !self.may_send(group.no, sender.no)? {
            return Ok(AppendOutcome::NotFound);
        }
        if let Some(refusal) = refusal(group, append.epoch) {
            return Ok(refusal);
        }
        if self.is_sent_by_another(group.no, sender.no, &entry_hash)? {
            return Ok(AppendOutcome::Conflict);
        }
        let seq =
            self.append_message((append.group, group.no), (sender, append.sender), append.message, entry_hash, append.now)?;
        Ok(AppendOutcome::Accepted { seq, time: append.now })
    }

    /// Stores a message that was admitted, and remembers its client id.
    pub(super) fn append_message(
        &mut self,
        (group, group_no): (GroupId, i64),
        (sender, sender_id): (KnownDevice, DeviceId),
        message: NewMessage,
        entry_hash: Hash,
        time: UnixMs,
    ) -> Sql<Seq> {
        let NewMessage { client_id, ciphertext: body, ttl_ms, urgent } = message;
        let (sender_no, sender_ref, removes) = (sender.no, SenderRef::Message(client_id), Box::default());
        let sender = Some((sender_no, sender_id));
        let (kind, expires_at) = (Kind::Message, ttl_ms.map(|ttl| time.saturating_add(ttl)));
        let entry = NewEntry { time, kind, sender, sender_ref, entry_hash, body, body_no: None, removes, expires_at, urgent };
        let seq = self.append_entry(LogId::Group(group), group_no, entry)?;
        self.remember(group_no, sender_no, client_id, &Sent { seq, time, handshake: false }, &entry_hash)?;
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
