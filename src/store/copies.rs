//! Copies of the store: made while it runs, and looked at before anybody trusts them.

use std::{collections::BTreeMap, path::Path, sync::PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    Store, connection,
    engine::{self, Order},
    lock::OpenError,
    migrate,
    types::{CopyState, Inspection, StoreError},
    values::{Sql, uint},
};

/// What an integrity check says of a sound database.
const SOUND: &str = "ok";

impl Store {
    /// Copies the database to a file of mode 0600 in an existing directory, beside the ordinary work; gives the progress.
    /// For the target of the copy that is on its way, or was the last one, gives that one's. At most one runs.
    pub fn copy_to(&self, target: &Path) -> Result<watch::Receiver<CopyState>, StoreError> {
        let mut copying = self.0.copying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, state)) = &*copying {
            let running = matches!(*state.borrow(), CopyState::Running { .. }) && state.has_changed().is_ok();
            if before == target && (running || matches!(*state.borrow(), CopyState::Complete(_))) {
                return Ok(state.clone());
            }
            if running {
                return Err(StoreError::Busy);
            }
        }
        let (told, state) = watch::channel(CopyState::Running { pages: 0, left: 0 });
        self.0.writer.copy(Order { target: target.to_owned(), told })?;
        *copying = Some((target.to_owned(), state.clone()));
        Ok(state)
    }

    /// Forgets the last copy: the next one to the same target is made anew.
    pub fn forget_copy(&self) {
        *self.0.copying.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Looks through a database that nobody has open: whose it is, its version, its integrity, its rows. Errors name what is
/// wrong. Writes nothing.
pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    let schema = migrate::version(path)?;
    let db = connection::probe(path)?;
    check(&db, "integrity_check")?;
    let loose: i64 = db.query_one("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
    if loose > 0 {
        return Err(OpenError::Engine(format!("{loose} rows refer to rows that are not there")));
    }
    let generation = db.query_one("SELECT store_generation FROM meta", [], |row| uint(row, 0))?;
    Ok(Inspection { schema, generation, counts: engine::counts(&db)?, rows: rows(&db)? })
}

/// Runs an integrity check of the engine's.
pub(super) fn check(db: &Connection, pragma: &str) -> Result<(), OpenError> {
    let said: Vec<String> = db.prepare(&format!("PRAGMA {pragma}(8)"))?.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    if said == [SOUND] { Ok(()) } else { Err(OpenError::Engine(format!("the file is damaged: {}", said.join("; ")))) }
}

fn rows(db: &Connection) -> Sql<BTreeMap<String, u64>> {
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |row| row.get(0))?
        .collect::<Sql<_>>()?;
    let count = |table: String| {
        let rows = db.query_one(&format!("SELECT count(*) FROM \"{table}\""), [], |row| uint(row, 0))?;
        Ok((table, rows))
    };
    tables.into_iter().map(count).collect()
}
