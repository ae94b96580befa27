//! How identifiers and numbers stand in columns.

use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use super::types::{DeviceState, Hash, Relation};
use crate::ids::{AccountId, ClaimId, ClientId, DeviceId, GroupId, LogId};

/// What a verb inside a transaction or a snapshot gives: its answer, or an error of the engine.
pub(super) type Sql<T> = rusqlite::Result<T>;

macro_rules! stored_as_blob {
    ($($id:ty),*) => { $(
        impl ToSql for $id {
            fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(&self.0[..]))
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                FromSql::column_result(value).map(Self)
            }
        }
    )* };
}

stored_as_blob!(AccountId, DeviceId, GroupId, ClientId, ClaimId, Blob);

/// A hash as a parameter or a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Hash);

/// An unsigned number. `SQLite`'s integers are signed: what is above `i64::MAX` is stored as that, which no seq, epoch or
/// time of ours reaches and which compares as it should.
#[derive(Clone, Copy)]
pub(super) struct U(pub(super) u64);

impl ToSql for U {
    fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(int(self.0)))
    }
}

impl FromSql for U {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = i64::column_result(value)?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

impl ToSql for DeviceState {
    fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

impl FromSql for DeviceState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match i64::column_result(value)? {
            0 => Ok(Self::Pending),
            1 => Ok(Self::Active),
            2 => Ok(Self::Revoked),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for Relation {
    fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(*self as i64))
    }
}

impl FromSql for Relation {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match i64::column_result(value)? {
            1 => Ok(Self::Requested),
            2 => Ok(Self::Request),
            3 => Ok(Self::Accepted),
            4 => Ok(Self::Blocked),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// An unsigned number as `SQLite` takes it.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds an unsigned number.
pub(super) fn uint(row: &Row<'_>, column: usize) -> Sql<u64> {
    row.get::<_, U>(column).map(|number| number.0)
}

/// The code of a log's kind and the bytes of its owner.
pub(super) fn owner(log: &LogId) -> (i64, &[u8]) {
    match log {
        LogId::Group(id) => (1, &id.0),
        LogId::Device(id) => (2, &id.0),
    }
}

/// A log as its row names it: kind, then owner.
pub(super) fn log_id(row: &Row<'_>, kind: usize, owner: usize) -> Sql<LogId> {
    match row.get::<_, i64>(kind)? {
        1 => row.get(owner).map(LogId::Group),
        _ => row.get(owner).map(LogId::Device),
    }
}
