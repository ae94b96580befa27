//! The two tables and how they come to be. Migrations go forward only; `user_version` counts them.

use rusqlite::{Connection, TransactionBehavior};

use super::{OpenError, VaultError};

/// One idea each. Never edited once released.
const MIGRATIONS: &[&str] = &[
    // 1: single rows by name, and lists by (parent, position). Values are sealed, names are keyed hashes.
    "CREATE TABLE row (space INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, UNIQUE (space, name)) STRICT;
     CREATE TABLE item (space INTEGER NOT NULL, parent BLOB NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL,
                        UNIQUE (space, parent, position)) STRICT;",
];

/// `Sovr` as a number: the file says what it is.
const APPLICATION_ID: i64 = 0x536f_7672;

/// Sets the connection up and brings the schema to this program's version.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), OpenError> {
    settings(connection).map_err(VaultError::Database)?;
    let version = user_version(connection)?;
    if version > MIGRATIONS.len() {
        return Err(OpenError::Newer);
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        migrate(connection, index + 1, migration).map_err(VaultError::Database)?;
    }
    Ok(())
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn user_version(connection: &Connection) -> Result<usize, VaultError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_| VaultError::Form("schema version".to_owned()))
}

fn migrate(connection: &mut Connection, version: usize, statements: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(statements)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(version).unwrap_or(i64::MAX))?;
    transaction.commit()
}
