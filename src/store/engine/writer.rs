//! The writer: takes everything that waits, commits it as one transaction, then answers each waiter.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, backup::Backup};
use tokio::sync::watch;

use super::{
    Answer, Job, Mode, Task,
    copying::{self, Order},
    transaction::{AfterCommit, Books, Txn},
};
use crate::{
    metrics::WriterMetrics,
    order::InPlace,
    store::{ledger::Ledger, options::Options, places::Placing, types::StoreError, values::Sql},
};

/// Quiet time after which the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(2);

/// The way to the writer. The thread ends when the last of these is gone.
#[derive(Clone)]
pub(in crate::store) struct WriterQueue(SyncSender<Waiting>);

/// What may wait for the writer.
enum Waiting {
    Job(Box<dyn Job>),
    /// Done between transactions.
    Copy(Order),
}

impl WriterQueue {
    pub(in crate::store) fn submit<T, F>(&self, mode: Mode, work: F) -> Answer<T>
    where
        F: FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static,
        T: Send + 'static,
    {
        self.submit_in_place(mode, None, work)
    }

    /// The same for what has to keep its place.
    pub(in crate::store) fn submit_in_place<T, F>(&self, mode: Mode, in_place: Option<InPlace>, work: F) -> Answer<T>
    where
        F: FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static,
        T: Send + 'static,
    {
        let (job, answer) = Task::boxed(mode, in_place, work);
        match self.0.try_send(Waiting::Job(job)) {
            Ok(()) => answer,
            Err(TrySendError::Full(_)) => Answer::refused(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Answer::refused(StoreError::Failed),
        }
    }

    /// Orders a copy of the database, made between transactions.
    pub(in crate::store) fn copy(&self, order: Order) -> Result<(), StoreError> {
        self.0.try_send(Waiting::Copy(order)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Failed,
        })
    }
}

/// What writes: the state of the writer's thread, or of whoever does its work by hand.
pub(in crate::store) struct Writer {
    db: Connection,
    desk: Desk,
}

/// The writer without its connection, which a copy that is being made holds on to.
struct Desk {
    waiting: Receiver<Waiting>,
    /// A copy that is to be made next.
    ordered: Option<Order>,
    books: Books,
    failed: watch::Sender<bool>,
}

impl Writer {
    /// A writer, and the way to it. Nothing is written before [`Writer::spawn`] or a [`Writer::turn`].
    pub(in crate::store) fn new(
        db: Connection,
        indexes: (Ledger, Placing),
        directory: PathBuf,
        options: Options,
        after: AfterCommit,
        metrics: Arc<WriterMetrics>,
        failed: watch::Sender<bool>,
    ) -> (Self, WriterQueue) {
        let (queue, waiting) = sync_channel(options.queue);
        let books = Books::new(&db, indexes, directory, options, after, metrics);
        let desk = Desk { waiting, ordered: None, books, failed };
        (Self { db, desk }, WriterQueue(queue))
    }

    /// Writes on a thread of its own. `stopped` is dropped when it has ended.
    pub(in crate::store) fn spawn(mut self, stopped: watch::Sender<()>) -> std::io::Result<()> {
        let serve = move || {
            let _abort = AbortOnPanic;
            let _stopped = stopped;
            self.desk.serve(&self.db);
        };
        thread::Builder::new().name("store-writer".to_owned()).spawn(serve).map(drop)
    }

    /// Does what waits now: commits it as one transaction and answers it, or makes a copy. False: nothing waited.
    pub(in crate::store) fn turn(&mut self) -> bool {
        self.desk.turn(&self.db)
    }
}

impl Desk {
    fn turn(&mut self, db: &Connection) -> bool {
        let Ok(next) = self.waiting.try_recv() else { return false };
        let ended = self.take(db, next).map(drop);
        self.end(ended);
        true
    }

    fn serve(&mut self, db: &Connection) {
        let ended = self.work(db);
        self.end(ended);
    }

    /// An error is the end of the server.
    fn end(&self, ended: Sql<()>) {
        if let Err(error) = ended {
            tracing::error!(%error, "the database failed; nothing more is acknowledged");
            self.failed.send_replace(true);
        }
    }

    fn work(&mut self, db: &Connection) -> Sql<()> {
        while let Some(next) = self.next(db)? {
            if self.take(db, next)? {
                break;
            }
        }
        self.books.empty_log(db)
    }

    /// A batch, or a copy with all the batches beside it. True: there was the last job among them.
    fn take(&mut self, db: &Connection, next: Waiting) -> Sql<bool> {
        let last = match next {
            Waiting::Job(first) => self.batch(db, first)?,
            Waiting::Copy(order) => {
                self.order(order);
                false
            }
        };
        match self.ordered.take() {
            Some(order) if !last => self.copy(db, &order),
            _ => Ok(last),
        }
    }

    /// Commits `first` and what waits behind it as one transaction. True: there was the last job among them.
    fn batch(&mut self, db: &Connection, first: Box<dyn Job>) -> Sql<bool> {
        let mut bytes = first.mode().bytes;
        let mut batch = vec![first];
        let (most_jobs, most_bytes) = (self.books.options().batch_jobs, self.books.options().batch_bytes);
        while batch.len() < most_jobs && bytes < most_bytes {
            match self.waiting.try_recv() {
                Ok(Waiting::Job(job)) => {
                    bytes += job.mode().bytes;
                    batch.push(job);
                }
                Ok(Waiting::Copy(order)) => self.order(order),
                Err(_) => break,
            }
        }
        let last = batch.iter().any(|job| job.mode().last);
        self.books.commit(db, batch, bytes)?;
        Ok(last)
    }

    /// Copies the database, a few pages between two batches. What is committed meanwhile gets into the copy, because it
    /// is written by the connection that is copied from. A copy that fails is nobody else's trouble.
    fn copy(&mut self, db: &Connection, order: &Order) -> Sql<bool> {
        let mut ended = Ok(false);
        if let Err(error) = self.copied(db, order, &mut ended) {
            order.failed(&error);
        }
        ended
    }

    fn copied(&mut self, db: &Connection, order: &Order, ended: &mut Sql<bool>) -> Sql<()> {
        let mut target = order.target()?;
        let copying = Backup::new(db, &mut target)?;
        while !order.step(&copying)? {
            match self.beside(db) {
                Ok(false) => {}
                other => {
                    *ended = other;
                    return Ok(());
                }
            }
        }
        drop(copying);
        // Nothing was written since the last step, so these are the copy's numbers.
        order.complete(target, copying::counts(db)?)
    }

    /// What waits, while a copy is being made.
    fn beside(&mut self, db: &Connection) -> Sql<bool> {
        let last = match self.waiting.try_recv() {
            Ok(Waiting::Job(first)) => self.batch(db, first)?,
            Ok(Waiting::Copy(order)) => {
                self.order(order);
                false
            }
            Err(_) => false,
        };
        if let Some(another) = self.ordered.take() {
            another.refuse();
        }
        Ok(last)
    }

    fn order(&mut self, order: Order) {
        match &self.ordered {
            Some(_) => order.refuse(),
            None => self.ordered = Some(order),
        }
    }

    /// What waits next; `None` when nobody can send anything any more. Blocks; a quiet moment is used to empty the log.
    fn next(&mut self, db: &Connection) -> Sql<Option<Waiting>> {
        match self.waiting.try_recv() {
            Ok(next) => return Ok(Some(next)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        if self.books.is_dirty() {
            match self.waiting.recv_timeout(IDLE) {
                Ok(next) => return Ok(Some(next)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.books.empty_log(db)?,
            }
        }
        Ok(self.waiting.recv().ok())
    }
}

/// A panic of the writer leaves nobody to say what is durable: the process ends and starts anew.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}
