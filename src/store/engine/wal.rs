//! The write-ahead log's length. Only the writer checkpoints: passively as it grows, to the end when idle.

use rusqlite::Connection;

use crate::{
    limits::{WAL_ALL_REFUSED, WAL_GROWTH_REFUSED, WAL_PASSIVE, WAL_RESTART},
    store::values::Sql,
};

/// Estimated bytes between two looks at the real length.
const LOOK_BYTES: usize = 1 << 20;
/// What a job writes besides its bodies: a few pages, most of them shared with its batch.
const JOB_BYTES: usize = 4096;

/// What is known of the write-ahead log.
pub(super) struct Wal {
    /// Of the database, whoever made it.
    page_bytes: i64,
    since_look: usize,
    /// Bytes of it that are in use.
    length: u64,
    dirty: bool,
}

/// What a checkpoint left: bytes of the log, and how many of them are in the database file.
struct Left {
    all: u64,
    copied: u64,
}

impl Wal {
    /// Of a database with such pages.
    pub(super) fn new(page_bytes: i64) -> Self {
        Self { page_bytes, since_look: 0, length: 0, dirty: false }
    }

    /// Notes a committed batch, and checkpoints if one is due. `narrow`: there is little room, so sooner.
    pub(super) fn committed(&mut self, db: &Connection, jobs: usize, bytes: usize, narrow: bool) -> Sql<()> {
        self.dirty = true;
        self.since_look += jobs * JOB_BYTES + bytes;
        if self.since_look < LOOK_BYTES && !self.refuses_growth() {
            return Ok(());
        }
        self.since_look = 0;
        self.length = self.checkpoint(db, "PRAGMA wal_checkpoint(noop)")?.all;
        if self.length >= if narrow { LOOK_BYTES as u64 } else { WAL_PASSIVE } {
            let left = self.checkpoint(db, "PRAGMA wal_checkpoint(passive)")?;
            self.length = left.all;
            // Copied to its end, it is written again from its start, unless some reader is still in it; and there is
            // always one where many read. Those wait for a moment then, or it would grow for ever.
            if self.length >= WAL_RESTART {
                self.restart(db)?;
            } else if left.all == left.copied {
                self.length = 0;
            }
        }
        Ok(())
    }

    /// Above the length at which what grows is refused: some reader keeps the log from being reused.
    pub(super) fn refuses_growth(&self) -> bool {
        self.length >= WAL_GROWTH_REFUSED
    }

    /// Above the length at which everything is.
    pub(super) fn refuses_all(&self) -> bool {
        self.length >= WAL_ALL_REFUSED
    }

    /// Something was written since the last time the log was emptied.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Empties the log, unless a reader is in it. For quiet moments.
    pub(super) fn empty(&mut self, db: &Connection) -> Sql<()> {
        self.dirty = false;
        self.since_look = 0;
        self.length = self.checkpoint(db, "PRAGMA wal_checkpoint(truncate)")?.all;
        Ok(())
    }

    fn restart(&mut self, db: &Connection) -> Sql<()> {
        let busy: i64 = db.prepare_cached("PRAGMA wal_checkpoint(restart)")?.query_one([], |row| row.get(0))?;
        if busy == 0 {
            self.length = 0;
        }
        Ok(())
    }

    fn checkpoint(&self, db: &Connection, statement: &str) -> Sql<Left> {
        let bytes = |pages: i64| u64::try_from(pages.saturating_mul(self.page_bytes)).unwrap_or(0);
        db.prepare_cached(statement)?.query_one([], |row| Ok(Left { all: bytes(row.get(1)?), copied: bytes(row.get(2)?) }))
    }
}
