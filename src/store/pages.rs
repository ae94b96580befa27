//! Reading a log through a device's windows, in pages. Every seq of a window is represented, or named as skipped.

use std::sync::Arc;

use rusqlite::{Connection, params};
use sovereign_proto::log::running_hash;

use super::{
    Answer, Store, known,
    log::{self, STORED, place},
    places::{Places, Select, Way},
    sessions,
    types::{Hash, Item, LogPosition, Page, SkipReason, StoredEntry},
    values::{Sql, U},
    windows::{self, Window},
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, LogId, Seq},
    limits::BYTES_PER_PAGE,
};

/// Entries of one page at most.
const PAGE_MAX: usize = 256;

/// What a page is read from.
struct Reading<'a> {
    db: &'a Connection,
    places: &'a Places,
    log_no: i64,
    /// Who reads.
    device: DeviceId,
    /// The time of what is skipped with nothing behind it.
    now: UnixMs,
}

impl Store {
    /// The entries behind `after` in the window that flows now, oldest first; `None`: none does. At most `limit` (and
    /// never more than 256) entries and `max_bytes` of bodies, but always at least one.
    pub fn page(&self, log: LogId, device: DeviceId, after: Seq, limit: usize, max_bytes: usize) -> Answer<Option<Page>> {
        let now = self.0.clock.settled_ms();
        self.read_entries(move |db, places| {
            let Some((log_no, device_no)) = numbers(db, log, device)? else { return Ok(None) };
            let Some((window, end)) = windows::readable(db, log_no, device_no)? else { return Ok(None) };
            Reading { db, places, log_no, device, now }
                .forward(&window, end, after, limit.clamp(1, PAGE_MAX), max_bytes)
                .map(Some)
        })
    }

    /// The entries before `before` in any window of the device whose Welcome was acknowledged, newest first, at most
    /// `limit` (and never more than 256) entries and `BYTES_PER_PAGE` of bodies, but always at least one; `None`: there is
    /// no such window.
    pub fn page_back(&self, log: LogId, device: DeviceId, before: Seq, limit: usize) -> Answer<Option<Page>> {
        let now = self.0.clock.settled_ms();
        self.read_entries(move |db, places| {
            let Some((log_no, device_no)) = numbers(db, log, device)? else { return Ok(None) };
            let mut windows = windows::all(db, log_no, device_no)?;
            windows.retain(|window| window.welcomed);
            windows.reverse();
            if windows.is_empty() {
                return Ok(None);
            }
            let head = known::stored_head(db, log_no)?;
            Reading { db, places, log_no, device, now }.backward(&windows, head, before, limit.clamp(1, PAGE_MAX)).map(Some)
        })
    }

    /// Where a log stands for a device, acknowledgements included that are not durable yet; `None`: nothing flows.
    pub fn position(&self, log: LogId, device: DeviceId) -> Answer<Option<LogPosition>> {
        let acknowledged = self.0.pending.at_least(device, log, 0);
        self.read_entries(move |db, places| {
            let Some((log_no, device_no)) = numbers(db, log, device)? else { return Ok(None) };
            let position = sessions::position(db, places, log, log_no, device_no)?;
            Ok(position.map(|position| LogPosition { cursor: position.cursor.max(acknowledged.min(position.head)), ..position }))
        })
    }
}

impl Reading<'_> {
    fn forward(&self, window: &Window, (end, end_hash): (Seq, Hash), after: Seq, limit: usize, max_bytes: usize) -> Sql<Page> {
        let mut position = after.max(window.join_seq).min(end);
        let (mut items, mut bytes) = (Vec::new(), 0_usize);
        let range = place(self.log_no, position + 1)..=place(self.log_no, end);
        let all = self.places.walk(self.db, STORED, (range, Way::Up), limit, |row| {
            let (entry, previous) = log::stored(row)?;
            bytes = bytes.saturating_add(entry.body.len());
            if bytes > max_bytes && !items.is_empty() {
                return Ok(false);
            }
            if entry.seq > position + 1 {
                items.push(self.gone(position + 1, entry.seq - 1, entry.time, previous)?);
            }
            position = entry.seq;
            items.push(self.given(entry, &previous));
            Ok(true)
        })?;
        if all && position < end {
            items.push(self.gone(position + 1, end, self.now, end_hash)?);
            position = end;
        }
        Ok(Page { items, head: end, more: position < end, ended: window.left.is_some() && position == end })
    }

    /// `windows` newest first.
    fn backward(&self, windows: &[Window], head: (Seq, Hash), before: Seq, limit: usize) -> Sql<Page> {
        let (mut items, mut below, mut bytes) = (Vec::new(), before, 0);
        let mut later: Option<&Window> = None;
        for window in windows {
            let (end, end_hash) = window.end(head);
            let top = end.min(below.saturating_sub(1));
            if top <= window.join_seq {
                later = Some(window);
                continue;
            }
            if items.len() >= limit {
                break;
            }
            if let Some(later) = later.filter(|later| !items.is_empty() && later.join_seq > end) {
                let (from, to) = (end + 1, later.join_seq);
                items.push(Item::Skipped {
                    from,
                    to,
                    reason: SkipReason::BeforeJoin,
                    time: self.now,
                    running_hash: later.join_hash,
                });
            }
            let top_hash = if top == end { end_hash } else { self.hash_at(top)? };
            below = self.window_back(window, (top, top_hash), limit, &mut items, &mut bytes)?;
            if below > window.join_seq + 1 {
                break;
            }
            later = Some(window);
        }
        let oldest = windows.last().map_or(0, |window| window.join_seq);
        let current = windows.first().map_or(0, |window| window.end(head).0);
        Ok(Page { more: below > oldest + 1, items, head: current, ended: false })
    }

    /// Reads one window down from `top`, as far as `limit` and the page's bytes allow; gives the lowest seq that was
    /// represented.
    fn window_back(
        &self,
        window: &Window,
        (top, mut hash): (Seq, Hash),
        limit: usize,
        items: &mut Vec<Item>,
        bytes: &mut usize,
    ) -> Sql<Seq> {
        let mut below = top + 1;
        let room = limit.saturating_sub(items.len());
        let range = place(self.log_no, window.join_seq + 1)..=place(self.log_no, top);
        let all = self.places.walk(self.db, STORED, (range, Way::Down), room, |row| {
            let (entry, previous) = log::stored(row)?;
            *bytes = bytes.saturating_add(entry.body.len());
            if *bytes > BYTES_PER_PAGE && !items.is_empty() {
                return Ok(false);
            }
            if entry.seq + 1 < below {
                items.push(self.gone(entry.seq + 1, below - 1, entry.time, hash)?);
            }
            (below, hash) = (entry.seq, previous);
            items.push(self.given(entry, &previous));
            Ok(true)
        })?;
        if all && below > window.join_seq + 1 {
            items.push(self.gone(window.join_seq + 1, below - 1, self.now, hash)?);
            below = window.join_seq + 1;
        }
        Ok(below)
    }

    /// An entry as the reader gets it. What has expired is named to its sender, and skipped for everybody else.
    fn given(&self, entry: Arc<StoredEntry>, previous: &Hash) -> Item {
        if !entry.has_expired(|| self.now) || entry.sender == Some(self.device) {
            return Item::Entry(entry);
        }
        let (from, to, time) = (entry.seq, entry.seq, entry.time);
        let running_hash = running_hash(previous, entry.seq, &entry.entry_hash);
        Item::Skipped { from, to, reason: SkipReason::Expired, time, running_hash }
    }

    /// Seqs of a window of which nothing is left.
    fn gone(&self, from: Seq, to: Seq, time: UnixMs, running_hash: Hash) -> Sql<Item> {
        let sql = "SELECT 1 FROM gaps WHERE log_no = ?1 AND to_seq >= ?2 AND from_seq <= ?3";
        let restored = self.db.prepare_cached(sql)?.exists(params![self.log_no, U(from), U(to)])?;
        let reason = if restored { SkipReason::Restored } else { SkipReason::Retention };
        Ok(Item::Skipped { from, to, reason, time, running_hash })
    }

    /// The running hash at a seq inside a window, if the entry behind it is still there; zeros if it is not: then the
    /// client asked from inside a gap and gets the hash with the gap's end.
    fn hash_at(&self, seq: Seq) -> Sql<Hash> {
        let (mut hash, behind) = ([0; 32], place(self.log_no, seq + 1));
        let select = Select { columns: "previous_hash", joined: "" };
        self.places.walk(self.db, select, (behind..=behind, Way::Up), 1, |row| {
            hash = row.get(0)?;
            Ok(true)
        })?;
        Ok(hash)
    }
}

/// The numbers of a log and a device. Another device's log is none.
fn numbers(db: &Connection, log: LogId, device: DeviceId) -> Sql<Option<(i64, i64)>> {
    if matches!(log, LogId::Device(owner) if owner != device) {
        return Ok(None);
    }
    let log_no = log::number(db, &log)?;
    Ok(log_no.zip(known::device(db, device)?.map(|device| device.no)))
}
