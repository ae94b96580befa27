//! Single-use tickets: what a runtime that can set no header puts into the query string instead of a token.
//! Kept in memory only; a restart forgets them, which costs a client one more request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

use super::secret;
use crate::{clock::UnixMs, ids::DeviceId};

/// How long a ticket is good, in milliseconds.
pub const LIFETIME_MS: u64 = 30_000;

/// Devices that may hold a ticket at the same time.
const CAPACITY: usize = 10_000;

/// The outstanding tickets. A device has at most one: a new one replaces it, so nobody can take all the room.
#[derive(Default)]
pub struct Tickets {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_hash: HashMap<[u8; 32], (DeviceId, UnixMs)>,
    by_device: HashMap<DeviceId, [u8; 32]>,
}

impl Tickets {
    /// A fresh ticket of `device`, good until `now` + [`LIFETIME_MS`]. `None`: as many devices as there may be hold one;
    /// some expire within that time.
    pub fn issue(&self, device: DeviceId, now: UnixMs) -> Option<Zeroizing<String>> {
        let mut held = self.held();
        held.forget(device);
        if held.by_hash.len() >= CAPACITY {
            held.drop_expired(now);
        }
        if held.by_hash.len() >= CAPACITY {
            return None;
        }
        let ticket = secret::ticket();
        let hash = secret::hash(&ticket);
        held.by_hash.insert(hash, (device, now.saturating_add(LIFETIME_MS)));
        held.by_device.insert(device, hash);
        Some(ticket)
    }

    /// Uses a ticket up: whose it was, if it was good.
    pub fn redeem(&self, ticket: &str, now: UnixMs) -> Option<DeviceId> {
        let mut held = self.held();
        let (device, expires_at) = held.by_hash.remove(&secret::hash(ticket))?;
        held.by_device.remove(&device);
        (now < expires_at).then_some(device)
    }

    /// Forgets the ticket of a device that was revoked or signed out.
    pub fn forget(&self, device: DeviceId) {
        self.held().forget(device);
    }

    /// Every change keeps both maps consistent before anything can panic, so a poisoned lock is still good.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn forget(&mut self, device: DeviceId) {
        if let Some(hash) = self.by_device.remove(&device) {
            self.by_hash.remove(&hash);
        }
    }

    fn drop_expired(&mut self, now: UnixMs) {
        self.by_hash.retain(|_, (_, expires_at)| now < *expires_at);
        let Self { by_hash, by_device } = self;
        by_device.retain(|_, hash| by_hash.contains_key(hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: usize) -> DeviceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        DeviceId(id)
    }

    #[test]
    fn a_ticket_is_good_once_and_not_for_long() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(device(1), 1_000).expect("there is room");
        assert_eq!(tickets.redeem(&ticket, 30_999), Some(device(1)));
        assert_eq!(tickets.redeem(&ticket, 30_999), None);
        let late = tickets.issue(device(1), 1_000).expect("there is room");
        assert_eq!(tickets.redeem(&late, 31_000), None);
    }

    #[test]
    fn a_new_one_replaces_the_old_one_and_a_revoked_device_has_none() {
        let tickets = Tickets::default();
        let first = tickets.issue(device(1), 0).expect("there is room");
        let second = tickets.issue(device(1), 0).expect("there is room");
        assert_eq!(tickets.redeem(&first, 1), None);
        tickets.forget(device(1));
        assert_eq!(tickets.redeem(&second, 1), None);
    }

    #[test]
    fn the_room_is_bounded_and_expired_ones_make_some() {
        let tickets = Tickets::default();
        for number in 0..CAPACITY {
            tickets.issue(device(number), 0).expect("there is room");
        }
        assert!(tickets.issue(device(CAPACITY), 0).is_none());
        assert!(tickets.issue(device(CAPACITY), LIFETIME_MS).is_some());
        assert_eq!(tickets.held().by_device.len(), 1);
    }
}
