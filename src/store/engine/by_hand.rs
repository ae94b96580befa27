//! The store's work without threads, for whoever has to decide when what is done: a simulation.

use rusqlite::Connection;
use tokio::sync::watch;

use super::{Reads, Writer};

/// What a store's threads would do, one turn at a time. Dropping it in the place of a crash is safe: what was not written
/// is not answered.
pub struct ByHand {
    pub(in crate::store) writer: Writer,
    pub(in crate::store) reads: Reads,
    pub(in crate::store) db: Connection,
    /// Dropped with the writer, as its thread does: `Store::close` waits for that.
    pub(in crate::store) _stop: watch::Sender<()>,
}

impl ByHand {
    /// Commits what waits to be written as one transaction, then answers it. False: nothing waited.
    pub fn write(&mut self) -> bool {
        self.writer.turn()
    }

    /// Answers the read that has waited longest, from one snapshot. False: none waited.
    pub fn read(&mut self) -> bool {
        self.reads.turn(&mut self.db)
    }
}
