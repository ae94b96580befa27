//! One transaction: the jobs of a batch, what is kept by heart beside the database, and what an error makes of both.

use std::{path::PathBuf, sync::Arc};

use rusqlite::{CachedStatement, Connection, ErrorCode};
use sovereign_proto::log::Kind;

use super::{Job, disk::Disk, wal::Wal};
use crate::{
    clock::monotonic,
    ids::LogId,
    metrics::WriterMetrics,
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
    pub(in crate::store) insert_entry: Once<'a>,
    pub(in crate::store) insert_sent: Once<'a>,
}

/// A statement that nearly every job executes, looked up once a transaction.
#[derive(Default)]
pub(in crate::store) struct Once<'a>(Option<CachedStatement<'a>>);

impl<'a> Once<'a> {
    /// The statement of this text, which is the same each time.
    pub(in crate::store) fn get(&mut self, db: &'a Connection, sql: &str) -> Sql<&mut CachedStatement<'a>> {
        match &mut self.0 {
            Some(statement) => Ok(statement),
            none => Ok(none.insert(db.prepare_cached(sql)?)),
        }
    }
}

/// Who learns of a transaction when it is durable, before its callers do.
pub(in crate::store) struct AfterCommit {
    pub(in crate::store) tail: Arc<Tail>,
    pub(in crate::store) moved: Moved,
}

/// The next entry of a log, for the tail.
pub(in crate::store) type Published = (LogId, Arc<StoredEntry>);

/// What outlives a transaction and has to agree with the database when it has ended, whichever way.
pub(super) struct Books {
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
}

/// The batch cannot be committed.
enum Aborted {
    /// The disk is full: nothing was written, and the next batch may fare better.
    Full,
    /// Nothing this process says about the database can be trusted any more.
    Broken(rusqlite::Error),
}

impl Books {
    /// Of a database nothing was written to yet.
    pub(super) fn new(
        db: &Connection,
        (ledger, placing): (Ledger, Placing),
        directory: PathBuf,
        options: Options,
        after: AfterCommit,
        metrics: Arc<WriterMetrics>,
    ) -> Self {
        // What cannot be asked now fails with the first batch.
        let wal = Wal::new(db.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap_or(connection::PAGE_BYTES));
        let disk = Disk::new(directory, options.free_bytes, options.disk_reserve);
        let (known, usage, published, moved) = (Known::default(), Usage::default(), Vec::new(), Vec::new());
        Self { known, ledger, placing, usage, published, moved, options, after, disk, wal, metrics }
    }

    /// How much one transaction takes.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Something was written since the write-ahead log was last emptied.
    pub(super) fn is_dirty(&self) -> bool {
        self.wal.is_dirty()
    }

    /// Empties the write-ahead log, for quiet moments.
    pub(super) fn empty_log(&mut self, db: &Connection) -> Sql<()> {
        let emptied = self.wal.empty(db);
        self.outlived(emptied)
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
    pub(super) fn commit(&mut self, db: &Connection, mut batch: Vec<Box<dyn Job>>, bytes: usize) -> Sql<()> {
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
        let mut txn = self.begun(db);
        for job in batch {
            let mode = job.mode();
            verdicts.push(match refusal {
                Some(error) if mode.grows || (all && !mode.last) => Err(error),
                _ if job.is_behind() => Err(StoreError::Busy),
                _ if mode.guarded => txn.run_guarded(job.as_mut())?,
                _ => Ok(job.run(&mut txn).map_err(aborted)?),
            });
        }
        drop(txn);
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

    /// What the jobs of a transaction that has begun work on.
    fn begun<'a>(&'a mut self, db: &'a Connection) -> Txn<'a> {
        Txn {
            db,
            known: &mut self.known,
            ledger: &mut self.ledger,
            placing: &mut self.placing,
            usage: &mut self.usage,
            published: &mut self.published,
            moved: &mut self.moved,
            options: &self.options,
            insert_entry: Once::default(),
            insert_sent: Once::default(),
        }
    }
}

impl Txn<'_> {
    /// A job that fails in the middle takes back what it did, and nothing else.
    fn run_guarded(&mut self, job: &mut dyn Job) -> Result<Result<(), StoreError>, Aborted> {
        self.known.write_back(self.db).map_err(aborted)?;
        let (published, placed, used) = (self.published.len(), self.placing.mark(), self.usage.mark());
        execute(self.db, "SAVEPOINT job")?;
        match job.run(self) {
            Ok(()) => {
                execute(self.db, "RELEASE job")?;
                Ok(Ok(()))
            }
            Err(error) if is_of_the_job(&error) => {
                tracing::error!(%error, "a verb met a contradiction and was taken back");
                self.published.truncate(published);
                self.placing.take_back(placed);
                self.usage.back_to(used);
                self.known.clear();
                execute(self.db, "ROLLBACK TO job")?;
                execute(self.db, "RELEASE job")?;
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
    const FAR_TOO_LATE: std::time::Duration = std::time::Duration::from_millis(60);
    if db.is_autocommit() {
        return Ok(());
    }
    std::thread::sleep(FAR_TOO_LATE);
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
