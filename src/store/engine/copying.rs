//! A copy of the database while it is written to: steps between transactions, on the connection that writes.

use std::path::PathBuf;

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use tokio::sync::watch;

use crate::store::{
    lock::private,
    types::{CopyCounts, CopyState},
    values::{Sql, uint},
};

/// Pages copied between two batches: about a millisecond of the writer.
const PAGES_PER_STEP: i32 = 256;

/// A copy that somebody wants.
pub(in crate::store) struct Order {
    /// The file to write; its directory exists.
    pub(in crate::store) target: PathBuf,
    /// Told of the progress and of the end.
    pub(in crate::store) told: watch::Sender<CopyState>,
}

impl Order {
    /// An empty database in the target's place, which nobody else can read.
    pub(super) fn target(&self) -> Sql<Connection> {
        let unusable = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        private(&self.target).and_then(|file| file.set_len(0)).map_err(unusable)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let target = Connection::open_with_flags(&self.target, flags)?;
        // A copy that was interrupted is worth nothing; a whole one is synced at the end.
        target.pragma_update(None, "synchronous", "off")?;
        Ok(target)
    }

    /// Copies some pages; whether those were the last.
    pub(super) fn step(&self, copying: &Backup<'_, '_>) -> Sql<bool> {
        let complete = copying.step(PAGES_PER_STEP)? == StepResult::Done;
        let progress = copying.progress();
        let pages = |pages: i32| u64::try_from(pages).unwrap_or(0);
        self.told.send_replace(CopyState::Running { pages: pages(progress.pagecount), left: pages(progress.remaining) });
        Ok(complete)
    }

    /// Makes the copy a file of its own, durable.
    pub(super) fn complete(&self, target: Connection, counts: CopyCounts) -> Sql<()> {
        // The original's mode came with its first page; a copy that needs no write-ahead log is one file.
        target.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0))?;
        target.close().map_err(|(_, error)| error)?;
        let synced = private(&self.target).and_then(|file| file.sync_all());
        synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        self.told.send_replace(CopyState::Complete(counts));
        Ok(())
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) {
        tracing::warn!(%error, "a copy of the database failed");
        self.told.send_replace(CopyState::Failed(error.to_string()));
    }

    /// One copy at a time.
    pub(super) fn refuse(self) {
        self.told.send_replace(CopyState::Failed("another copy is being made".to_owned()));
    }
}

/// What a copy is compared with.
pub(in crate::store) fn counts(db: &Connection) -> Sql<CopyCounts> {
    let number = |sql: &str| db.query_one(sql, [], |row| uint(row, 0));
    Ok(CopyCounts {
        accounts: number("SELECT count(*) FROM accounts")?,
        devices: number("SELECT count(*) FROM devices")?,
        groups: number("SELECT count(*) FROM groups")?,
        logs: number("SELECT count(*) FROM logs")?,
        entries_ever: number("SELECT coalesce(sum(next_seq - 1), 0) FROM logs")?,
    })
}
