//! A look into the store of a server that does not run: what would be there if it started now. The door to rusqlite.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Of the library, which is the one that the server is built with.
pub(crate) fn version() -> &'static str {
    rusqlite::version()
}

/// Where a group's log stands.
pub(crate) struct Stored {
    pub(crate) id: Vec<u8>,
    /// The seq that the next entry gets.
    pub(crate) next: u64,
    pub(crate) epoch: u64,
}

/// How many entries of logs are stored.
pub(crate) fn entries(data: &Path) -> rusqlite::Result<u64> {
    let db = opened(data)?;
    let count = db.query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, i64>(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Every group. Reads the write-ahead log as a starting server does; changes nothing that such a server would not.
pub(crate) fn groups(data: &Path) -> rusqlite::Result<Vec<Stored>> {
    let db = opened(data)?;
    let mut statement = db.prepare("SELECT group_id, next_seq, epoch FROM groups JOIN logs USING (log_no)")?;
    let rows = statement.query_map([], |row| {
        let number = |index| Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0));
        Ok(Stored { id: row.get(0)?, next: number(1)?, epoch: number(2)? })
    })?;
    rows.collect()
}

/// What a restored store has of a group.
pub(crate) struct Kept {
    pub(crate) id: Vec<u8>,
    /// The last seq before those that the restore passed over.
    pub(crate) to: u64,
    /// The seq that the next entry gets.
    pub(crate) next: u64,
    pub(crate) epoch: u64,
}

/// Every group of a store that was restored and has not been served since.
pub(crate) fn kept(data: &Path) -> rusqlite::Result<Vec<Kept>> {
    let db = opened(data)?;
    let sql = "SELECT group_id, (SELECT from_seq - 1 FROM gaps WHERE gaps.log_no = groups.log_no AND to_seq = next_seq - 1),
               next_seq, epoch FROM groups JOIN logs USING (log_no)";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let number = |index| Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0));
        Ok(Kept { id: row.get(0)?, to: number(1)?, next: number(2)?, epoch: number(3)? })
    })?;
    rows.collect()
}

fn opened(data: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(data.join("sovereign.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A checkpoint at closing would spare the server a part of its recovery, which is what is looked at.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}
