//! What a device is told when it signs in.

use std::future::Future;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Store,
    engine::Txn,
    key_packages, known,
    log::{place, seq_of},
    places::{Places, Select, Way},
    types::{LogPosition, SignInOutcome, SignedIn, Stock, StoreError},
    values::{Sql, U, log_id, uint},
    windows,
};
use crate::{
    clock::UnixMs,
    ids::{DeviceId, GroupId, LogId, Seq},
};

/// Logs with news named at sign-in.
const NEWS_MAX: usize = 256;
/// How coarse `last_seen` is.
const LAST_SEEN_MS: u64 = 60 * 60 * 1000;

impl Store {
    /// Notes the incarnation of the device's own store (0: not stated), repairs lost acknowledgements, and says what
    /// there is to read. The answer counts acknowledgements that are not durable yet.
    pub fn sign_in(
        &self,
        device: DeviceId,
        incarnation: u64,
        positions: Vec<(LogId, Seq)>,
        now: UnixMs,
    ) -> impl Future<Output = Result<SignInOutcome, StoreError>> + Send + use<> {
        let entered = self.relieve(move |txn| txn.enter(device, incarnation, &positions, now));
        let store = self.clone();
        async move {
            match entered.await? {
                Entered::Yes => {}
                Entered::RolledBack => return Ok(SignInOutcome::RolledBack),
                Entered::Refused => return Ok(SignInOutcome::Refused),
            }
            let mut signed_in = store.read_entries(move |db, places| signed_in(db, places, device)).await?;
            for position in &mut signed_in.news {
                position.cursor = store.0.pending.at_least(device, position.log, position.cursor).min(position.head);
            }
            signed_in.news.retain(|position| position.cursor < position.head);
            signed_in.news.truncate(NEWS_MAX);
            Ok(SignInOutcome::SignedIn(signed_in))
        }
    }

    /// The groups whose log the device may read now. Asked before [`Store::sign_in`], so that what is stored behind that
    /// snapshot wakes whoever was subscribed to them.
    pub fn readable_groups(&self, device: DeviceId) -> impl Future<Output = Result<Vec<GroupId>, StoreError>> + Send + use<> {
        self.read(move |db| match known::device(db, device)? {
            Some(device) => readable_groups(db, device.no),
            None => Ok(Vec::new()),
        })
    }
}

/// Whether a device may sign in.
enum Entered {
    Yes,
    /// Its store went back in time.
    RolledBack,
    /// It is revoked, or its account is disabled.
    Refused,
}

impl Txn<'_> {
    fn enter(&mut self, id: DeviceId, incarnation: u64, positions: &[(LogId, Seq)], now: UnixMs) -> Sql<Entered> {
        let sql = "SELECT device_no, incarnation, last_seen FROM devices JOIN accounts USING (account_no)
             WHERE device_id = ?1 AND devices.state = 1 AND enabled = 1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, uint(row, 1)?, uint(row, 2)?));
        let found: Option<(i64, u64, UnixMs)> = self.db.prepare_cached(sql)?.query_one([id], row).optional()?;
        let Some((device_no, known, last_seen)) = found else { return Ok(Entered::Refused) };
        if incarnation != 0 && incarnation < known {
            return Ok(Entered::RolledBack);
        }
        if incarnation > known || now >= last_seen.saturating_add(LAST_SEEN_MS) {
            self.db
                .prepare_cached("UPDATE devices SET incarnation = ?2, last_seen = max(last_seen, ?3) WHERE device_no = ?1")?
                .execute(params![device_no, U(incarnation.max(known)), U(now)])?;
        }
        for (log, seq) in positions {
            self.acknowledge(id, *log, *seq, &mut Vec::new())?;
        }
        Ok(Entered::Yes)
    }
}

fn signed_in(db: &Connection, places: &Places, id: DeviceId) -> Sql<SignedIn> {
    let Some(device) = known::device(db, id)? else {
        return Ok(SignedIn { stock: Stock::default(), news: Vec::new(), groups: Vec::new() });
    };
    let stock = key_packages::stock(db, device.no)?;
    let groups = readable_groups(db, device.no)?;
    // Twice the number: the newest acknowledgements, which only memory knows, may take some away.
    let logs: Vec<(i64, LogId)> = db
        .prepare_cached(
            "SELECT DISTINCT log_no, kind, owner FROM windows JOIN logs USING (log_no)
             WHERE device_no = ?1 AND state < 2 AND welcome_seq IS NULL AND cursor < coalesce(leave_seq, next_seq - 1)
             ORDER BY kind DESC, log_no LIMIT ?2",
        )?
        .query_map(params![device.no, U(2 * NEWS_MAX as u64)], |row| Ok((row.get(0)?, log_id(row, 1, 2)?)))?
        .collect::<Sql<_>>()?;
    let mut news = Vec::new();
    for (log_no, log) in logs {
        news.extend(position(db, places, log, log_no, device.no)?.filter(|position| position.cursor < position.head));
    }
    Ok(SignedIn { stock, news, groups })
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
