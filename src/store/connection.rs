//! Connections to the database, with the settings that durability and hostile files ask for.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::values::Sql;

/// "Svgn": says whose file this is.
pub(super) const APPLICATION_ID: i32 = 0x5376_676e;

/// Bytes of a page of a new database. Messages are large and stand one behind the other: fewer pages are fewer writes.
pub(super) const PAGE_BYTES: i64 = 8192;

/// Distinct statements of the hot paths, kept prepared.
const STATEMENTS: usize = 192;

/// The one connection that writes and checkpoints.
pub(super) fn writer(path: &Path) -> Sql<Connection> {
    let db = open(path)?;
    db.pragma_update(None, "cache_size", -16_384)?;
    // Nobody else writes; only emptying the write-ahead log ever waits, for readers, and may as well be done later.
    db.busy_timeout(Duration::from_millis(100))?;
    Ok(db)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Sql<Connection> {
    let db = open(path)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -2048)?;
    Ok(db)
}

/// A connection that looks at a file that may be anybody's, and leaves it as it is.
pub(super) fn probe(path: &Path) -> Sql<Connection> {
    let db = Connection::open_with_flags(path, flags())?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

fn open(path: &Path) -> Sql<Connection> {
    let db = Connection::open_with_flags(path, flags())?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    // A statement keeps its plan. Otherwise many are prepared again whenever a parameter changes, which costs more than to
    // execute them.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Of no effect on a database that holds something.
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Nor by closing: the writer checkpoints when it means to, and never after a sync has failed.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

/// Every connection stays on one thread; the file exists before it is opened, so that its mode is ours.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_keeps_its_plan_whatever_its_parameters() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("database");
        std::fs::File::create(&path).expect("a file");
        let db = open(&path).expect("a database");
        db.execute_batch("CREATE TABLE t (a, b); CREATE INDEX some ON t (b) WHERE a = 7").expect("a table");
        let mut statement = db.prepare("SELECT b FROM t WHERE a = ?1 LIMIT ?2").expect("a statement");
        for number in 0..8 {
            statement.exists([number, number]).expect("executed");
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn the_database_is_built_as_configured() {
        let db = Connection::open_in_memory().expect("a database");
        let options: Vec<String> = db
            .prepare("PRAGMA compile_options")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .expect("options");
        assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}: .cargo/config.toml was not read");
    }
}
