//! How many connections there may be, in all and of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rates::neighbourhood;

/// Hands out places. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    places_max: u32,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// One connection's place; dropping it frees it.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Admission {
    /// `places_max` in all, `per_address_max` of one IPv4 address or one IPv6 /64.
    pub(super) fn new(places_max: usize, per_address_max: usize) -> Self {
        let places_max = u32::try_from(places_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { places: Arc::new(Semaphore::new(places_max as usize)), places_max, per_address: Arc::default(), per_address_max }
    }

    /// A place for a connection from `address`, if there is one.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let address = neighbourhood(address);
        let mut counts = locked(&self.per_address);
        let count = counts.entry(address).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { _permit: permit, address, per_address: Arc::clone(&self.per_address) })
    }

    /// Resolves when every place is free. Nobody is admitted any more while this is awaited.
    pub(super) async fn emptied(&self) {
        // The semaphore is never closed.
        let _ = self.places.acquire_many(self.places_max).await;
    }

    /// Places taken now.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.places_max as usize - self.places.available_permits()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = locked(&self.per_address);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Nothing panics between the steps of a change, so a poisoned map is still right.
fn locked(counts: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_cannot_take_what_others_need() {
        let admission = Admission::new(10, 2);
        let first = admission.admit(address("192.0.2.1"));
        let second = admission.admit(address("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(address("192.0.2.1")).is_none());
        assert!(admission.admit(address("192.0.2.2")).is_some());
        drop(first);
        assert!(admission.admit(address("192.0.2.1")).is_some());
        assert_eq!(admission.taken(), 1, "refused and dropped ones hold nothing");
    }

    #[test]
    fn a_v6_network_counts_as_one() {
        let admission = Admission::new(10, 1);
        let _held = admission.admit(address("2001:db8::1"));
        assert!(admission.admit(address("2001:db8::2:3:4:5")).is_none());
        assert!(admission.admit(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn the_total_is_bounded_and_counts_do_not_pile_up() {
        let admission = Admission::new(1, 10);
        let held = admission.admit(address("192.0.2.1"));
        assert!(admission.admit(address("192.0.2.2")).is_none());
        drop(held);
        assert!(locked(&admission.per_address).is_empty());
    }
}
