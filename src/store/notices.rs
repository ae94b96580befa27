//! Notices of the server: one body, an entry on the log of every device they are for, written a batch at a time.
//!
//! What is begun is durable and reaches everybody: each step moves the notice's mark in the transaction that writes the
//! step's entries, so that after a crash the next step goes on where the last one that was committed has ended.

use rusqlite::{OptionalExtension as _, params};
use sovereign_proto::log::{self, Kind};

use super::{
    Answer, Store,
    engine::Txn,
    log::NewEntry,
    types::{Hash, NewNotice, NoticeOutcome, NoticeStep, SenderRef},
    values::{Blob, Sql, U, uint},
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, LogId},
    limits::NOTICES_OPEN,
};

/// A notice on its way.
struct Open {
    body_no: i64,
    body: Vec<u8>,
    entry_hash: Hash,
    time: UnixMs,
    account_no: Option<i64>,
    reached: i64,
    last_device: i64,
}

impl Store {
    /// Makes a notice durable. It is for the active devices of enabled accounts that are there now.
    pub fn begin_notice(&self, new: NewNotice) -> Answer<NoticeOutcome> {
        self.write(new.body.len(), move |txn| txn.begin_notice(&new))
    }

    /// Writes a notice's entries on the logs of the next `limit` devices.
    pub fn advance_notice(&self, number: i64, limit: usize) -> Answer<NoticeStep> {
        self.write(limit * 4096, move |txn| txn.advance_notice(number, limit))
    }

    /// The notices that some devices do not have yet, oldest first.
    pub fn open_notices(&self) -> Answer<Vec<i64>> {
        self.read(|db| {
            db.prepare_cached("SELECT notice_no FROM notices ORDER BY notice_no")?.query_map([], |row| row.get(0))?.collect()
        })
    }
}

impl Txn<'_> {
    fn begin_notice(&mut self, new: &NewNotice) -> Sql<NoticeOutcome> {
        let open = self.db.prepare_cached("SELECT count(*) FROM notices")?.query_one([], |row| uint(row, 0))?;
        if open >= NOTICES_OPEN {
            return Ok(NoticeOutcome::TooMany);
        }
        self.db.prepare_cached("INSERT INTO bodies (body) VALUES (?1)")?.execute([&new.body[..]])?;
        let body_no = self.db.last_insert_rowid();
        self.db
            .prepare_cached(
                "INSERT INTO notices (body_no, entry_hash, time, account_no, last_device)
                 VALUES (?1, ?2, ?3, (SELECT account_no FROM accounts WHERE account_id = ?4), (SELECT coalesce(max(device_no), 0) FROM devices))",
            )?
            .execute(params![body_no, Blob(log::entry_hash(Kind::Notice, &new.body)), U(new.now), new.account])?;
        let number = self.db.last_insert_rowid();
        self.audit("send notice", new.account.as_ref().map_or(&[], |account| &account.0[..]), new.now)?;
        Ok(NoticeOutcome::Begun(number))
    }

    fn advance_notice(&mut self, number: i64, limit: usize) -> Sql<NoticeStep> {
        let Some(open) = self.open_notice(number)? else { return Ok(NoticeStep { reached: Vec::new(), done: true }) };
        let body = bytes::Bytes::from(open.body);
        let sql = "SELECT device_no, device_id, own_log_no FROM devices JOIN accounts USING (account_no)
                   WHERE device_no > ?1 AND device_no <= ?2 AND state = 1 AND enabled = 1 AND (?3 IS NULL OR account_no = ?3)
                   ORDER BY device_no LIMIT ?4";
        let devices: Vec<(i64, DeviceId, i64)> = self
            .db
            .prepare_cached(sql)?
            .query_map(params![open.reached, open.last_device, open.account_no, U(limit as u64)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Sql<_>>()?;
        let done = devices.len() < limit;
        let mut reached = Vec::with_capacity(devices.len());
        for (_, device, log_no) in &devices {
            let entry = NewEntry {
                time: open.time,
                kind: Kind::Notice,
                sender: None,
                sender_ref: SenderRef::None,
                entry_hash: open.entry_hash,
                body: body.clone(),
                body_no: Some(open.body_no),
                removes: Box::default(),
                expires_at: None,
                urgent: false,
            };
            self.append_entry(LogId::Device(*device), *log_no, entry)?;
            reached.push(*device);
        }
        if done {
            self.db.prepare_cached("DELETE FROM notices WHERE notice_no = ?1")?.execute([number])?;
            self.drop_body(open.body_no)?;
        } else if let Some((last, ..)) = devices.last() {
            self.db.prepare_cached("UPDATE notices SET reached = ?2 WHERE notice_no = ?1")?.execute([number, *last])?;
        }
        Ok(NoticeStep { reached, done })
    }

    fn open_notice(&self, number: i64) -> Sql<Option<Open>> {
        let sql =
            "SELECT body_no, body, entry_hash, time, account_no, reached, last_device FROM notices JOIN bodies USING (body_no)
                   WHERE notice_no = ?1";
        self.db
            .prepare_cached(sql)?
            .query_one([number], |row| {
                Ok(Open {
                    body_no: row.get(0)?,
                    body: row.get(1)?,
                    entry_hash: row.get(2)?,
                    time: uint(row, 3)?,
                    account_no: row.get(4)?,
                    reached: row.get(5)?,
                    last_device: row.get(6)?,
                })
            })
            .optional()
    }
}
