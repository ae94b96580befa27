//! A verb on its way through the writer.

use tokio::sync::oneshot;

use super::{Answer, Txn};
use crate::{
    order::InPlace,
    store::{types::StoreError, values::Sql},
};

/// How a job is run.
#[derive(Clone, Copy)]
pub(in crate::store) struct Mode {
    /// Stores something: refused while the disk is nearly full or the write-ahead log is too long.
    pub(in crate::store) grows: bool,
    /// May fail between two of its statements: stands in a savepoint.
    pub(in crate::store) guarded: bool,
    /// Bytes of bodies it brings, for the bound of a transaction.
    pub(in crate::store) bytes: usize,
    /// The last one: the writer ends after its transaction.
    pub(in crate::store) last: bool,
}

/// What the writer does with whatever waits.
pub(in crate::store) trait Job: Send {
    fn mode(&self) -> Mode;
    /// One that has to stand before it was refused meanwhile.
    fn is_behind(&self) -> bool;
    /// Carries the verb out and keeps its outcome. Called at most once.
    fn run(&mut self, txn: &mut Txn<'_>) -> Sql<()>;
    /// Tells the caller: the outcome if the verdict is good. Called once, after the transaction has ended.
    fn answer(self: Box<Self>, verdict: Result<(), StoreError>);
}

/// A job made of a closure.
pub(in crate::store) struct Task<F, T> {
    mode: Mode,
    /// Whoever is refused for now and has a place keeps it.
    in_place: Option<InPlace>,
    work: Option<F>,
    outcome: Option<T>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Task<F, T>
where
    F: FnOnce(&mut Txn<'_>) -> Sql<T> + Send + 'static,
    T: Send + 'static,
{
    pub(in crate::store) fn boxed(mode: Mode, in_place: Option<InPlace>, work: F) -> (Box<dyn Job>, Answer<T>) {
        let (caller, receiver) = oneshot::channel();
        (Box::new(Self { mode, in_place, work: Some(work), outcome: None, caller }), Answer::waiting(receiver))
    }
}

impl<F, T> Job for Task<F, T>
where
    F: FnOnce(&mut Txn<'_>) -> Sql<T> + Send,
    T: Send,
{
    fn mode(&self) -> Mode {
        self.mode
    }

    fn is_behind(&self) -> bool {
        self.in_place.as_ref().is_some_and(InPlace::is_behind)
    }

    fn run(&mut self, txn: &mut Txn<'_>) -> Sql<()> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(txn)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), StoreError>) {
        let Self { outcome, caller, in_place, .. } = *self;
        if let (Err(error), Some(in_place)) = (&verdict, in_place)
            && error.is_for_now()
        {
            // Before the next transaction, in which those behind it may stand.
            in_place.hold();
        }
        // A caller that went away does not want to know.
        drop(caller.send(verdict.and_then(|()| outcome.ok_or(StoreError::Failed))));
    }
}
