//! What operators and administrators did: rows that nothing here deletes.

use data_encoding::HEXLOWER;
use rusqlite::params;

use super::{
    engine::Txn,
    values::{Sql, U},
};
use crate::clock::UnixMs;

impl Txn<'_> {
    /// Notes a change in the same transaction. `target` is an id or the start of a hash, never a secret or a name.
    pub(super) fn audit(&mut self, what: &str, target: &[u8], now: UnixMs) -> Sql<()> {
        self.db
            .prepare_cached("INSERT INTO audit (time, actor, what, target) VALUES (?1, 'operator', ?2, ?3)")?
            .execute(params![U(now), what, HEXLOWER.encode(target)])?;
        Ok(())
    }
}
