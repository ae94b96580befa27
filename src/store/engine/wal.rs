//! The write-ahead log's length. Only the writer checkpoints: passively as it grows, to the end when idle.

use rusqlite::Connection;

use crate::store::values::Sql;

/// Estimated bytes between two looks at the real length.
const LOOK_BYTES: usize = 1 << 20;
/// What a job writes besides its bodies: a few pages, most of them shared with its batch.
const JOB_BYTES: usize = 4096;
/// A passive checkpoint is due.
const PASSIVE_BYTES: i64 = 16 << 20;
/// Nothing that grows is taken any more: some reader keeps the log from being reused.
const REFUSE_BYTES: i64 = 48 << 20;

/// What is known of the write-ahead log.
pub(super) struct Wal {
    /// Of the database, whoever made it.
    page_bytes: i64,
    since_look: usize,
    /// That are not in the database file yet.
    bytes: i64,
    dirty: bool,
}

impl Wal {
    /// Of a database with such pages.
    pub(super) fn new(page_bytes: i64) -> Self {
        Self { page_bytes, since_look: 0, bytes: 0, dirty: false }
    }

    /// Notes a committed batch, and checkpoints if one is due.
    pub(super) fn committed(&mut self, db: &Connection, jobs: usize, bytes: usize) -> Sql<()> {
        self.dirty = true;
        self.since_look += jobs * JOB_BYTES + bytes;
        if self.since_look < LOOK_BYTES && !self.is_too_long() {
            return Ok(());
        }
        self.since_look = 0;
        self.bytes = self.checkpoint(db, "PRAGMA wal_checkpoint(noop)")?;
        if self.bytes >= PASSIVE_BYTES {
            // A log that was copied to its end is written again from its start.
            self.bytes = self.checkpoint(db, "PRAGMA wal_checkpoint(passive)")?;
        }
        Ok(())
    }

    /// Above the length at which sends are refused.
    pub(super) fn is_too_long(&self) -> bool {
        self.bytes >= REFUSE_BYTES
    }

    /// Something was written since the last time the log was emptied.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Empties the log, unless a reader is in it. For quiet moments.
    pub(super) fn empty(&mut self, db: &Connection) -> Sql<()> {
        self.dirty = false;
        self.since_look = 0;
        self.bytes = self.checkpoint(db, "PRAGMA wal_checkpoint(truncate)")?;
        Ok(())
    }

    /// Bytes of the log that are not in the database file yet, after the attempt.
    fn checkpoint(&self, db: &Connection, statement: &str) -> Sql<i64> {
        let pages = db.prepare_cached(statement)?.query_one([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))?;
        Ok(pages * self.page_bytes)
    }
}
