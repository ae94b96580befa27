//! A look at a store's database from outside, whether a server runs on it or not. Writes nothing.

use std::path::Path;

use rusqlite::Connection;

use super::{
    connection, copies,
    lock::OpenError,
    migrate, overview,
    types::Census,
    values::{Sql, uint},
};
use crate::clock::UnixMs;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The version of its schema.
    pub schema: u32,
    /// The newest version this binary knows.
    pub known: u32,
    /// What an integrity check found; `None`: nothing, or nobody looked.
    pub damage: Option<String>,
    /// When the newest entry was stored; 0: there is none.
    pub newest_ms: UnixMs,
    /// In numbers; `None` where the schema is older than this binary's.
    pub census: Option<Census>,
}

/// How closely the pages of the file are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Not at all.
    Rows,
    /// Every page, without comparing indexes with their tables.
    Pages,
    /// Everything. Takes a while, in which the write-ahead log of a running server grows.
    Everything,
}

/// Looks at the database of a data directory. `key_packages_low` is the stock below which a device counts as low.
pub fn examine(path: &Path, depth: Depth, key_packages_low: u32) -> Result<Examination, OpenError> {
    let schema = migrate::version(path)?;
    let db = connection::probe(path)?;
    let checked = match depth {
        Depth::Rows => Ok(()),
        Depth::Pages => copies::check(&db, "quick_check"),
        Depth::Everything => copies::check(&db, "integrity_check"),
    };
    let newest_ms = if schema == 0 { 0 } else { newest(&db, schema)? };
    let census = if schema == migrate::KNOWN { Some(overview::census(&db, key_packages_low)?) } else { None };
    Ok(Examination { schema, known: migrate::KNOWN, damage: checked.err().map(|error| error.to_string()), newest_ms, census })
}

/// The first schema in which entries are numbered in the order they came.
const IN_ORDER_OF_ARRIVAL: u32 = 11;

/// Looks at the newest entry; in older schemas, at that of each log.
fn newest(db: &Connection, schema: u32) -> Sql<UnixMs> {
    let sql = if schema < IN_ORDER_OF_ARRIVAL {
        "SELECT coalesce(max((SELECT time FROM entries WHERE id = (log_no << 40) | (next_seq - 1))), 0) FROM logs"
    } else {
        "SELECT coalesce((SELECT time FROM entries ORDER BY entry_no DESC LIMIT 1), 0)"
    };
    db.query_one(sql, [], |row| uint(row, 0))
}
