//! What all connections together may hold: requests that are handled, and answers and entries that their sockets have
//! not taken. Beyond it those who hold much are not read, and get less at once, until it has sunk.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The sum, and whether the process as a whole is short of memory.
#[derive(Debug)]
pub struct Memory {
    held: AtomicUsize,
    held_max: usize,
    short: AtomicBool,
}

/// What one connection holds; given back when dropped.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// Nothing is held; `held_max` bytes may be.
    #[must_use]
    pub fn new(held_max: usize) -> Self {
        Self { held: AtomicUsize::new(0), held_max, short: AtomicBool::new(false) }
    }

    /// More is held than may be.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.held_max
    }

    /// The process has nearly as much as it may have: new connections are turned away.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// The process has so many resident bytes of those that it may have. Short from nine tenths on, until it is below
    /// eight; true: that has changed.
    pub fn resident(&self, bytes: u64, bytes_max: u64) -> bool {
        let tenths = if self.is_short() { 8 } else { 9 };
        let short = bytes >= bytes_max / 10 * tenths;
        self.short.swap(short, Ordering::Relaxed) != short
    }

    /// A connection's share, which holds nothing yet.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { memory: Arc::clone(self), bytes: 0 }
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_are_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut one, mut other) = (memory.share(), memory.share());
        one.hold(60);
        other.hold(40);
        assert!(!memory.is_tight());
        other.hold(41);
        assert!(memory.is_tight());
        one.hold(10);
        assert!(!memory.is_tight());
        drop((one, other));
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
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
