//! Whether there is room left on the disk, and a little that is kept for when there is not.

use std::path::{Path, PathBuf};

use crate::{limits::BALLAST, private_file};

/// Batches between two looks while there was room at the last one.
const INTERVAL: u32 = 64;
/// Bytes of bodies after which it is looked sooner.
const LOOK_BYTES: usize = 1 << 20;
/// The file that is given up when the disk is full: an engine that cannot write cannot even delete.
const FILE_NAME: &str = "ballast";

/// Bytes that are free for this process on the file system of a directory. A file system that does not say counts as
/// roomy: the engine says when it is full.
pub(in crate::store) fn free_bytes(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The free space of the data directory, looked at now and then.
pub(super) struct Disk {
    directory: PathBuf,
    free_bytes: fn(&Path) -> u64,
    reserve: u64,
    batches_until_look: u32,
    bytes_since_look: usize,
    low: bool,
    has_ballast: bool,
}

impl Disk {
    pub(super) fn new(directory: PathBuf, free_bytes: fn(&Path) -> u64, reserve: u64) -> Self {
        let has_ballast = directory.join(FILE_NAME).exists();
        let (batches_until_look, bytes_since_look, low) = (0, 0, false);
        Self { directory, free_bytes, reserve, batches_until_look, bytes_since_look, low, has_ballast }
    }

    /// Whether less than the reserve is free. While it is, every batch looks again, so that it ends by itself.
    pub(super) fn is_low(&mut self) -> bool {
        if self.low || self.batches_until_look == 0 || self.bytes_since_look >= LOOK_BYTES {
            (self.batches_until_look, self.bytes_since_look) = (INTERVAL, 0);
            let free = (self.free_bytes)(&self.directory);
            if (free < self.reserve) != self.low {
                self.low = !self.low;
                tracing::warn!(free_bytes = free, reserve_bytes = self.reserve, low = self.low, "disk space");
            }
            // What little is left may be less than what acknowledging and deleting need.
            if self.has_ballast && free < BALLAST.min(self.reserve) {
                self.drop_ballast();
            } else if !self.has_ballast && free >= self.reserve.saturating_add(2 * BALLAST) && self.reserve > 0 {
                self.keep_ballast();
            }
        }
        self.batches_until_look -= 1;
        self.low
    }

    /// What the last look has shown.
    pub(super) fn was_low(&self) -> bool {
        self.low
    }

    /// So many bytes of bodies were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.bytes_since_look = self.bytes_since_look.saturating_add(bytes);
    }

    /// The engine said that the disk is full: believed until the next look shows room.
    pub(super) fn filled(&mut self) {
        self.low = true;
        if self.has_ballast {
            self.drop_ballast();
        }
    }

    /// Gives up what was kept for this moment.
    fn drop_ballast(&mut self) {
        self.has_ballast = false;
        match std::fs::remove_file(self.directory.join(FILE_NAME)) {
            Ok(()) => tracing::warn!(bytes = BALLAST, "the disk is full: the ballast was given up, so that deleting goes on"),
            Err(error) => tracing::error!(%error, "the ballast cannot be given up"),
        }
    }

    /// Takes the room for the next time.
    fn keep_ballast(&mut self) {
        let path = self.directory.join(FILE_NAME);
        let kept = private_file::create(&path).and_then(|file| {
            let flags = rustix::fs::FallocateFlags::empty();
            rustix::fs::fallocate(&file, flags, 0, BALLAST).map_err(std::io::Error::from)
        });
        match kept {
            Ok(()) => self.has_ballast = true,
            // Without one the reserve has to do.
            Err(error) => {
                tracing::debug!(%error, "no ballast is kept");
                drop(std::fs::remove_file(path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 1 << 30;
    const RESERVE: u64 = 64 << 20;

    /// What a file in the directory says is free.
    fn told(directory: &Path) -> u64 {
        std::fs::read_to_string(directory.join("free")).expect("a test wrote it").parse().expect("a number")
    }

    fn disk() -> (Disk, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        tell(&directory, ROOM);
        (Disk::new(directory.path().to_path_buf(), told, RESERVE), directory)
    }

    fn tell(directory: &tempfile::TempDir, free: u64) {
        std::fs::write(directory.path().join("free"), free.to_string()).expect("written");
    }

    fn ballast(directory: &tempfile::TempDir) -> Option<u64> {
        std::fs::metadata(directory.path().join(FILE_NAME)).ok().map(|file| file.len())
    }

    #[test]
    fn low_begins_and_ends_by_itself() {
        let (mut disk, directory) = disk();
        assert!(!disk.is_low());
        tell(&directory, RESERVE - 1);
        assert!((0..=INTERVAL).any(|_| disk.is_low()), "seen after a while");
        assert!(disk.is_low() && disk.is_low(), "and for as long as it lasts");
        tell(&directory, RESERVE);
        assert!(!disk.is_low(), "its end is seen at once");
    }

    #[test]
    fn who_writes_much_looks_sooner() {
        let (mut disk, directory) = disk();
        assert!(!disk.is_low());
        tell(&directory, RESERVE - 1);
        disk.wrote(LOOK_BYTES);
        assert!(disk.is_low());
    }

    #[test]
    fn the_ballast_is_given_up_when_nothing_else_is_left_and_kept_again_later() {
        let (mut disk, directory) = disk();
        assert!(!disk.is_low());
        assert_eq!(ballast(&directory), Some(BALLAST));
        tell(&directory, RESERVE / 2);
        disk.wrote(LOOK_BYTES);
        assert!(disk.is_low());
        assert_eq!(ballast(&directory), Some(BALLAST), "there is room to delete");
        tell(&directory, 1000);
        assert!(disk.is_low());
        assert_eq!(ballast(&directory), None);
        tell(&directory, RESERVE + BALLAST);
        assert!(!disk.is_low());
        disk.wrote(LOOK_BYTES);
        assert!(!disk.is_low());
        assert_eq!(ballast(&directory), None, "taken now, it would make the disk low again");
        tell(&directory, ROOM);
        disk.wrote(LOOK_BYTES);
        assert!(!disk.is_low());
        assert_eq!(ballast(&directory), Some(BALLAST));
    }

    #[test]
    fn an_engine_that_is_full_is_believed() {
        let (mut disk, directory) = disk();
        assert!(!disk.is_low());
        disk.filled();
        assert_eq!(ballast(&directory), None);
        tell(&directory, 10);
        assert!(disk.is_low());
    }
}
