//! Brings a database to the newest schema: forward only, a copy first, one transaction for each step.

use std::path::Path;

use rusqlite::Connection;

use super::{
    connection::{APPLICATION_ID, probe},
    lock::{DataDir, OpenError, private},
    values::Sql,
};

/// Every migration; the number of one is its place from 1.
const MIGRATIONS: [&str; 12] = [
    include_str!("../../migrations/0001_accounts.sql"),
    include_str!("../../migrations/0002_admission.sql"),
    include_str!("../../migrations/0003_key_packages.sql"),
    include_str!("../../migrations/0004_logs.sql"),
    include_str!("../../migrations/0005_groups.sql"),
    include_str!("../../migrations/0006_presence_and_receipts.sql"),
    include_str!("../../migrations/0007_relations.sql"),
    include_str!("../../migrations/0008_operator.sql"),
    include_str!("../../migrations/0009_lives_and_bounds.sql"),
    include_str!("../../migrations/0010_restores.sql"),
    include_str!("../../migrations/0011_order_of_arrival.sql"),
    include_str!("../../migrations/0012_quotas.sql"),
];

/// The newest schema version.
#[expect(clippy::cast_possible_truncation, reason = "a handful of migrations")]
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// The schema version of the file, after making sure that it is ours and not from the future. Writes nothing to it.
pub(super) fn version(path: &Path) -> Result<u32, OpenError> {
    let db = probe(path)?;
    let found: u32 = pragma(&db, "user_version")?;
    let application: i32 = pragma(&db, "application_id")?;
    let tables: i64 = db.query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, found) {
        (APPLICATION_ID, found) if found > KNOWN => Err(OpenError::Newer { found, known: KNOWN }),
        (APPLICATION_ID, found) => Ok(found),
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(OpenError::Foreign),
    }
}

/// Runs what is missing behind `version`. A database that holds something is copied to `sovereign.db.before-N` first,
/// where N is the first version it is brought to.
pub(super) fn run(db: &mut Connection, directory: &DataDir, version: u32) -> Result<(), OpenError> {
    if version > 0 && version < KNOWN {
        copy(db, directory, version + 1)?;
    }
    steps(db, version, KNOWN)
}

/// Runs the migrations behind `from` up to `to`.
pub(super) fn steps(db: &mut Connection, from: u32, to: u32) -> Result<(), OpenError> {
    for (number, migration) in (1..=to).zip(MIGRATIONS).skip(from as usize) {
        let transaction = db.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// A complete copy under its name, or none: it is written under another name, synced and renamed.
fn copy(db: &Connection, directory: &DataDir, number: u32) -> Result<(), OpenError> {
    let partial = directory.path().join("sovereign.db.before.partial");
    private(&partial)?.set_len(0)?;
    let Some(name) = partial.to_str() else {
        return Err(OpenError::Engine("the data directory's path is not UTF-8".to_owned()));
    };
    db.execute("VACUUM INTO ?1", [name])?;
    private(&partial)?.sync_all()?;
    std::fs::rename(&partial, directory.path().join(format!("sovereign.db.before-{number}")))?;
    directory.sync()?;
    Ok(())
}

fn pragma<T: rusqlite::types::FromSql>(db: &Connection, name: &str) -> Sql<T> {
    db.pragma_query_value(None, name, |row| row.get(0))
}
