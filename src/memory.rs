//! What all connections together may hold: requests that are handled, and answers and entries that their sockets have
//! not taken. Beyond it those who hold much are not read, and get less at once, until it has sunk.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::limits::SERVED_WHEN_SHORT;

/// The sum, and whether the process as a whole is short of memory.
#[derive(Debug)]
pub struct Memory {
    held: AtomicUsize,
    held_max: usize,
    connections: AtomicUsize,
    short: AtomicBool,
}

/// What one connection or body holds; given back when dropped.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    bytes: usize,
    /// Counted in `connections`: 1, or 0 for a body.
    connections: usize,
}

impl Memory {
    /// Nothing is held; `held_max` bytes may be.
    #[must_use]
    pub fn new(held_max: usize) -> Self {
        Self { held: AtomicUsize::new(0), held_max, connections: AtomicUsize::new(0), short: AtomicBool::new(false) }
    }

    /// More is held than may be.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.held_max
    }

    /// The process has nearly as much as it may have.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// New connections are turned away: the process is short, and so many are there that they may be why.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.is_short() && self.connections.load(Ordering::Relaxed) > SERVED_WHEN_SHORT
    }

    /// So many resident bytes, of those that the process may have, keep a short one short.
    #[must_use]
    pub fn is_much(bytes: u64, bytes_max: u64) -> bool {
        bytes >= bytes_max / 10 * 8
    }

    /// The process has so many resident bytes of those that it may have. Short from nine tenths on, until it is below
    /// eight; true: that has changed.
    pub fn resident(&self, bytes: u64, bytes_max: u64) -> bool {
        let short = if self.is_short() { Self::is_much(bytes, bytes_max) } else { bytes >= bytes_max / 10 * 9 };
        self.short.swap(short, Ordering::Relaxed) != short
    }

    /// A body's share, which holds nothing yet.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        self.shared_by(0)
    }

    /// A connection's share, which holds nothing yet; the connection counts.
    #[must_use]
    pub fn share_of_connection(self: &Arc<Self>) -> Share {
        self.shared_by(1)
    }

    fn shared_by(self: &Arc<Self>, connections: usize) -> Share {
        self.connections.fetch_add(connections, Ordering::Relaxed);
        Share { memory: Arc::clone(self), bytes: 0, connections }
    }
}

impl Share {
    /// So much is held now.
    pub fn hold(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.memory.held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            self.memory.held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
        self.memory.connections.fetch_sub(self.connections, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut one, mut other) = (memory.share_of_connection(), memory.share());
        one.hold(60);
        other.hold(40);
        assert!(!memory.is_tight());
        other.hold(41);
        assert!(memory.is_tight());
        one.hold(10);
        assert!(!memory.is_tight());
        drop((one, other));
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
        assert_eq!(memory.connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn short_of_memory_a_few_are_served_all_the_same() {
        let memory = Arc::new(Memory::new(100));
        let mut few: Vec<Share> = (0..SERVED_WHEN_SHORT).map(|_| memory.share_of_connection()).collect();
        let _body = memory.share();
        memory.resident(90, 100);
        assert!(memory.is_short() && !memory.turns_away());
        few.push(memory.share_of_connection());
        assert!(memory.turns_away(), "one more than a few");
        few.pop();
        assert!(!memory.turns_away(), "and one may come for each that goes");
    }

    #[test]
    fn shortness_does_not_flutter() {
        let memory = Memory::new(0);
        assert!(!memory.resident(89, 100) && !memory.is_short());
        assert!(memory.resident(90, 100) && memory.is_short(), "it begins, and says so");
        assert!(!memory.resident(85, 100) && memory.is_short(), "until it is well below");
        assert!(memory.resident(79, 100) && !memory.is_short());
    }
}
