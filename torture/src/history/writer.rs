//! The file that a run appends to.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use sovereign_client::clock::monotonic;
use tokio::time::Instant;

use super::{Record, What};

/// The history of a run that goes on. The order of its lines is the order in which things were told.
pub(crate) struct History {
    start: Instant,
    file: Mutex<BufWriter<File>>,
    numbers: AtomicU64,
    outstanding: AtomicI64,
    answered: AtomicU64,
    changed: AtomicU64,
    lines: AtomicU64,
}

impl History {
    /// Begins a file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(BufWriter::with_capacity(1 << 18, File::create(path)?));
        let [numbers, answered, changed, lines] = [1, 0, 0, 0].map(AtomicU64::new);
        Ok(Self { start: monotonic(), file, numbers, outstanding: AtomicI64::new(0), answered, changed, lines })
    }

    /// Appends a line. A disk that is full ends the run: half a history proves nothing.
    pub(crate) fn record(&self, what: What) {
        match &what {
            What::Invoke { .. } => self.outstanding.fetch_add(1, Ordering::Relaxed),
            What::Ok { .. } => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                self.outstanding.fetch_sub(1, Ordering::Relaxed)
            }
            What::Fail { .. } => self.outstanding.fetch_sub(1, Ordering::Relaxed),
            What::ChangeOk { .. } => i64::try_from(self.changed.fetch_add(1, Ordering::Relaxed)).unwrap_or(0),
            _ => 0,
        };
        self.lines.fetch_add(1, Ordering::Relaxed);
        // The time is taken under the lock, so that the lines ascend.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record { t: self.now(), what };
        let written = serde_json::to_writer(&mut *file, &record).map_err(io::Error::from);
        let written = written.and_then(|()| file.write_all(b"\n"));
        written.expect("the history can be written");
    }

    /// Microseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A number that nothing else in this run has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A send whose sender will not be told: it stood in an outbox, and does so no more.
    pub(crate) fn forget(&self, sends: usize) {
        self.outstanding.fetch_sub(i64::try_from(sends).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sends without an answer now.
    pub(crate) fn outstanding(&self) -> u64 {
        u64::try_from(self.outstanding.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Sends acknowledged so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Changes of groups accepted so far.
    pub(crate) fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// Lines so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Everything is in the file.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
