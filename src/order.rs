//! Messages of one connection to one group keep their order, also where one of them is refused.
//!
//! A client has several messages on their way. Refused the first and took the second, the server would turn them round,
//! or leave a hole in their numbers, and their readers would miss one. So what stands behind a message that was refused
//! is refused, too, until that one comes again or its sender begins anew, for whoever asks for it (`in_order`).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    clock::{Instant, monotonic},
    ids::{ClientId, GroupId},
    limits::{HELD_GROUPS, HOLD},
};

/// What one connection has to send again first.
#[derive(Default)]
pub struct InOrder {
    /// Messages that have come.
    come: AtomicU64,
    /// Something is held: looked at for every message, so not under the lock.
    holds: AtomicBool,
    held: Mutex<HashMap<GroupId, Held>>,
}

/// A message with its place among those of its connection.
#[derive(Clone, Copy)]
struct Placed {
    group: GroupId,
    message: ClientId,
    place: u64,
}

/// A message before it waits to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind;

struct Held {
    message: ClientId,
    place: u64,
    until: Instant,
}

/// A message that has to keep its place, on its way to the store.
#[derive(Clone)]
pub struct InPlace {
    order: Arc<InOrder>,
    placed: Placed,
}

impl InPlace {
    /// Whether one before it was refused since it came.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.order.holds.load(Ordering::Acquire)
            && self.order.lock().get(&self.placed.group).is_some_and(|held| held.place < self.placed.place)
    }

    /// It is refused, for now or for good.
    pub fn hold(&self) {
        self.order.hold(self.placed, monotonic());
    }
}

impl InOrder {
    /// The message that has come last, to be passed on.
    #[must_use]
    pub fn in_place(self: &Arc<Self>, group: GroupId, message: ClientId) -> InPlace {
        let place = self.come.load(Ordering::Relaxed).saturating_sub(1);
        InPlace { order: Arc::clone(self), placed: Placed { group, message, place } }
    }

    /// A message has come. `Err`: one before it waits to be sent again. The one that does ends the hold, as does one whose
    /// sender says that it has every answer and begins anew.
    pub fn take(self: &Arc<Self>, group: GroupId, message: ClientId, anew: bool, now: Instant) -> Result<InPlace, Behind> {
        let placed = Placed { group, message, place: self.come.fetch_add(1, Ordering::Relaxed) };
        let taken = InPlace { order: Arc::clone(self), placed };
        if !self.holds.load(Ordering::Acquire) {
            return Ok(taken);
        }
        let mut held = self.lock();
        // Who gives a message up goes on after a while.
        if !anew && held.get(&group).is_some_and(|held| held.message != message && now < held.until) {
            return Err(Behind);
        }
        held.remove(&group);
        self.holds.store(!held.is_empty(), Ordering::Release);
        Ok(taken)
    }

    /// The message was refused: nothing that came behind it overtakes it.
    fn hold(&self, refused: Placed, now: Instant) {
        let Placed { group, message, place } = refused;
        let mut held = self.lock();
        if held.len() >= HELD_GROUPS {
            held.retain(|_, held| now < held.until);
        }
        let first = held.get(&group).is_none_or(|held| place < held.place);
        if first && (held.len() < HELD_GROUPS || held.contains_key(&group)) {
            held.insert(group, Held { message, place, until: now + HOLD });
            self.holds.store(true, Ordering::Release);
        }
    }

    /// Nothing panics between the steps of a change, so a poisoned map is still right.
    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId([1; 32]);
    const FIRST: ClientId = ClientId([1; 16]);
    const SECOND: ClientId = ClientId([2; 16]);

    #[tokio::test(start_paused = true)]
    async fn nothing_overtakes_what_was_refused() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        let first = order.take(GROUP, FIRST, false, now).expect("nothing is held");
        first.hold();
        assert!(order.take(GROUP, SECOND, false, now).is_err());
        assert!(order.take(GroupId([2; 32]), SECOND, false, now).is_ok(), "other groups go on");
        assert!(order.take(GROUP, FIRST, false, now).is_ok(), "it has come again");
        assert!(order.take(GROUP, SECOND, false, now).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_the_refused_comes_first_whichever_was_refused_first() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        let first = order.take(GROUP, FIRST, false, now).expect("nothing is held");
        let second = order.take(GROUP, SECOND, false, now).expect("nothing is held");
        second.hold();
        first.hold();
        assert!(order.take(GROUP, SECOND, false, now).is_err());
        assert!(order.take(GROUP, FIRST, false, now).is_ok());
        assert!(order.take(GROUP, SECOND, false, now).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_already_learns_that_it_is_behind() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        let mut on_their_way = Vec::new();
        for id in [FIRST, SECOND] {
            on_their_way.push(order.take(GROUP, id, false, now).expect("nothing is held"));
        }
        assert!(!on_their_way[0].is_behind() && !on_their_way[1].is_behind());
        on_their_way[0].hold();
        assert!(!on_their_way[0].is_behind() && on_their_way[1].is_behind());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_a_message_up_goes_on_after_a_while() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        let first = order.take(GROUP, FIRST, false, now).expect("nothing is held");
        first.hold();
        assert!(order.take(GROUP, SECOND, false, now + HOLD / 2).is_err());
        assert!(order.take(GROUP, SECOND, false, now + HOLD).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_every_answer_begins_anew_at_once() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        order.take(GROUP, FIRST, false, now).expect("nothing is held").hold();
        assert!(order.take(GROUP, SECOND, false, now).is_err());
        assert!(order.take(GROUP, SECOND, true, now).is_ok());
        assert!(order.take(GROUP, ClientId([3; 16]), false, now).is_ok(), "nothing is held any more");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let (order, now) = (Arc::new(InOrder::default()), monotonic());
        for number in 0..1000_u16 {
            let mut group = [0; 32];
            group[..2].copy_from_slice(&number.to_be_bytes());
            let placed = order.take(GroupId(group), FIRST, false, now).expect("another group");
            placed.hold();
        }
        assert_eq!(order.lock().len(), HELD_GROUPS);
    }
}
