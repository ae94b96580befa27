//! The vault: everything a device must remember, in one `SQLite` file of encrypted rows. MLS state, outbox, cursors and
//! messages move in one transaction, so that a crash leaves all of them or none.
//!
//! What the file shows without the key: how many rows there are, their sizes, and numbers of list positions. Row names
//! are keyed hashes. The door to rusqlite.

mod key;
mod lock;
mod mls_storage;
mod schema;
mod seal;
mod table;

use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, TransactionBehavior};
use zeroize::Zeroizing;

pub use self::key::KeyError;
use self::{lock::Lock, seal::Seal};
pub(crate) use self::{
    mls_storage::{Diff, MlsStore},
    table::{Blob, Space, Tx},
};

/// An open vault. Dropping it releases the lock.
pub struct Vault {
    connection: Connection,
    seal: Seal,
    incarnation: u64,
    // Released last: fields drop in order of declaration.
    _lock: Lock,
}

/// Why a vault was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process owns this vault now.
    Owned,
    /// There is no vault in this directory.
    Missing,
    /// There is a vault already where a new one was to be made.
    Exists,
    /// The key file: unreadable, wrong passphrase, none given.
    Key(KeyError),
    /// The vault was written by a newer version of this program.
    Newer,
    /// The directory or a file could not be used.
    Io(PathBuf, io::Error),
    /// The database could not be used.
    Vault(VaultError),
}

/// Why a transaction failed.
#[derive(Debug)]
pub enum VaultError {
    /// The database's answer.
    Database(rusqlite::Error),
    /// A row does not open with this vault's key at this place: damaged or moved.
    Sealed,
    /// A row opened but its content is not of the expected form.
    Form(String),
}

/// The file that holds the rows.
pub const DATABASE_FILE: &str = "vault.db";
/// The file that holds the key of the rows.
pub const KEY_FILE: &str = "vault.key";
/// The file that is locked while a process owns the vault.
pub const LOCK_FILE: &str = "vault.lock";

impl Vault {
    /// Makes a vault in `home`, which is created with mode 0700 if need be. With a passphrase its key is wrapped.
    pub fn create(home: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<Self, OpenError> {
        prepare_home(home)?;
        let lock = Lock::take(&home.join(LOCK_FILE))?;
        if home.join(DATABASE_FILE).exists() {
            return Err(OpenError::Exists);
        }
        let key = key::create(&home.join(KEY_FILE), passphrase)?;
        Self::start(home, &key, lock)
    }

    /// Opens the vault in `home` and raises its incarnation.
    pub fn open(home: &Path, passphrase: Option<&Zeroizing<String>>) -> Result<Self, OpenError> {
        if !home.join(DATABASE_FILE).exists() {
            return Err(OpenError::Missing);
        }
        let lock = Lock::take(&home.join(LOCK_FILE))?;
        let key = key::read(&home.join(KEY_FILE), passphrase).map_err(OpenError::Key)?;
        Self::start(home, &key, lock)
    }

    /// How often this vault was opened: told to the server at sign-in, which notices a vault put back from a copy.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Runs `work` in one transaction: durable when it returns `Ok`, without a trace when it returns `Err`.
    pub(crate) fn transaction<T, E: From<VaultError>>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let database = |error| E::from(VaultError::Database(error));
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
        let value = work(&Tx::new(&transaction, &self.seal))?;
        transaction.commit().map_err(database)?;
        Ok(value)
    }

    fn start(home: &Path, key: &Zeroizing<[u8; 32]>, lock: Lock) -> Result<Self, OpenError> {
        let path = home.join(DATABASE_FILE);
        // SQLite would make it 0644; made here first, its -wal and -shm take the same mode.
        if !path.exists() {
            key::private_file(&path, true).map_err(|error| OpenError::Io(path.clone(), error))?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|error| OpenError::Io(path.clone(), error))?;
        let mut connection = Connection::open(&path).map_err(|error| OpenError::Vault(VaultError::Database(error)))?;
        schema::prepare(&mut connection)?;
        let mut vault = Self { connection, seal: Seal::new(key), incarnation: 0, _lock: lock };
        vault.incarnation = vault.transaction(|tx| {
            let next = tx.get::<u64>(Space::Meta, b"incarnation")?.unwrap_or(0) + 1;
            tx.put(Space::Meta, b"incarnation", &next)?;
            Ok::<_, VaultError>(next)
        })?;
        Ok(vault)
    }
}

fn prepare_home(home: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::Io(home.to_owned(), error);
    if !home.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(failed)?;
    }
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).map_err(failed)
}

impl From<VaultError> for OpenError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned => f.write_str("another process uses this account's vault now"),
            Self::Missing => f.write_str("there is no account in this directory"),
            Self::Exists => f.write_str("there is an account in this directory already"),
            Self::Key(error) => error.fmt(f),
            Self::Newer => f.write_str("the vault was written by a newer version of this program"),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Vault(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "the vault's database failed: {error}"),
            Self::Sealed => f.write_str("a row of the vault is damaged or stands where it does not belong"),
            Self::Form(what) => write!(f, "a row of the vault cannot be read: {what}"),
        }
    }
}

impl std::error::Error for VaultError {}

#[cfg(test)]
mod tests;
