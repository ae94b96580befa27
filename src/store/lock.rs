//! The data directory: made private, and held by one process at a time.

use std::{
    fmt,
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::private_file;

/// Why the store could not be opened. Nothing was written but, at most, an empty directory and its lock file.
#[derive(Debug)]
pub enum OpenError {
    /// Another process holds the data directory (exit 75).
    Locked,
    /// The database was written by a newer version (exit 78).
    Newer {
        /// The schema version of the file.
        found: u32,
        /// The newest version this binary knows.
        known: u32,
    },
    /// There is a database, but not one of ours (exit 78).
    Foreign,
    /// The directory or a file could not be made or read (exit 74).
    Io(io::Error),
    /// The engine refused (exit 74); its own words, for operators.
    Engine(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another server is running on this data directory"),
            Self::Newer { found, known } => {
                write!(f, "the database has schema version {found}, and this binary knows versions up to {known}")
            }
            Self::Foreign => f.write_str("the database file is not one of this server's"),
            Self::Io(error) => write!(f, "the data directory cannot be used: {error}"),
            Self::Engine(error) => write!(f, "the database cannot be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// A data directory that this process holds. Clones share the lock; it is released with the last of them.
#[derive(Clone)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataDir {
    /// Makes the directory (mode 0700, parents too) if it is not there, and takes its lock without waiting.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        private_file::create_directory(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        let lock = private(&path.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, _lock: Arc::new(lock) }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Locked),
            Err(errno) => Err(OpenError::Io(errno.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes entries of this directory durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Opens or makes a file of mode 0600, whatever the umask.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_private_directory() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("deep/data");
        let held = DataDir::open(&path).expect("free");
        let mode = |path: &Path| std::fs::metadata(path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("lock")), 0o600);
        assert!(matches!(DataDir::open(&path), Err(OpenError::Locked)));
        drop(held);
        assert!(DataDir::open(&path).is_ok());
    }
}
