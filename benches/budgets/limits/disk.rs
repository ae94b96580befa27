//! What a sync of a few written bytes takes.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    time::Duration,
};

use sovereign::clock::monotonic;

/// The times of so many syncs of 4 KiB written over each other, sorted.
pub fn syncs(count: usize) -> Vec<Duration> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let mut times: Vec<Duration> = (0..count).map(|_| sync(&mut file)).collect();
    times.sort_unstable();
    times
}

fn sync(file: &mut File) -> Duration {
    file.rewind().and_then(|()| file.write_all(&[0x5a; 4096])).expect("the file takes 4 KiB");
    let start = monotonic();
    file.sync_data().expect("the disk syncs");
    start.elapsed()
}
