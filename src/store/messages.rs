//! Application messages: appended once, whatever the number of their readers.

use rusqlite::{OptionalExtension as _, params};
use sovereign_proto::log::{self, Kind};

use super::{
    Answer, Store,
    engine::Txn,
    known::{KnownDevice, KnownGroup},
    log::NewEntry,
    types::{Append, AppendOutcome, Hash, NewMessage, SenderRef},
    values::{Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{ClientId, DeviceId, GroupId, LogId, Seq},
};

/// What was sent under a client id.
pub(super) struct Sent {
    pub(super) seq: Seq,
    pub(super) time: UnixMs,
    pub(super) handshake: bool,
}

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
        let NewMessage { client_id, ciphertext: body } = message;
        let (sender_no, sender_ref, removes) = (sender.no, SenderRef::Message(client_id), Box::default());
        let sender = Some((sender_no, sender_id));
        let entry = NewEntry { time, kind: Kind::Message, sender, sender_ref, entry_hash, body, body_no: None, removes };
        let seq = self.append_entry(LogId::Group(group), group_no, entry)?;
        self.remember(group_no, sender_no, client_id, &Sent { seq, time, handshake: false }, &entry_hash)?;
        Ok(seq)
    }

    /// What the device sent to the group under that id.
    pub(super) fn sent(&self, group_no: i64, device_no: i64, client_id: ClientId) -> Sql<Option<Sent>> {
        self.db
            .prepare_cached("SELECT seq, time, handshake FROM sent WHERE log_no = ?1 AND device_no = ?2 AND client_id = ?3")?
            .query_one(params![group_no, device_no, client_id], |row| {
                Ok(Sent { seq: uint(row, 0)?, time: uint(row, 1)?, handshake: row.get(2)? })
            })
            .optional()
    }

    /// Whether the same entry came from another device, which only a copy can be.
    pub(super) fn is_sent_by_another(&self, group_no: i64, device_no: i64, entry_hash: &Hash) -> Sql<bool> {
        self.db.prepare_cached("SELECT 1 FROM sent WHERE log_no = ?1 AND entry_hash = ?3 AND device_no <> ?2")?.exists(params![
            group_no,
            device_no,
            &entry_hash[..16]
        ])
    }

    pub(super) fn remember(
        &mut self,
        group_no: i64,
        device_no: i64,
        client_id: ClientId,
        sent: &Sent,
        entry_hash: &Hash,
    ) -> Sql<()> {
        self.db
            .prepare_cached(
                "INSERT INTO sent (log_no, device_no, client_id, handshake, seq, time, entry_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![group_no, device_no, client_id, sent.handshake, U(sent.seq), U(sent.time), &entry_hash[..16]])
            .map(drop)
    }
}

fn refusal(group: KnownGroup, epoch: u64) -> Option<AppendOutcome> {
    if group.frozen {
        Some(AppendOutcome::Frozen)
    } else if epoch > group.epoch {
        Some(AppendOutcome::ServerBehind)
    } else if epoch < group.oldest_epoch() {
        Some(AppendOutcome::Stale { current_epoch: group.epoch })
    } else {
        None
    }
}
