//! The newest entries of busy logs, in memory, so that a wake-up of a thousand live members costs no read.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sovereign_proto::log::Kind;

use super::{engine::Published, types::StoredEntry};
use crate::ids::{LogId, Seq};

/// Parts with a lock each.
const SHARDS: usize = 16;
/// Entries of one log at most.
const PER_LOG: usize = 64;
/// What an entry occupies besides its body: the entry and, once a session made it, its frame's header.
const OVERHEAD: usize = 256;

/// The cache. What it holds of a log is contiguous and ends at the head.
pub(super) struct Tail {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of one shard at most.
    bound: usize,
}

#[derive(Default)]
struct Shard {
    logs: HashMap<LogId, VecDeque<Arc<StoredEntry>>>,
    /// Order of arrival, for eviction. Holds a pair for every entry, and pairs of entries that went before their turn.
    arrivals: VecDeque<(LogId, Seq)>,
    bytes: usize,
}

impl Tail {
    pub(super) fn new(bytes: usize) -> Self {
        Self { hasher: RandomState::new(), shards: Default::default(), bound: bytes / SHARDS }
    }

    /// The entries behind `after` up to the head, if all of them are here.
    pub(super) fn behind(&self, log: LogId, after: Seq) -> Option<Vec<Arc<StoredEntry>>> {
        let shard = self.shard(&log);
        let entries = shard.logs.get(&log)?;
        let first = entries.front()?.seq;
        let skip = usize::try_from(after.checked_add(1)?.checked_sub(first)?).ok()?;
        (skip <= entries.len()).then(|| entries.iter().skip(skip).cloned().collect())
    }

    /// Takes what a transaction made durable, in its order.
    pub(super) fn publish(&self, news: impl Iterator<Item = Published>) {
        for (log, entry) in news {
            let mut shard = self.shard(&log);
            if entry.kind == Kind::Notice {
                // One notice for everybody would push everything out that busy groups are read from.
                shard.forget(log);
            } else {
                shard.push(log, entry, self.bound);
            }
        }
    }

    fn shard(&self, log: &LogId) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(log) % SHARDS as u64).expect("below 16");
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn push(&mut self, log: LogId, entry: Arc<StoredEntry>, bound: usize) {
        let size = size(&entry);
        if size > bound / 4 {
            return self.forget(log);
        }
        let seq = entry.seq;
        let entries = self.logs.entry(log).or_default();
        entries.push_back(entry);
        self.bytes += size;
        let excess = (entries.len() > PER_LOG).then(|| entries.pop_front()).flatten();
        self.bytes -= excess.map_or(0, |entry| self::size(&entry));
        self.arrivals.push_back((log, seq));
        while self.bytes > bound || self.arrivals.len() > 2 * bound / OVERHEAD {
            let Some((log, seq)) = self.arrivals.pop_front() else { break };
            self.evict(log, seq);
        }
    }

    fn evict(&mut self, log: LogId, seq: Seq) {
        let Some(entries) = self.logs.get_mut(&log) else { return };
        while entries.front().is_some_and(|first| first.seq <= seq) {
            self.bytes -= entries.pop_front().map_or(0, |entry| size(&entry));
        }
        if entries.is_empty() {
            self.logs.remove(&log);
        }
    }

    fn forget(&mut self, log: LogId) {
        self.bytes -= self.logs.remove(&log).map_or(0, |entries| entries.iter().map(|entry| size(entry)).sum());
    }
}

/// A body is held twice: as it is, and in the frame.
fn size(entry: &StoredEntry) -> usize {
    2 * entry.body.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use bytes::Bytes;
    use sovereign_proto::log::Kind;

    use super::*;
    use crate::{ids::GroupId, store::types::SenderRef};

    const LOG: LogId = LogId::Group(GroupId([1; 32]));

    fn entry(seq: Seq, length: usize) -> Published {
        let body = Bytes::from(vec![0; length]);
        let (kind, sender_ref) = (Kind::Message, SenderRef::None);
        let (removes, frame) = (Box::default(), OnceLock::new());
        let (time, sender, entry_hash, expires_at, urgent) = (0, None, [0; 32], None, false);
        let entry = StoredEntry { seq, time, kind, sender, sender_ref, entry_hash, body, removes, expires_at, urgent, frame };
        (LOG, Arc::new(entry))
    }

    fn seqs(tail: &Tail, after: Seq) -> Option<Vec<Seq>> {
        tail.behind(LOG, after).map(|entries| entries.iter().map(|entry| entry.seq).collect())
    }

    #[test]
    fn gives_all_up_to_the_head_or_nothing() {
        let tail = Tail::new(1 << 20);
        assert_eq!(seqs(&tail, 0), None);
        tail.publish((5..8).map(|seq| entry(seq, 10)));
        assert_eq!(seqs(&tail, 3), None, "4 is not here");
        assert_eq!(seqs(&tail, 4), Some(vec![5, 6, 7]));
        assert_eq!(seqs(&tail, 7), Some(vec![]));
        assert_eq!(seqs(&tail, 8), None, "ahead of the head");
        assert_eq!(seqs(&tail, Seq::MAX), None);
    }

    #[test]
    fn is_bounded_by_entries_and_by_bytes() {
        let tail = Tail::new(SHARDS * 64 * 1024);
        tail.publish((1..=100).map(|seq| entry(seq, 1)));
        assert_eq!(seqs(&tail, 36).map(|seqs| seqs.len()), Some(64));
        assert_eq!(seqs(&tail, 35), None);
        tail.publish((101..=140).map(|seq| entry(seq, 4000)));
        let held: usize = tail.shards.iter().map(|shard| shard.lock().expect("not poisoned").bytes).sum();
        assert!(held <= 64 * 1024, "{held}");
        assert_eq!(seqs(&tail, 139), Some(vec![140]));
        tail.publish([entry(141, 40_000)].into_iter());
        assert_eq!(seqs(&tail, 140), None, "too large an entry leaves the log uncached");
    }
}
