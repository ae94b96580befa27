//! What goes: entries that everybody has passed or nobody may keep waiting for, and whatever has expired.

use std::sync::PoisonError;

use rusqlite::{OptionalExtension as _, Row, params};
use sovereign_proto::log::Kind;

use super::{
    Answer, Store, claims,
    engine::Txn,
    log::{log_of, place, seq_of},
    options::days_ms,
    places::{Select, Way},
    values::{Sql, U, uint},
};
use crate::{clock::UnixMs, ids::Seq, limits::INIT_KEY_DAYS};

/// Rows looked at by one call at most, in each of its parts.
const ROWS: i64 = 1000;
/// Days that a client id is remembered beyond its message.
const IDEMPOTENCY_EXTRA_DAYS: u64 = 7;

/// What one call of [`Store::trim`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimReport {
    /// Entries deleted.
    pub entries: u64,
    /// Other rows deleted: client ids, closed windows, expired claims, tokens, invites, reservations and init keys; and
    /// bodies of messages whose life is over.
    pub others: u64,
    /// The call stopped at its bound: there may be more to do right now.
    pub more: bool,
}

/// Where trimming goes on: behind a seq of a log.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    log_no: i64,
    after: Seq,
}

/// How far the entries of one log may go.
struct Floor {
    /// Everything up to here: every open or draining window has passed it.
    passed: Seq,
    /// Handshakes up to here: there are too many, or too large ones, behind them.
    commits: Seq,
}

impl Store {
    /// Deletes a bounded number of rows and goes on where it stopped with the next call.
    pub fn trim(&self, now: UnixMs) -> Answer<TrimReport> {
        let place = self.0.trimmed_to.clone();
        self.relieve(move |txn| {
            let mut report = TrimReport::default();
            let from = *place.lock().unwrap_or_else(PoisonError::into_inner);
            let next = txn.trim_logs(from, now, &mut report)?;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = next;
            txn.trim_sent(now, &mut report)?;
            txn.trim_expired(now, &mut report)?;
            Ok(report)
        })
    }
}

impl Txn<'_> {
    /// Trims logs from a place on; gives the place to go on with.
    fn trim_logs(&mut self, from: Place, now: UnixMs, report: &mut TrimReport) -> Sql<Place> {
        let logs: Vec<(i64, Seq)> = self
            .db
            .prepare_cached("SELECT log_no, next_seq - 1 FROM logs WHERE log_no >= ?1 ORDER BY log_no LIMIT ?2")?
            .query_map([from.log_no, ROWS], |row| Ok((row.get(0)?, uint(row, 1)?)))?
            .collect::<Sql<_>>()?;
        let mut budget = ROWS;
        for &(log_no, head) in &logs {
            let after = if log_no == from.log_no { from.after } else { 0 };
            let (looked_at, last) = self.trim_log(log_no, (after, head), now, budget, report)?;
            if looked_at == budget {
                report.more = true;
                return Ok(Place { log_no, after: last });
            }
            budget -= looked_at;
        }
        match logs.last() {
            Some((log_no, _)) if logs.len() as u64 == ROWS.unsigned_abs() => {
                report.more = true;
                Ok(Place { log_no: log_no + 1, after: 0 })
            }
            _ => Ok(Place::default()),
        }
    }

    /// Gives the number of rows looked at, and the last of their seqs.
    fn trim_log(&mut self, log_no: i64, range: (Seq, Seq), now: UnixMs, budget: i64, report: &mut TrimReport) -> Sql<(i64, Seq)> {
        let floor = self.floor(log_no, range.1)?;
        let message_cutoff = now.saturating_sub(days_ms(self.options.message_days));
        let commit_cutoff = now.saturating_sub(days_ms(self.options.commit_days));
        let select = Select { columns: CANDIDATE, joined: "" };
        let mut rows: Vec<Candidate> = Vec::new();
        let range_of_places = place(log_no, range.0 + 1)..=place(log_no, range.1);
        let limit = usize::try_from(budget).unwrap_or(0);
        self.placing.places().walk(self.db, select, (range_of_places, Way::Up), limit, |row| {
            rows.push(candidate(row)?);
            Ok(true)
        })?;
        let (mut looked_at, mut last) = (0, range.0);
        for row in rows {
            let Candidate { place, kind, time, .. } = row;
            let seq = seq_of(place);
            if seq > floor.passed.max(floor.commits) && time > message_cutoff {
                // Entries stand in the order of their times: what follows is younger.
                break;
            }
            (looked_at, last) = (looked_at + 1, seq);
            let expired = if kind == Kind::Message as u8 || kind == Kind::Notice as u8 {
                time <= message_cutoff
            } else {
                time <= commit_cutoff || seq <= floor.commits
            };
            if seq <= floor.passed || expired {
                self.delete_entry(&row)?;
                report.entries += 1;
            }
        }
        Ok((looked_at, last))
    }

    fn floor(&self, log_no: i64, head: Seq) -> Sql<Floor> {
        let slowest: Option<U> = self
            .db
            .prepare_cached("SELECT min(cursor) FROM windows WHERE log_no = ?1 AND state < 2")?
            .query_one([log_no], |row| row.get(0))?;
        let commits: Option<U> = self
            .db
            .prepare_cached(
                "SELECT seq FROM commits WHERE log_no = ?1 AND from_epoch < (SELECT epoch FROM groups WHERE log_no = ?1) - ?2
                 ORDER BY from_epoch DESC LIMIT 1",
            )?
            .query_one(params![log_no, U(self.options.commits_kept)], |row| row.get(0))
            .optional()?;
        let by_bytes: Option<U> = self
            .db
            .prepare_cached(
                "SELECT max(seq) FROM commits WHERE log_no = ?1 AND total_bytes <=
                 (SELECT total_bytes FROM commits WHERE log_no = ?1 ORDER BY from_epoch DESC LIMIT 1) - ?2",
            )?
            .query_one(params![log_no, U(self.options.commit_bytes_kept)], |row| row.get(0))?;
        let commits = [commits, by_bytes].into_iter().flatten().map(|seq| seq.0).max().unwrap_or(0);
        Ok(Floor { passed: slowest.map_or(head, |seq| seq.0), commits })
    }

    fn delete_entry(&mut self, entry: &Candidate) -> Sql<()> {
        self.placing.delete(self.db, entry.place, entry.entry_no)?;
        if let Some(device_no) = entry.sender.filter(|_| entry.kind == Kind::Message as u8) {
            self.release(log_of(entry.place), device_no, entry.bytes)?;
        }
        if let Some(body_no) = entry.body_no {
            self.drop_body(body_no)?;
        }
        Ok(())
    }

    /// Deletes a body that no entry and no notice on its way needs any more.
    pub(super) fn drop_body(&mut self, body_no: i64) -> Sql<()> {
        let needed = "SELECT 1 FROM entries WHERE body_no = ?1 UNION ALL SELECT 1 FROM notices WHERE body_no = ?1";
        if !self.db.prepare_cached(needed)?.exists([body_no])? {
            self.db.prepare_cached("DELETE FROM bodies WHERE body_no = ?1")?.execute([body_no])?;
        }
        Ok(())
    }

    /// Client ids outlive their messages by a week.
    fn trim_sent(&mut self, now: UnixMs, report: &mut TrimReport) -> Sql<()> {
        let days = self.options.message_days.max(self.options.commit_days) + IDEMPOTENCY_EXTRA_DAYS;
        let deleted = self
            .db
            .prepare_cached(
                "DELETE FROM sent WHERE sent_no IN (SELECT sent_no FROM sent ORDER BY sent_no LIMIT ?2) AND time <= ?1",
            )?
            .execute(params![U(now.saturating_sub(days_ms(days))), ROWS])?;
        report.count(deleted);
        report.count(self.ledger.sweep(self.db, ROWS)?);
        Ok(())
    }

    /// Deletes the bodies of messages whose life is over. The rows stay, so that they are named as expired and not as
    /// missing.
    fn empty_expired(&mut self, now: UnixMs, report: &mut TrimReport) -> Sql<()> {
        let sql = format!(
            "SELECT {CANDIDATE} FROM entries WHERE expires_at IS NOT NULL AND body IS NOT NULL AND expires_at <= ?1 LIMIT ?2"
        );
        let rows: Vec<Candidate> =
            self.db.prepare_cached(&sql)?.query_map(params![U(now), ROWS], candidate)?.collect::<Sql<_>>()?;
        for row in &rows {
            self.db.prepare_cached("UPDATE entries SET body = NULL WHERE entry_no = ?1")?.execute([row.entry_no])?;
            if let Some(device_no) = row.sender {
                self.release(log_of(row.place), device_no, row.bytes)?;
            }
        }
        report.count(rows.len());
        Ok(())
    }

    fn trim_expired(&mut self, now: UnixMs, report: &mut TrimReport) -> Sql<()> {
        let ago = |days| U(now.saturating_sub(days_ms(days)));
        let commit_days = self.options.commit_days;
        self.empty_expired(now, report)?;
        let expired = [
            ("DELETE FROM reservations WHERE group_id IN (SELECT group_id FROM reservations WHERE expires_at <= ?1 LIMIT ?2)", U(now)),
            (
                "DELETE FROM used_init_keys WHERE hash IN (SELECT hash FROM used_init_keys WHERE uploaded_at <= ?1 LIMIT ?2)",
                ago(INIT_KEY_DAYS),
            ),
            ("DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE expires_at <= ?1 LIMIT ?2)", U(now)),
            ("DELETE FROM invites WHERE hash IN (SELECT hash FROM invites WHERE expires_at <= ?1 LIMIT ?2)", ago(30)),
            (
                "DELETE FROM claims WHERE claim_no IN (SELECT claim_no FROM claims WHERE claimed_at <= ?1 LIMIT ?2)",
                U(now.saturating_sub(claims::CLAIM_MS)),
            ),
            (
                "DELETE FROM windows WHERE window_no IN
                 (SELECT window_no FROM windows WHERE leave_seq IS NOT NULL AND left_at <= ?1 LIMIT ?2)",
                ago(commit_days),
            ),
            (
                "DELETE FROM commits WHERE (log_no, from_epoch) IN
                 (SELECT log_no, from_epoch FROM commits JOIN groups USING (log_no) WHERE time <= ?1 AND from_epoch + 1 < epoch LIMIT ?2)",
                ago(commit_days + IDEMPOTENCY_EXTRA_DAYS),
            ),
        ];
        for (sql, limit) in expired {
            let deleted = self.db.prepare_cached(sql)?.execute(params![limit, ROWS])?;
            report.count(deleted);
        }
        Ok(())
    }
}

/// What [`candidate`] reads.
const CANDIDATE: &str = "entries.place, entries.entry_no, entries.kind, entries.time, entries.body_no, entries.sender, coalesce(length(entries.body), 0)";

/// An entry that may go.
struct Candidate {
    place: i64,
    entry_no: i64,
    kind: u8,
    time: UnixMs,
    body_no: Option<i64>,
    sender: Option<i64>,
    /// Of its own body.
    bytes: u64,
}

fn candidate(row: &Row<'_>) -> Sql<Candidate> {
    let (place, entry_no, kind, time) = (row.get(0)?, row.get(1)?, row.get(2)?, uint(row, 3)?);
    Ok(Candidate { place, entry_no, kind, time, body_no: row.get(4)?, sender: row.get(5)?, bytes: uint(row, 6)? })
}

impl TrimReport {
    fn count(&mut self, deleted: usize) {
        self.others += deleted as u64;
        self.more |= deleted >= 1000;
    }
}
