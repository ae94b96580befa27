//! Whether there is room left on the disk.

use std::path::PathBuf;

/// Batches between two looks while there was room at the last one.
const INTERVAL: u32 = 64;

/// The free space of the data directory, looked at now and then.
pub(super) struct Disk {
    directory: PathBuf,
    reserve: u64,
    batches_until_look: u32,
    low: bool,
}

impl Disk {
    pub(super) fn new(directory: PathBuf, reserve: u64) -> Self {
        Self { directory, reserve, batches_until_look: 0, low: false }
    }

    /// Whether less than the reserve is free. While it is, every batch looks again, so that it ends by itself.
    pub(super) fn is_low(&mut self) -> bool {
        if self.low || self.batches_until_look == 0 {
            self.batches_until_look = INTERVAL;
            // A file system that does not say counts as roomy: the engine says when it is full.
            let free = rustix::fs::statvfs(&self.directory).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
            if (free < self.reserve) != self.low {
                self.low = !self.low;
                tracing::warn!(free_bytes = free, reserve_bytes = self.reserve, low = self.low, "disk space");
            }
        }
        self.batches_until_look -= 1;
        self.low
    }

    /// The engine said that the disk is full: believed until the next look shows room.
    pub(super) fn filled(&mut self) {
        self.low = true;
    }
}
