//! Single-use tickets: what a runtime that can set no header puts into the query string instead of a token.
//! Kept in memory only; a restart forgets them, which costs a client one more request.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use zeroize::Zeroizing;

use super::secret;
use crate::{clock::Instant, ids::DeviceId, limits::TICKET};

/// Devices that may hold a ticket at the same time.
const CAPACITY: usize = 10_000;

/// The outstanding tickets. A device has at most one: a new one replaces it, so nobody can take all the room.
#[derive(Default)]
pub struct Tickets {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_hash: HashMap<[u8; 32], (DeviceId, Instant)>,
    by_device: HashMap<DeviceId, [u8; 32]>,
}

impl Tickets {
    /// A fresh ticket of `device`, good until `now` + [`TICKET`]. `None`: as many devices as there may be hold one;
    /// some expire within that time.
    pub fn issue(&self, device: DeviceId, now: Instant) -> Option<Zeroizing<String>> {
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
        held.by_hash.insert(hash, (device, now + TICKET));
        held.by_device.insert(device, hash);
        Some(ticket)
    }

    /// Uses a ticket up: whose it was, if it was good.
    pub fn redeem(&self, ticket: &str, now: Instant) -> Option<DeviceId> {
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

    fn drop_expired(&mut self, now: Instant) {
        self.by_hash.retain(|_, (_, expires_at)| now < *expires_at);
        let Self { by_hash, by_device } = self;
        by_device.retain(|_, hash| by_hash.contains_key(hash));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::monotonic;

    fn device(number: usize) -> DeviceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        DeviceId(id)
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_not_for_long() {
        let (tickets, now) = (Tickets::default(), monotonic());
        let (early, late) = (now + TICKET - Duration::from_millis(1), now + TICKET);
        let ticket = tickets.issue(device(1), now).expect("there is room");
        assert_eq!(tickets.redeem(&ticket, early), Some(device(1)));
        assert_eq!(tickets.redeem(&ticket, early), None);
        let other = tickets.issue(device(1), now).expect("there is room");
        assert_eq!(tickets.redeem(&other, late), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_one_replaces_the_old_one_and_a_revoked_device_has_none() {
        let (tickets, now) = (Tickets::default(), monotonic());
        let first = tickets.issue(device(1), now).expect("there is room");
        let second = tickets.issue(device(1), now).expect("there is room");
        assert_eq!(tickets.redeem(&first, now), None);
        tickets.forget(device(1));
        assert_eq!(tickets.redeem(&second, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_room_is_bounded_and_expired_ones_make_some() {
        let (tickets, now) = (Tickets::default(), monotonic());
        for number in 0..CAPACITY {
            tickets.issue(device(number), now).expect("there is room");
        }
        assert!(tickets.issue(device(CAPACITY), now).is_none());
        assert!(tickets.issue(device(CAPACITY), now + TICKET).is_some());
        assert_eq!(tickets.held().by_device.len(), 1);
    }
}
