//! The machinery under the verbs: one writer with group commit, a few readers, and how an answer finds its caller.

mod answer;
mod by_hand;
mod copying;
mod disk;
mod job;
mod readers;
mod transaction;
mod wal;
mod writer;

pub use answer::Answer;
pub use by_hand::ByHand;
pub(super) use copying::{Order, counts};
pub(super) use disk::free_bytes;
pub(super) use job::{Job, Mode, Task};
pub(super) use readers::{Readers, Reads};
pub(super) use transaction::{AfterCommit, Published, Txn};
pub(super) use writer::{Writer, WriterQueue};
