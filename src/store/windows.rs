//! Windows: which part of a log a device may read, and how far it has got.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    engine::Txn,
    known::stored_head,
    types::Hash,
    values::{Blob, Sql, U, uint},
};
use crate::ids::Seq;

/// A window that is open or draining.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) no: i64,
    pub(super) join_seq: Seq,
    pub(super) join_hash: Hash,
    /// The end and the running hash there; `None` while the device is a leaf.
    pub(super) left: Option<(Seq, Hash)>,
    pub(super) cursor: Seq,
    /// Nothing flows before its Welcome was acknowledged.
    pub(super) welcomed: bool,
}

impl Window {
    /// The newest seq the device may read and the running hash there, in a log that ends as given.
    pub(super) fn end(&self, head: (Seq, Hash)) -> (Seq, Hash) {
        self.left.unwrap_or(head)
    }
}

/// The windows of a device on a log that are not revoked, oldest first. Those that drained are gone.
pub(super) fn all(db: &Connection, log_no: i64, device_no: i64) -> Sql<Vec<Window>> {
    db.prepare_cached(
        "SELECT window_no, join_seq, join_hash, leave_seq, leave_hash, cursor, welcome_seq IS NULL FROM windows
         WHERE log_no = ?1 AND device_no = ?2 AND state < 2 ORDER BY join_seq",
    )?
    .query_map([log_no, device_no], window)?
    .collect()
}

/// The window that flows now: the oldest, if its Welcome was acknowledged. With it, where it ends.
pub(super) fn readable(db: &Connection, log_no: i64, device_no: i64) -> Sql<Option<(Window, (Seq, Hash))>> {
    let window = db
        .prepare_cached(
            "SELECT window_no, join_seq, join_hash, leave_seq, leave_hash, cursor, welcome_seq IS NULL FROM windows
             WHERE log_no = ?1 AND device_no = ?2 AND state < 2 ORDER BY join_seq LIMIT 1",
        )?
        .query_one([log_no, device_no], window)
        .optional()?;
    match window {
        Some(window) if window.welcomed => {
            let head = if window.left.is_some() { (0, [0; 32]) } else { stored_head(db, log_no)? };
            Ok(Some((window, window.end(head))))
        }
        _ => Ok(None),
    }
}

impl Txn<'_> {
    /// Opens a window behind `join_seq`; nothing flows before the device acknowledged `welcome_seq` of its own log.
    pub(super) fn open_window(&mut self, log_no: i64, device_no: i64, join: (Seq, Hash), welcome_seq: Option<Seq>) -> Sql<()> {
        self.db
            .prepare_cached(
                "INSERT INTO windows (log_no, device_no, join_seq, join_hash, cursor, welcome_seq) VALUES (?1, ?2, ?3, ?4, ?3, ?5)",
            )?
            .execute(params![log_no, device_no, U(join.0), Blob(join.1), welcome_seq.map(U)])?;
        Ok(())
    }
}

fn window(row: &Row<'_>) -> Sql<Window> {
    let left = match row.get::<_, Option<U>>(3)? {
        Some(seq) => Some((seq.0, row.get(4)?)),
        None => None,
    };
    Ok(Window {
        no: row.get(0)?,
        join_seq: uint(row, 1)?,
        join_hash: row.get(2)?,
        left,
        cursor: uint(row, 5)?,
        welcomed: row.get(6)?,
    })
}
