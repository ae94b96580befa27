//! What an operator or a test may choose about the store.

use std::path::Path;

use super::engine;
use crate::limits::COMMIT_BYTES_PER_GROUP;

/// Bounds of the store. The defaults are the house's.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Jobs that may wait for the writer; one more is refused as busy. Default 4,096.
    pub queue: usize,
    /// Reads that may wait for a reader; one more is refused as busy. Default 4,096.
    pub read_queue: usize,
    /// Reader threads. Default 2.
    pub readers: usize,
    /// Jobs in one transaction at most. Default 1,024.
    pub batch_jobs: usize,
    /// Bytes of bodies in one transaction after which no further job is taken into it. Default 8 MiB.
    pub batch_bytes: usize,
    /// Bytes of entries held in memory for the sessions of live members. Default 16 MiB.
    pub tail_bytes: usize,
    /// Bytes that must stay free on the disk; below, only what frees space is taken. Default 64 MiB.
    pub disk_reserve: u64,
    /// Bytes of messages of one account that may stand here. Default 1 GiB.
    pub account_bytes: u64,
    /// Bytes of messages that may stand in one group. Default 4 GiB.
    pub group_bytes: u64,
    /// How the free space of a directory is learned; tests tell it.
    pub free_bytes: fn(&Path) -> u64,
    /// Days that a message stays for devices that have not acknowledged it. Default 30.
    pub message_days: u64,
    /// Days that a commit or a Welcome stays. Default 90.
    pub commit_days: u64,
    /// Commits of a group that stay at most. Default 5,000.
    pub commits_kept: u64,
    /// Bytes of the commits of a group that stay at most. Default 64 MiB.
    pub commit_bytes_kept: u64,
    /// Key packages in stock below which a device is told. Default 20.
    pub key_packages_low: u32,
    /// Keys of sent messages, two for each, that are held in memory before they are indexed on disk. Default 65,536.
    pub ledger_keys: usize,
    /// Places of entries that are held in memory before they are indexed on disk. Default 32,768.
    pub places: usize,
    /// Cursors held in memory between two flushes at most. Default 65,536.
    pub pending_acknowledgements: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 4096,
            read_queue: 4096,
            readers: 2,
            batch_jobs: 1024,
            batch_bytes: 8 << 20,
            tail_bytes: 16 << 20,
            disk_reserve: 64 << 20,
            account_bytes: 1 << 30,
            group_bytes: 4 << 30,
            free_bytes: engine::free_bytes,
            message_days: 30,
            commit_days: 90,
            commits_kept: 5000,
            commit_bytes_kept: COMMIT_BYTES_PER_GROUP,
            key_packages_low: 20,
            ledger_keys: 65_536,
            places: 32_768,
            pending_acknowledgements: 65_536,
        }
    }
}

/// Milliseconds of a number of days.
pub(super) fn days_ms(days: u64) -> u64 {
    days.saturating_mul(24 * 60 * 60 * 1000)
}
