//! Entries: how they are stored and how they come back.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::FromSqlError};
use sovereign_proto::log::{self, Kind};

use super::{
    engine::Txn,
    places::Select,
    types::{Hash, SenderRef, StoredEntry},
    values::{Blob, Sql, U, int, owner, uint},
};
use crate::{
    clock::UnixMs,
    ids::{ClientId, DeviceId, LogId, Seq},
};

/// Bits of an entry's place that hold its seq.
const SEQ_BITS: u32 = 40;

/// Logs there is room for in the places of entries.
const LOGS_MAX: i64 = 1 << (63 - SEQ_BITS);

/// What [`stored`] reads.
pub(super) const STORED: Select = Select {
    columns: "entries.place, time, entries.kind, device_id, sender_ref, entry_hash, coalesce(entries.body, bodies.body), previous_hash, expires_at, urgent",
    joined: "LEFT JOIN devices ON device_no = sender LEFT JOIN bodies ON bodies.body_no = entries.body_no",
};

/// An entry before it has a seq.
pub(super) struct NewEntry {
    pub(super) time: UnixMs,
    pub(super) kind: Kind,
    /// `None` on device logs.
    pub(super) sender: Option<(i64, DeviceId)>,
    pub(super) sender_ref: SenderRef,
    pub(super) entry_hash: Hash,
    pub(super) body: Bytes,
    /// The row of `bodies` that holds the body, where entries share it.
    pub(super) body_no: Option<i64>,
    /// Devices whose leaves the entry removes.
    pub(super) removes: Box<[DeviceId]>,
    /// Of a message, if it has an end.
    pub(super) expires_at: Option<UnixMs>,
    /// Of a message.
    pub(super) urgent: bool,
}

impl NewEntry {
    /// An entry of a device's own log, with a body of its own.
    pub(super) fn unicast(kind: Kind, body: Bytes, time: UnixMs) -> Self {
        let (entry_hash, removes) = (log::entry_hash(kind, &body), Box::default());
        let (sender_ref, body_no, expires_at) = (SenderRef::None, None, None);
        Self { time, kind, sender: None, sender_ref, entry_hash, body, body_no, removes, expires_at, urgent: false }
    }
}

impl Txn<'_> {
    /// Appends an entry to a log and has it published once it is durable.
    pub(super) fn append_entry(&mut self, log: LogId, log_no: i64, new: NewEntry) -> Sql<Seq> {
        let bytes = if new.kind == Kind::Message { new.body.len() } else { 0 };
        let (seq, previous) = self.advance(log_no, &new.entry_hash, bytes as u64)?;
        let sender_ref: Option<&[u8]> = match &new.sender_ref {
            SenderRef::None => None,
            SenderRef::Message(id) => Some(&id.0),
            SenderRef::Handshake(hash) => Some(hash),
        };
        let entry_no = self.placing.place(place(log_no, seq));
        self.insert_entry
            .get(
                self.db,
                "INSERT INTO entries (entry_no, place, time, kind, sender, sender_ref, entry_hash, previous_hash, body, body_no, expires_at, urgent)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                entry_no,
                place(log_no, seq),
                U(new.time),
                new.kind as u8,
                new.sender.map(|sender| sender.0),
                sender_ref,
                Blob(new.entry_hash),
                Blob(previous),
                new.body_no.is_none().then_some(&new.body[..]),
                new.body_no,
                new.expires_at.map(U),
                new.urgent.then_some(1),
            ])?;
        let NewEntry { time, kind, sender, sender_ref, entry_hash, body, removes, expires_at, urgent, body_no: _ } = new;
        let (sender, frame) = (sender.map(|sender| sender.1), OnceLock::new());
        let entry = StoredEntry { seq, time, kind, sender, sender_ref, entry_hash, body, removes, expires_at, urgent, frame };
        self.published.push((log, Arc::new(entry)));
        Ok(seq)
    }

    /// Makes a log and gives its number.
    pub(super) fn new_log(&mut self, log: &LogId) -> Sql<i64> {
        let (kind, owner) = owner(log);
        self.db.prepare_cached("INSERT INTO logs (kind, owner, running_hash) VALUES (?1, ?2, ?3)")?.execute(params![
            kind,
            owner,
            Blob(log::START)
        ])?;
        let log_no = self.db.last_insert_rowid();
        // The next one's entries would stand among those of another log.
        if log_no < LOGS_MAX { Ok(log_no) } else { Err(rusqlite::Error::IntegralValueOutOfRange(0, log_no)) }
    }
}

/// The place of an entry. A log holds up to 2^40 entries; there is room for 2^23 logs.
pub(super) fn place(log_no: i64, seq: Seq) -> i64 {
    (log_no << SEQ_BITS) | int(seq.min((1 << SEQ_BITS) - 1))
}

/// The number of the log within an entry's place.
pub(super) fn log_of(place: i64) -> i64 {
    place >> SEQ_BITS
}

/// The seq within an entry's place.
pub(super) fn seq_of(place: i64) -> Seq {
    place.cast_unsigned() & ((1 << SEQ_BITS) - 1)
}

/// The number of a log.
pub(super) fn number(db: &Connection, log: &LogId) -> Sql<Option<i64>> {
    let (_, owner) = owner(log);
    db.prepare_cached("SELECT log_no FROM logs WHERE owner = ?1")?.query_one([owner], |row| row.get(0)).optional()
}

/// The entry of a row of [`STORED`], and the running hash before it.
pub(super) fn stored(row: &Row<'_>) -> Sql<(Arc<StoredEntry>, Hash)> {
    let byte: u8 = row.get(2)?;
    let kind = Kind::from_byte(byte).ok_or(FromSqlError::OutOfRange(byte.into()))?;
    let sender_ref = match row.get_ref(4)?.as_blob_or_null()? {
        None => SenderRef::None,
        Some(bytes) => match (ClientId::try_from(bytes), Hash::try_from(bytes)) {
            (Ok(id), _) => SenderRef::Message(id),
            (_, Ok(hash)) => SenderRef::Handshake(hash),
            _ => return Err(FromSqlError::InvalidType.into()),
        },
    };
    // None is left of a message that has expired.
    let body = row.get_ref(6)?.as_blob_or_null()?.map_or_else(Bytes::new, Bytes::copy_from_slice);
    let entry = StoredEntry {
        seq: seq_of(row.get(0)?),
        time: uint(row, 1)?,
        kind,
        sender: row.get(3)?,
        sender_ref,
        entry_hash: row.get(5)?,
        body,
        removes: Box::default(),
        expires_at: row.get::<_, Option<U>>(8)?.map(|at| at.0),
        urgent: row.get::<_, Option<bool>>(9)?.unwrap_or(false),
        frame: OnceLock::new(),
    };
    Ok((Arc::new(entry), row.get(7)?))
}
