//! What a device is told when it signs in.

use std::future::Future;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Answer, Store, departures,
    engine::Txn,
    key_packages,
    log::{place, seq_of},
    places::{Places, Select, Way},
    types::{Arrival, LogPosition, SignInOutcome, SignedIn, StoreError},
    values::{Sql, U, log_id, uint},
    windows,
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, GroupId, LogId},
};

/// Logs with news named at sign-in.
const NEWS_MAX: usize = 256;
/// How coarse `last_seen` is.
const LAST_SEEN_MS: u64 = 60 * 60 * 1000;

impl Store {
    /// Notes the incarnation of the device's own store, repairs lost acknowledgements, and says what there is to read.
    /// `follow` is told the groups whose logs the device may read, before the snapshot is made: what is stored behind the
    /// snapshot wakes whoever was subscribed then. The answer counts acknowledgements that are not durable yet.
    pub fn sign_in<F>(
        &self,
        device: DeviceId,
        arrival: Arrival,
        now: UnixMs,
        follow: F,
    ) -> impl Future<Output = Result<SignInOutcome, StoreError>> + Send + use<F>
    where
        F: Fn(&[GroupId]) + Clone + Send + 'static,
    {
        let store = self.clone();
        async move {
            let incarnation = arrival.incarnation;
            let mut outcome = None;
            // Most have nothing to write, and do not wait for whoever writes.
            if arrival.positions.is_empty() {
                outcome = store.look(device, incarnation, now, follow.clone()).await?;
            }
            if outcome.is_none() {
                store.relieve(move |txn| txn.enter(device, &arrival, now)).await?;
                outcome = store.look(device, incarnation, now, follow).await?;
            }
            let mut outcome = outcome.unwrap_or(SignInOutcome::Refused);
            if let SignInOutcome::SignedIn(signed_in) = &mut outcome {
                for position in &mut signed_in.news {
                    position.cursor = store.0.pending.at_least(device, position.log, position.cursor).min(position.head);
                }
                signed_in.news.retain(|position| position.cursor < position.head);
                signed_in.news.truncate(NEWS_MAX);
            }
            Ok(outcome)
        }
    }

    /// What a sign-in comes to; `None`: something has to be written first.
    fn look(
        &self,
        device: DeviceId,
        incarnation: u64,
        now: UnixMs,
        follow: impl Fn(&[GroupId]) + Send + 'static,
    ) -> Answer<Option<SignInOutcome>> {
        let before = move |db: &Connection| {
            let entry = entry(db, device, incarnation, now)?;
            let groups = if let Entry::Good(device_no) = entry { readable_groups(db, device_no)? } else { Vec::new() };
            follow(&groups);
            Ok((entry, groups))
        };
        self.read_entries_upon(before, |(entry, groups), db, places| {
            Ok(match entry {
                Entry::Good(device_no) => Some(SignInOutcome::SignedIn(signed_in(db, places, *device_no, groups)?)),
                Entry::News { .. } => None,
                Entry::RolledBack => Some(SignInOutcome::RolledBack),
                Entry::Refused => Some(SignInOutcome::Refused),
            })
        })
    }
}

/// Whether a device may sign in.
enum Entry {
    /// Yes. Its number.
    Good(i64),
    /// Yes, once this incarnation and when it was seen are written.
    News { device_no: i64, incarnation: u64 },
    /// Its store went back in time.
    RolledBack,
    /// It is revoked, or its account is disabled.
    Refused,
}

fn entry(db: &Connection, id: DeviceId, incarnation: u64, now: UnixMs) -> Sql<Entry> {
    let sql = "SELECT device_no, incarnation, last_seen FROM devices JOIN accounts USING (account_no)
         WHERE device_id = ?1 AND devices.state = 1 AND enabled = 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, uint(row, 1)?, uint(row, 2)?));
    let found: Option<(i64, u64, UnixMs)> = db.prepare_cached(sql)?.query_one([id], row).optional()?;
    Ok(match found {
        None => Entry::Refused,
        Some((_, known, _)) if incarnation != 0 && incarnation < known => Entry::RolledBack,
        Some((device_no, known, last_seen)) if incarnation > known || now >= last_seen.saturating_add(LAST_SEEN_MS) => {
            Entry::News { device_no, incarnation: incarnation.max(known) }
        }
        Some((device_no, ..)) => Entry::Good(device_no),
    })
}

impl Txn<'_> {
    /// Nothing for whoever may not sign in.
    fn enter(&mut self, id: DeviceId, arrival: &Arrival, now: UnixMs) -> Sql<()> {
        match entry(self.db, id, arrival.incarnation, now)? {
            Entry::RolledBack | Entry::Refused => return Ok(()),
            Entry::Good(_) => {}
            Entry::News { device_no, incarnation } => {
                self.db
                    .prepare_cached("UPDATE devices SET incarnation = ?2, last_seen = max(last_seen, ?3) WHERE device_no = ?1")?
                    .execute(params![device_no, U(incarnation), U(now)])?;
            }
        }
        for (log, seq) in &arrival.positions {
            self.acknowledge(id, *log, *seq, &mut Vec::new())?;
        }
        Ok(())
    }
}

fn signed_in(db: &Connection, places: &Places, device_no: i64, groups: &[GroupId]) -> Sql<SignedIn> {
    let stock = key_packages::stock(db, device_no)?;
    // Twice the number: the newest acknowledgements, which only memory knows, may take some away.
    let logs: Vec<(i64, LogId)> = db
        .prepare_cached(
            "SELECT DISTINCT log_no, kind, owner FROM windows JOIN logs USING (log_no)
             WHERE device_no = ?1 AND state < 2 AND welcome_seq IS NULL AND cursor < coalesce(leave_seq, next_seq - 1)
             ORDER BY kind DESC, log_no LIMIT ?2",
        )?
        .query_map(params![device_no, U(2 * NEWS_MAX as u64)], |row| Ok((row.get(0)?, log_id(row, 1, 2)?)))?
        .collect::<Sql<_>>()?;
    let mut news = Vec::new();
    for (log_no, log) in logs {
        news.extend(position(db, places, log, log_no, device_no)?.filter(|position| position.cursor < position.head));
    }
    Ok(SignedIn { stock, news, groups: groups.to_vec(), tasks: departures::with_tasks(db, device_no)? })
}

fn readable_groups(db: &Connection, device_no: i64) -> Sql<Vec<GroupId>> {
    db.prepare_cached(
        "SELECT DISTINCT group_id FROM windows JOIN groups USING (log_no)
             WHERE device_no = ?1 AND state < 2 AND welcome_seq IS NULL ORDER BY group_id",
    )?
    .query_map([device_no], |row| row.get::<_, GroupId>(0))?
    .collect()
}

/// Where the window that flows now stands; `None` if none does.
pub(super) fn position(db: &Connection, places: &Places, log: LogId, log_no: i64, device_no: i64) -> Sql<Option<LogPosition>> {
    let Some((window, (head, _))) = windows::readable(db, log_no, device_no)? else { return Ok(None) };
    let mut first_available = head + 1;
    let range = place(log_no, window.join_seq + 1)..=place(log_no, head);
    places.walk(db, Select { columns: "entries.place", joined: "" }, (range, Way::Up), 1, |row| {
        first_available = seq_of(row.get(0)?);
        Ok(true)
    })?;
    Ok(Some(LogPosition { log, first_available, head, cursor: window.cursor, end: window.left.map(|(seq, _)| seq) }))
}
