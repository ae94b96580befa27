//! Everything durable, behind domain verbs: accounts and devices, key packages, groups, logs and windows.
//!
//! One writer thread takes whatever verbs wait, commits them as one transaction and only then answers; a few reader
//! threads serve short snapshots beside it. A verb is queued at the moment it is called, so that verbs called in order
//! are written in order; what it gives back only waits for the answer. SQL, rows and transactions do not leave here.

mod accounts;
mod acknowledgements;
mod audit;
mod claims;
mod commits;
mod confirmations;
mod connection;
mod copies;
mod departures;
mod engine;
mod examination;
mod filter;
mod groups;
mod invites;
mod key_packages;
mod known;
mod ledger;
pub mod lock;
mod log;
mod maintenance;
mod manifests;
mod messages;
mod migrate;
mod notices;
mod numbers;
mod operator;
mod options;
mod overview;
mod pages;
mod pairs;
mod places;
mod proposals;
mod receipts;
mod relations;
mod restoration;
mod revivals;
mod rosters;
mod sessions;
mod strangers;
mod tail;
mod tokens;
mod types;
mod usage;
mod values;
mod visibility;
mod windows;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use tokio::sync::watch;

use self::{
    acknowledgements::Pending,
    engine::{AfterCommit, Mode, Readers, Reads, Txn, Writer, WriterQueue},
    ledger::Ledger,
    places::{Places, Placing},
    receipts::Moved,
    tail::Tail,
    values::{Sql, uint},
};
pub use self::{
    copies::inspect,
    engine::{Answer, ByHand},
    examination::{Depth, Examination, examine},
    lock::{DataDir, OpenError},
    maintenance::TrimReport,
    options::Options,
    restoration::{Restored, restore},
    types::*,
};
use crate::{
    clock::Clock,
    ids::{LogId, Seq},
    metrics::WriterMetrics,
    order::InPlace,
};

/// The store. Clones are handles of the same one; when the last is gone, its threads end.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    writer: WriterQueue,
    readers: Readers,
    places: Arc<Places>,
    tail: Arc<Tail>,
    pending: Pending,
    moved: Moved,
    failed: watch::Receiver<bool>,
    stopped: watch::Receiver<()>,
    generation: u64,
    clock: Clock,
    /// Key packages in stock below which a device counts as low.
    key_packages_low: u32,
    disk_reserve: u64,
    free_bytes: fn(&Path) -> u64,
    account_bytes: u64,
    group_bytes: u64,
    metrics: Arc<WriterMetrics>,
    /// Where the next call of `trim` goes on.
    trimmed_to: Arc<Mutex<maintenance::Place>>,
    /// The last copy that was ordered: where to, and how far it is.
    copying: Mutex<Option<(PathBuf, watch::Receiver<CopyState>)>>,
    /// Held as long as the database is open.
    directory: DataDir,
}

/// What does the store's work, before it is known who moves it.
struct Parts {
    /// Of the database.
    path: PathBuf,
    writer: Writer,
    reads: Reads,
    /// To be dropped when the writer has ended.
    stop: watch::Sender<()>,
}

impl Store {
    /// Opens, or makes, the database of a data directory; brings its schema up to date; starts the threads.
    pub fn open(directory: &DataDir, options: Options, clock: Clock) -> Result<Self, OpenError> {
        let (store, Parts { path, writer, reads, stop }) = Self::assemble(directory, options, clock)?;
        reads.spawn(&path, options.readers)?;
        writer.spawn(stop)?;
        Ok(store)
    }

    /// The same without threads: nothing is written or read but by the turns of what comes with it.
    pub fn open_by_hand(directory: &DataDir, options: Options, clock: Clock) -> Result<(Self, ByHand), OpenError> {
        let (store, Parts { path, writer, reads, stop }) = Self::assemble(directory, options, clock)?;
        let db = connection::reader(&path)?;
        Ok((store, ByHand { writer, reads, db, _stop: stop }))
    }

    fn assemble(directory: &DataDir, options: Options, clock: Clock) -> Result<(Self, Parts), OpenError> {
        let path = directory.path().join("sovereign.db");
        lock::private(&path)?;
        let version = migrate::version(&path)?;
        let mut db = connection::writer(&path)?;
        migrate::run(&mut db, directory, version)?;
        let generation = db.query_one("SELECT store_generation FROM meta", [], |row| uint(row, 0))?;
        let ledger = Ledger::load(&db, options.ledger_keys)?;
        let placing = Placing::load(&db, options.places)?;
        let places = placing.places().clone();
        directory.sync()?;

        let Options { key_packages_low, disk_reserve, free_bytes, account_bytes, group_bytes, .. } = options;
        let (fail, failed) = watch::channel(false);
        let (stop, stopped) = watch::channel(());
        let tail = Arc::new(Tail::new(options.tail_bytes));
        let (readers, reads) = Readers::new(options.read_queue, fail.clone());
        let moved = Moved::default();
        let metrics = Arc::new(WriterMetrics::default());
        let after = AfterCommit { tail: tail.clone(), moved: moved.clone() };
        let place = directory.path().to_path_buf();
        let pending = Pending::new(options.pending_acknowledgements);
        let (writer, queue) = Writer::new(db, (ledger, placing), place, options, after, metrics.clone(), fail);
        let store = Self(Arc::new(Inner {
            writer: queue,
            readers,
            places,
            tail,
            pending,
            moved,
            failed,
            stopped,
            generation,
            clock,
            key_packages_low,
            disk_reserve,
            free_bytes,
            account_bytes,
            group_bytes,
            metrics,
            trimmed_to: Arc::default(),
            copying: Mutex::default(),
            directory: directory.clone(),
        }));
        Ok((store, Parts { path, writer, reads, stop }))
    }

    /// The store's generation, from 1; raised when it was restored from a backup.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Resolves when the engine has failed: nothing more is acknowledged and the process has to end (exit 74).
    pub fn failed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut failed = self.0.failed.clone();
        async move {
            // Without senders the threads have ended in order, and nothing can fail any more.
            if failed.wait_for(|failed| *failed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What the writer has counted of itself.
    #[must_use]
    pub fn metrics(&self) -> &Arc<WriterMetrics> {
        &self.0.metrics
    }

    /// Bytes of the write-ahead log's file, bytes that are free on the disk, and how many of those must stay free. What
    /// the system does not say counts as 0, or as unbounded room.
    #[must_use]
    pub fn disk(&self) -> DiskUse {
        let directory = self.0.directory.path();
        let wal_bytes = std::fs::metadata(directory.join("sovereign.db-wal")).map_or(0, |metadata| metadata.len());
        DiskUse { wal_bytes, free_bytes: (self.0.free_bytes)(directory), reserve_bytes: self.0.disk_reserve }
    }

    /// The entries of a log behind `after` up to its head, if all of them are in memory; `None`: ask
    /// [`Store::page`]. Only for a device whose window is open and flows, and only up to the first entry that
    /// [`StoredEntry::removes`] it: what stands behind that is not for it.
    #[must_use]
    pub fn tail(&self, log: LogId, after: Seq) -> Option<Vec<Arc<StoredEntry>>> {
        let entries = self.0.tail.behind(log, after)?;
        // What has expired is named as skipped, by a page.
        let expired = entries.iter().any(|entry| entry.has_expired(|| self.0.clock.settled_ms()));
        (!expired).then_some(entries)
    }

    /// Writes the acknowledgements that wait, empties the write-ahead log and ends the writer. Every later verb fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.flush_acknowledgements().await?;
        self.0.writer.submit(Mode { grows: false, guarded: false, bytes: 0, last: true }, |_| Ok(())).await?;
        // Ends when the writer's thread drops its end.
        let mut stopped = self.0.stopped.clone();
        while stopped.changed().await.is_ok() {}
        if *self.0.failed.borrow() { Err(StoreError::Failed) } else { Ok(()) }
    }

    /// A verb of the hot path: all its checks come before its first write, so that it needs no savepoint.
    fn append_job<T: Send + 'static>(
        &self,
        bytes: usize,
        in_place: Option<InPlace>,
        work: impl FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static,
    ) -> Answer<T> {
        self.0.writer.submit_in_place(Mode { grows: true, guarded: false, bytes, last: false }, in_place, work)
    }

    /// A verb that stores something.
    fn write<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static) -> Answer<T> {
        self.0.writer.submit(Mode { grows: true, guarded: true, bytes, last: false }, work)
    }

    /// A verb that is taken even when the disk is nearly full: it frees space, or closes a door.
    fn relieve<T: Send + 'static>(&self, work: impl FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static) -> Answer<T> {
        self.0.writer.submit(Mode { grows: false, guarded: true, bytes: 0, last: false }, work)
    }

    /// A verb that only reads, on one snapshot beside the writer.
    fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Sql<T> + Send + 'static) -> Answer<T> {
        self.0.readers.read(work)
    }

    /// The same for what reads entries.
    fn read_entries<T: Send + 'static>(&self, work: impl Fn(&Connection, &Places) -> Sql<T> + Send + 'static) -> Answer<T> {
        self.0.readers.read_entries(self.0.places.clone(), work)
    }

    /// The same, when something else was read and acted upon: on a snapshot that is made after that.
    fn read_entries_upon<A: 'static, T: Send + 'static>(
        &self,
        before: impl FnOnce(&Connection) -> Sql<A> + Send + 'static,
        work: impl Fn(&A, &Connection, &Places) -> Sql<T> + Send + 'static,
    ) -> Answer<T> {
        self.0.readers.read_entries_upon(self.0.places.clone(), before, work)
    }
}
