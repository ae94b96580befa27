//! A directory for the time of one run. The door to tempfile.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::sleep;

/// Tasks of a client that was dropped may still be writing a moment longer.
const REMOVAL_TRIES: u32 = 40;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// A directory that only this user can read. It goes when this is dropped, unless it is to be kept.
pub(crate) struct Scratch {
    directory: TempDir,
    keep: bool,
}

impl Scratch {
    /// A new one, where the system keeps such things.
    pub(crate) fn new(purpose: &str, keep: bool) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix(purpose).disable_cleanup(keep).tempdir()?;
        Ok(Self { directory, keep })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes it, once everybody has let go of it; where it is, if it was to be kept.
    pub(crate) async fn end(self) -> io::Result<Option<PathBuf>> {
        if self.keep {
            return Ok(Some(self.directory.path().to_owned()));
        }
        let mut tries = REMOVAL_TRIES;
        loop {
            match std::fs::remove_dir_all(self.directory.path()) {
                Ok(()) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => tries -= 1,
            }
            sleep(REMOVAL_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn goes_with_what_is_in_it_unless_it_is_to_be_kept() {
        let scratch = Scratch::new("sov-test-", false).expect("a directory");
        let path = scratch.path().to_owned();
        std::fs::write(path.join("file"), "x").expect("a file");
        assert_eq!(scratch.end().await.expect("removed"), None);
        assert!(!path.exists());

        let kept = Scratch::new("sov-test-", true).expect("a directory").end().await.expect("kept").expect("a path");
        assert!(kept.exists());
        std::fs::remove_dir(kept).expect("empty");
    }
}
