//! One process owns a vault at a time: an exclusive `flock` that ends with its holder, also when that is killed.

use std::{fs::File, path::Path};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{OpenError, key::private_file};

/// Held as long as it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "the open descriptor is the lock")] File);

impl Lock {
    /// Takes the lock or says that another process has it.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let file = private_file(path, false).map_err(|error| OpenError::Io(path.to_owned(), error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Owned),
            Err(error) => Err(OpenError::Io(path.to_owned(), error.into())),
        }
    }
}
