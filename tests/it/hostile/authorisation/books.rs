//! The server's books: every row of its database, read beside it.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
};

use rusqlite::{Connection, OpenFlags, types::ValueRef};

use crate::harness::TestServer;

/// Of a place, which is log and seq: somebody has not acknowledged what stands there.
const UNREAD: &str =
    "EXISTS (SELECT 1 FROM windows WHERE windows.log_no = place >> 40 AND windows.cursor < (place & 0xffffffffff))";

/// A connection that reads what the server has committed.
pub struct Books {
    database: Connection,
}

/// All tables at one moment: name and the rows in order, each as text.
#[derive(PartialEq, Eq)]
pub struct Copy(Vec<(String, Vec<String>)>);

impl Books {
    pub fn open(server: &TestServer) -> Self {
        let path = server.data().join("sovereign.db");
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens");
        Self { database }
    }

    pub fn copy(&self) -> Copy {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
        let mut names = self.database.prepare(names).expect("a schema");
        let names: Vec<String> =
            names.query_map([], |row| row.get(0)).expect("tables").collect::<Result<_, _>>().expect("names of tables");
        assert!(names.len() > 20, "the books hold {} tables", names.len());
        Copy(names.into_iter().map(|name| (name.clone(), self.rows(&name))).collect())
    }

    fn rows(&self, table: &str) -> Vec<String> {
        // What every reader has acknowledged is deleted now and then, whatever is asked meanwhile.
        let kept = match table {
            "entries" | "places" => format!("WHERE {UNREAD}"),
            "bodies" => format!("WHERE body_no IN (SELECT body_no FROM entries WHERE {UNREAD})"),
            _ => String::new(),
        };
        let mut rows = self.database.prepare(&format!("SELECT * FROM {table} {kept}")).expect("a table");
        // When somebody was last seen is written some time after they went, whatever is asked meanwhile.
        let columns: Vec<usize> = rows
            .column_names()
            .enumerate()
            .filter(|(_, name)| !["last_seen", "last_there"].contains(name))
            .map(|(at, _)| at)
            .collect();
        let text = |row: &rusqlite::Row<'_>| {
            let value = |column: &usize| row.get_ref(*column).map(short);
            columns.iter().map(value).collect::<Result<Vec<_>, _>>().map(|values| values.join(" | "))
        };
        let mut rows: Vec<String> = rows.query_map([], text).expect("rows").collect::<Result<_, _>>().expect("their values");
        rows.sort_unstable();
        rows
    }
}

impl Copy {
    /// What stands in one of them only.
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for ((table, before), (_, after)) in self.0.iter().zip(&later.0) {
            let gone = before.iter().filter(|row| !after.contains(row)).map(|row| format!("{table}: gone {row}"));
            let come = after.iter().filter(|row| !before.contains(row)).map(|row| format!("{table}: new {row}"));
            told.extend(gone.chain(come));
        }
        told
    }
}

/// A value; long ones by their hash.
fn short(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Blob(bytes) if bytes.len() > 32 => {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            format!("{} bytes #{:x}", bytes.len(), hasher.finish())
        }
        ValueRef::Blob(bytes) => data_encoding::HEXLOWER.encode(bytes),
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
