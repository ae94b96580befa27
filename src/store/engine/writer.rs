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

use rusqlite::{Connection, ErrorCode, backup::Backup};
use sovereign_proto::log::Kind;
use tokio::sync::watch;

use super::{
    Answer, Job, Mode, Task,
    copying::{self, Order},
    disk::Disk,
    wal::Wal,
};
use crate::{
    clock::monotonic,
    ids::LogId,
    metrics::WriterMetrics,
    order::InPlace,
    store::{
        connection,
        known::Known,
        ledger::Ledger,
        options::Options,
        places::Placing,
        receipts::{Moved, Step},
        tail::Tail,
        types::{StoreError, StoredEntry},
        usage::Usage,
        values::Sql,
    },
};

/// Quiet time after which the write-ahead log is emptied.
const IDLE: Duration = Duration::from_secs(2);

/// What a job works on: the open transaction and what the writer knows by heart.
pub(in crate::store) struct Txn<'a> {
    pub(in crate::store) db: &'a Connection,
    pub(in crate::store) known: &'a mut Known,
    pub(in crate::store) ledger: &'a mut Ledger,
    pub(in crate::store) placing: &'a mut Placing,
    pub(in crate::store) usage: &'a mut Usage,
    /// What live sessions may read from memory once the transaction is durable.
    pub(in crate::store) published: &'a mut Vec<Published>,
    /// Who has got further, once the transaction is durable. A job that is taken back may leave its steps: whoever is
    /// told of one looks up where it led.
    pub(in crate::store) moved: &'a mut Vec<Step>,
    pub(in crate::store) options: &'a Options,
}

/// Who learns of a transaction when it is durable, before its callers do.
pub(in crate::store) struct AfterCommit {
    pub(in crate::store) tail: Arc<Tail>,
    pub(in crate::store) moved: Moved,
}

/// The next entry of a log, for the tail.
pub(in crate::store) type Published = (LogId, Arc<StoredEntry>);

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
    known: Known,
    ledger: Ledger,
    placing: Placing,
    usage: Usage,
    published: Vec<Published>,
    moved: Vec<Step>,
    options: Options,
    after: AfterCommit,
    disk: Disk,
    wal: Wal,
    metrics: Arc<WriterMetrics>,
    failed: watch::Sender<bool>,
}

/// The batch cannot be committed.
enum Aborted {
    /// The disk is full: nothing was written, and the next batch may fare better.
    Full,
    /// Nothing this process says about the database can be trusted any more.
    Broken(rusqlite::Error),
}

impl Writer {
    /// A writer, and the way to it. Nothing is written before [`Writer::spawn`] or a [`Writer::turn`].
    pub(in crate::store) fn new(
        db: Connection,
        (ledger, placing): (Ledger, Placing),
        directory: PathBuf,
        options: Options,
        after: AfterCommit,
        metrics: Arc<WriterMetrics>,
        failed: watch::Sender<bool>,
    ) -> (Self, WriterQueue) {
        let (queue, waiting) = sync_channel(options.queue);
        // What cannot be asked now fails with the first batch.
        let wal = Wal::new(db.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(connection::PAGE_BYTES));
        let desk = Desk {
            waiting,
            ordered: None,
            known: Known::default(),
            ledger,
            placing,
            usage: Usage::default(),
            published: Vec::new(),
            moved: Vec::new(),
            options,
            after,
            disk: Disk::new(directory, options.free_bytes, options.disk_reserve),
            wal,
            metrics,
            failed,
        };
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
        let emptied = self.wal.empty(db);
        self.outlived(emptied)
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
        while batch.len() < self.options.batch_jobs && bytes < self.options.batch_bytes {
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
        self.commit(db, batch, bytes)?;
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
        if self.wal.is_dirty() {
            match self.waiting.recv_timeout(IDLE) {
                Ok(next) => return Ok(Some(next)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    let emptied = self.wal.empty(db);
                    self.outlived(emptied)?;
                }
            }
        }
        Ok(self.waiting.recv().ok())
    }

    /// What a checkpoint's failure means. A full disk leaves the log as it was, and the next one may fare better. Any other
    /// may be a sync that failed: what the system has thrown away by then cannot be told, and a second one would succeed
    /// without it. So nothing is tried again on these files before they are opened anew.
    fn outlived(&mut self, checkpoint: Sql<()>) -> Sql<()> {
        match checkpoint {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::warn!("a checkpoint found no room and is tried again later");
                self.disk.filled();
                Ok(())
            }
            ended => ended,
        }
    }

    /// One transaction. Every job of the batch is answered, whatever happens; an error means that no more may be taken.
    fn commit(&mut self, db: &Connection, mut batch: Vec<Box<dyn Job>>, bytes: usize) -> Sql<()> {
        let mut verdicts = Vec::with_capacity(batch.len());
        let started = monotonic();
        match self.transact(db, &mut batch, &mut verdicts) {
            Ok(()) => {
                let messages = self.published.iter().filter(|(_, entry)| entry.kind == Kind::Message).count();
                self.metrics.committed(batch.len(), messages as u64, started.elapsed());
                self.after.tail.publish(self.published.drain(..));
                self.after.moved.publish(self.moved.drain(..));
                let jobs = batch.len();
                for (job, verdict) in batch.into_iter().zip(verdicts) {
                    job.answer(verdict);
                }
                #[cfg(feature = "sabotage")]
                commit_late(db)?;
                self.known.bound();
                self.ledger.committed();
                self.placing.committed();
                self.usage.committed(monotonic());
                self.disk.wrote(bytes);
                let noted = self.wal.committed(db, jobs, bytes, self.disk.was_low());
                self.outlived(noted)
            }
            Err(aborted) => {
                self.published.clear();
                self.moved.clear();
                self.known.clear();
                self.ledger.rolled_back();
                self.placing.rolled_back();
                self.usage.rolled_back();
                let (verdict, result) = match aborted {
                    Aborted::Full => {
                        self.disk.filled();
                        (StoreError::DiskLow, roll_back(db))
                    }
                    Aborted::Broken(error) => (StoreError::Failed, Err(error)),
                };
                let verdict = if result.is_err() { StoreError::Failed } else { verdict };
                batch.into_iter().for_each(|job| job.answer(Err(verdict)));
                result
            }
        }
    }

    fn transact(
        &mut self,
        db: &Connection,
        batch: &mut [Box<dyn Job>],
        verdicts: &mut Vec<Result<(), StoreError>>,
    ) -> Result<(), Aborted> {
        let refusal =
            if self.disk.is_low() { Some(StoreError::DiskLow) } else { self.wal.refuses_growth().then_some(StoreError::LogLong) };
        let all = self.wal.refuses_all();
        execute(db, "BEGIN IMMEDIATE")?;
        let jobs = batch.len();
        let last = batch.iter().any(|job| job.mode().last);
        for job in batch {
            let mode = job.mode();
            verdicts.push(match refusal {
                Some(error) if mode.grows || (all && !mode.last) => Err(error),
                _ if job.is_behind() => Err(StoreError::Busy),
                _ if mode.guarded => self.run_guarded(db, job.as_mut())?,
                _ => Ok(self.run(db, job.as_mut()).map_err(aborted)?),
            });
        }
        self.known.write_back(db).map_err(aborted)?;
        self.usage.write(db, monotonic(), last).map_err(aborted)?;
        if refusal.is_none() {
            self.ledger.settle(db, jobs).map_err(aborted)?;
            self.placing.settle(db, jobs).map_err(aborted)?;
        }
        #[cfg(feature = "sabotage")]
        if crate::sabotage::breaks("early_ack") && self.published.iter().any(|(_, entry)| entry.kind == Kind::Message) {
            return Ok(());
        }
        execute(db, "COMMIT")
    }

    fn run(&mut self, db: &Connection, job: &mut dyn Job) -> Sql<()> {
        job.run(&mut Txn {
            db,
            known: &mut self.known,
            ledger: &mut self.ledger,
            placing: &mut self.placing,
            usage: &mut self.usage,
            published: &mut self.published,
            moved: &mut self.moved,
            options: &self.options,
        })
    }

    /// A job that fails in the middle takes back what it did, and nothing else.
    fn run_guarded(&mut self, db: &Connection, job: &mut dyn Job) -> Result<Result<(), StoreError>, Aborted> {
        self.known.write_back(db).map_err(aborted)?;
        let (published, placed, used) = (self.published.len(), self.placing.mark(), self.usage.mark());
        execute(db, "SAVEPOINT job")?;
        match self.run(db, job) {
            Ok(()) => {
                execute(db, "RELEASE job")?;
                Ok(Ok(()))
            }
            Err(error) if is_of_the_job(&error) => {
                tracing::error!(%error, "a verb met a contradiction and was taken back");
                self.published.truncate(published);
                self.placing.take_back(placed);
                self.usage.back_to(used);
                self.known.clear();
                execute(db, "ROLLBACK TO job")?;
                execute(db, "RELEASE job")?;
                Ok(Err(StoreError::Failed))
            }
            Err(error) => Err(aborted(error)),
        }
    }
}

fn execute(db: &Connection, statement: &str) -> Result<(), Aborted> {
    db.prepare_cached(statement).and_then(|mut statement| statement.execute([])).map(drop).map_err(aborted)
}

/// The transaction that stands open because its answers went out first.
#[cfg(feature = "sabotage")]
fn commit_late(db: &Connection) -> Sql<()> {
    const FAR_TOO_LATE: Duration = Duration::from_millis(60);
    if db.is_autocommit() {
        return Ok(());
    }
    thread::sleep(FAR_TOO_LATE);
    db.execute_batch("COMMIT")
}

fn roll_back(db: &Connection) -> Sql<()> {
    // The engine may have rolled back by itself.
    if db.is_autocommit() { Ok(()) } else { db.execute_batch("ROLLBACK") }
}

fn aborted(error: rusqlite::Error) -> Aborted {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Aborted::Full,
        _ => Aborted::Broken(error),
    }
}

/// The statement was at fault, not the engine: a constraint, a value of another type than expected.
fn is_of_the_job(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::Unknown)
        }
        None => true,
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
