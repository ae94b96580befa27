//! Typed rows and lists inside one transaction.

use data_encoding::BASE64_NOPAD;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    VaultError,
    seal::{Place, Seal},
};

/// What a row holds. The number is authenticated with the row and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Space {
    /// Counters and marks of the vault itself.
    Meta = 1,
    /// The one account record.
    Account = 2,
    /// openmls's entities.
    Mls = 3,
    /// Pinned accounts, by account id.
    Peer = 4,
    /// Account ids by username.
    Name = 5,
    /// Group ids by direct key.
    Direct = 6,
    /// Groups, by group id.
    Group = 7,
    /// Cursors and running hashes, by log.
    Log = 8,
    /// The commit bundle on its way, by group.
    Bundle = 9,
    /// A Welcome that waits for an earlier window to drain, by group.
    Parked = 10,
    /// The last counter of a sender, by group and device.
    Counter = 11,
    /// How far others have got, by group.
    Receipt = 18,
    /// How far this account has read, by group.
    Read = 19,
    /// How the account stands to others, by account id.
    Contact = 16,
    /// List by group: running hashes of the last entries, position = seq.
    Chain = 32,
    /// List by group: proposals of the current epoch.
    Proposal = 33,
    /// List by group: messages not yet accepted.
    Outbox = 34,
    /// List by group: commits not yet made.
    Intent = 35,
    /// List by group: what was said, position = seq.
    History = 36,
    /// One list: what the listener has to print, position = local number.
    Inbox = 37,
}

/// Bytes in a record, as text of a third more instead of JSON's four times.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

/// The vault inside one transaction.
pub(crate) struct Tx<'a> {
    transaction: &'a Transaction<'a>,
    seal: &'a Seal,
}

impl<'a> Tx<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, seal: &'a Seal) -> Self {
        Self { transaction, seal }
    }

    /// The record under `key`.
    pub(crate) fn get<T: DeserializeOwned>(&self, space: Space, key: &[u8]) -> Result<Option<T>, VaultError> {
        self.get_bytes(space, key)?.map(|bytes| parse(&bytes)).transpose()
    }

    /// Writes the record under `key`.
    pub(crate) fn put<T: Serialize>(&self, space: Space, key: &[u8], value: &T) -> Result<(), VaultError> {
        self.put_bytes(space, key, &form(value)?)
    }

    /// The bytes under `key`.
    pub(crate) fn get_bytes(&self, space: Space, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let place = self.place(space, key, 0);
        let mut statement = self.transaction.prepare_cached("SELECT value FROM row WHERE space = ?1 AND name = ?2")?;
        let row: Option<Vec<u8>> = statement.query_row(params![place.space, place.name], |row| row.get(0)).optional()?;
        row.map(|row| self.seal.open(place, &row)).transpose()
    }

    /// Writes the bytes under `key`.
    pub(crate) fn put_bytes(&self, space: Space, key: &[u8], bytes: &[u8]) -> Result<(), VaultError> {
        let place = self.place(space, key, 0);
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO row (space, name, value) VALUES (?1, ?2, ?3) ON CONFLICT (space, name) DO UPDATE SET value = excluded.value",
        )?;
        statement.execute(params![place.space, place.name, self.seal.seal(place, bytes)])?;
        Ok(())
    }

    /// Removes what stands under `key`, if anything does.
    pub(crate) fn remove(&self, space: Space, key: &[u8]) -> Result<(), VaultError> {
        let place = self.place(space, key, 0);
        let mut statement = self.transaction.prepare_cached("DELETE FROM row WHERE space = ?1 AND name = ?2")?;
        statement.execute(params![place.space, place.name])?;
        Ok(())
    }

    /// Every record of a space, in no order.
    pub(crate) fn all<T: DeserializeOwned>(&self, space: Space) -> Result<Vec<T>, VaultError> {
        let mut statement = self.transaction.prepare_cached("SELECT name, value FROM row WHERE space = ?1")?;
        let rows =
            statement.query_map(params![space as u8], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (name, value) = row?;
            parse(&self.seal.open(Place { space: space as u8, name, position: 0 }, &value)?)
        })
        .collect()
    }

    /// Appends to a list and tells the position, one behind the last.
    pub(crate) fn push<T: Serialize>(&self, space: Space, parent: &[u8], value: &T) -> Result<u64, VaultError> {
        let name = self.seal.name(space as u8, parent);
        let mut statement = self
            .transaction
            .prepare_cached("SELECT COALESCE(MAX(position), 0) + 1 FROM item WHERE space = ?1 AND parent = ?2")?;
        let position: i64 = statement.query_row(params![space as u8, name], |row| row.get(0))?;
        let position = position.cast_unsigned();
        self.set(space, parent, position, value)?;
        Ok(position)
    }

    /// Writes a list's item at a position.
    pub(crate) fn set<T: Serialize>(&self, space: Space, parent: &[u8], position: u64, value: &T) -> Result<(), VaultError> {
        let place = self.place(space, parent, position);
        let mut statement = self.transaction.prepare_cached(
            "INSERT INTO item (space, parent, position, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (space, parent, position) DO UPDATE SET value = excluded.value",
        )?;
        let row = self.seal.seal(place, &form(value)?);
        statement.execute(params![place.space, place.name, position.cast_signed(), row])?;
        Ok(())
    }

    /// A list's item.
    pub(crate) fn item<T: DeserializeOwned>(&self, space: Space, parent: &[u8], position: u64) -> Result<Option<T>, VaultError> {
        let place = self.place(space, parent, position);
        let mut statement =
            self.transaction.prepare_cached("SELECT value FROM item WHERE space = ?1 AND parent = ?2 AND position = ?3")?;
        let row: Option<Vec<u8>> =
            statement.query_row(params![place.space, place.name, position.cast_signed()], |row| row.get(0)).optional()?;
        row.map(|row| parse(&self.seal.open(place, &row)?)).transpose()
    }

    /// At most `limit` items behind position `after`, ascending.
    pub(crate) fn items<T: DeserializeOwned>(
        &self,
        space: Space,
        parent: &[u8],
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, VaultError> {
        let sql =
            "SELECT position, value FROM item WHERE space = ?1 AND parent = ?2 AND position > ?3 ORDER BY position LIMIT ?4";
        self.list(sql, space, parent, after, limit)
    }

    /// The last `limit` items before position `before`, ascending.
    pub(crate) fn last<T: DeserializeOwned>(
        &self,
        space: Space,
        parent: &[u8],
        before: u64,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, VaultError> {
        let sql =
            "SELECT position, value FROM item WHERE space = ?1 AND parent = ?2 AND position < ?3 ORDER BY position DESC LIMIT ?4";
        let before = before.min(i64::MAX.cast_unsigned());
        let mut items = self.list(sql, space, parent, before, limit)?;
        items.reverse();
        Ok(items)
    }

    /// How many items a list has.
    pub(crate) fn count(&self, space: Space, parent: &[u8]) -> Result<usize, VaultError> {
        let name = self.seal.name(space as u8, parent);
        let mut statement = self.transaction.prepare_cached("SELECT COUNT(*) FROM item WHERE space = ?1 AND parent = ?2")?;
        let count: i64 = statement.query_row(params![space as u8, name], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Removes one item.
    pub(crate) fn take_out(&self, space: Space, parent: &[u8], position: u64) -> Result<(), VaultError> {
        let name = self.seal.name(space as u8, parent);
        let mut statement =
            self.transaction.prepare_cached("DELETE FROM item WHERE space = ?1 AND parent = ?2 AND position = ?3")?;
        statement.execute(params![space as u8, name, position.cast_signed()])?;
        Ok(())
    }

    /// Removes the items up to and with `position`.
    pub(crate) fn trim(&self, space: Space, parent: &[u8], position: u64) -> Result<(), VaultError> {
        let name = self.seal.name(space as u8, parent);
        let mut statement =
            self.transaction.prepare_cached("DELETE FROM item WHERE space = ?1 AND parent = ?2 AND position <= ?3")?;
        statement.execute(params![space as u8, name, i64::try_from(position).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    fn list<T: DeserializeOwned>(
        &self,
        sql: &str,
        space: Space,
        parent: &[u8],
        bound: u64,
        limit: usize,
    ) -> Result<Vec<(u64, T)>, VaultError> {
        let name = self.seal.name(space as u8, parent);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.transaction.prepare_cached(sql)?;
        let rows = statement.query_map(params![space as u8, name, bound.cast_signed(), limit], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Vec<u8>>(1)?))
        })?;
        rows.map(|row| {
            let (position, value) = row?;
            Ok((position, parse(&self.seal.open(Place { space: space as u8, name, position }, &value)?)?))
        })
        .collect()
    }

    fn place(&self, space: Space, key: &[u8], position: u64) -> Place {
        Place { space: space as u8, name: self.seal.name(space as u8, key), position }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(bytes).map_err(|error| VaultError::Form(error.classify_name()))
}

fn form<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|error| VaultError::Form(error.classify_name()))
}

/// serde's messages may quote content, which may be secret: only the class of the error is told.
trait ClassName {
    fn classify_name(&self) -> String;
}

impl ClassName for serde_json::Error {
    fn classify_name(&self) -> String {
        format!("{:?} error", self.classify())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_NOPAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_NOPAD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
