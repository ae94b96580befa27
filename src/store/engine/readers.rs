//! Reader threads, each with its own connection: short snapshots beside the writer.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{oneshot, watch};

use super::Answer;
use crate::{
    clock::monotonic,
    limits::READ_DEADLINE,
    store::{connection, lock::OpenError, places::Places, types::StoreError, values::Sql},
};

/// Steps of the engine between two looks at the clock: well below a millisecond.
const STEPS: i32 = 100_000;

type Read = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to whoever reads. Threads end when it is dropped.
pub(in crate::store) struct Readers {
    queue: SyncSender<Read>,
    failed: watch::Sender<bool>,
}

/// Reads that wait for a reader.
pub(in crate::store) struct Reads(Receiver<Read>);

impl Reads {
    /// Serves them on threads of their own.
    pub(in crate::store) fn spawn(self, path: &Path, threads: usize) -> Result<(), OpenError> {
        let waiting = Arc::new(Mutex::new(self.0));
        for number in 0..threads.max(1) {
            let (db, waiting) = (connection::reader(path)?, waiting.clone());
            thread::Builder::new().name(format!("store-reader-{number}")).spawn(move || serve(db, &waiting))?;
        }
        Ok(())
    }

    /// Serves the one that has waited longest. False: none waited.
    pub(in crate::store) fn turn(&self, db: &mut Connection) -> bool {
        self.0.try_recv().map(|read| read(db)).is_ok()
    }
}

impl Readers {
    /// A queue of at most `bound` reads. Nothing is read before [`Reads::spawn`] or a [`Reads::turn`].
    pub(in crate::store) fn new(bound: usize, failed: watch::Sender<bool>) -> (Self, Reads) {
        let (queue, waiting) = sync_channel(bound);
        (Self { queue, failed }, Reads(waiting))
    }

    /// Runs `work` on one snapshot.
    pub(in crate::store) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Sql<T> + Send + 'static,
    ) -> Answer<T> {
        self.submit(move |db| snapshot(db, work))
    }

    /// Runs `work`, which reads entries, on one snapshot; on another one if places have moved too far meanwhile.
    pub(in crate::store) fn read_entries<T: Send + 'static>(
        &self,
        places: Arc<Places>,
        work: impl Fn(&Connection, &Places) -> Sql<T> + Send + 'static,
    ) -> Answer<T> {
        self.submit(move |db| places.steadily(|| snapshot(db, |db| work(db, &places))))
    }

    /// The same, but first runs `before` on a snapshot of its own.
    pub(in crate::store) fn read_entries_upon<A: 'static, T: Send + 'static>(
        &self,
        places: Arc<Places>,
        before: impl FnOnce(&Connection) -> Sql<A> + Send + 'static,
        work: impl Fn(&A, &Connection, &Places) -> Sql<T> + Send + 'static,
    ) -> Answer<T> {
        self.submit(move |db| {
            let found = snapshot(db, before)?;
            places.steadily(|| snapshot(db, |db| work(&found, db, &places)))
        })
    }

    fn submit<T: Send + 'static>(&self, work: impl FnOnce(&mut Connection) -> Sql<T> + Send + 'static) -> Answer<T> {
        let (caller, receiver) = oneshot::channel();
        let failed = self.failed.clone();
        let read: Read = Box::new(move |db| {
            let answer = work(db).map_err(|error| {
                tracing::error!(%error, "a read failed");
                if is_damaged(&error) {
                    failed.send_replace(true);
                    return StoreError::Failed;
                }
                StoreError::Unread
            });
            // A caller that went away does not want to know.
            drop(caller.send(answer));
        });
        match self.queue.try_send(read) {
            Ok(()) => Answer::waiting(receiver),
            Err(TrySendError::Full(_)) => Answer::refused(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Answer::refused(StoreError::Failed),
        }
    }
}

fn serve(mut db: Connection, waiting: &Mutex<Receiver<Read>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(read) => read(&mut db),
            Err(_) => return,
        }
    }
}

fn snapshot<T>(db: &mut Connection, work: impl FnOnce(&Connection) -> Sql<T>) -> Sql<T> {
    let until = monotonic() + READ_DEADLINE;
    // Given up, a read fails for who asked; for ever, it would keep the write-ahead log from being reused.
    db.progress_handler(STEPS, Some(move || monotonic() >= until))?;
    let snapshot = Snapshot::begin(db)?;
    let answer = work(snapshot.0)?;
    snapshot.end()?;
    Ok(answer)
}

/// A transaction that only reads: begun and ended by statements that stay prepared.
struct Snapshot<'a>(&'a Connection);

impl<'a> Snapshot<'a> {
    fn begin(db: &'a Connection) -> Sql<Self> {
        db.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(db))
    }

    fn end(&self) -> Sql<()> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

/// Whatever has become of the reading, the next one begins anew.
impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // What cannot be ended has the next one fail, which says so.
            drop(self.0.execute_batch("ROLLBACK"));
        }
    }
}

/// The file is not what was written: nothing that is read from it can be trusted. Whatever else fails a read (the disk
/// is slow, memory is short) may be over the next time, and concerns only who asked.
fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
