//! The validated public state of groups at work: one handshake of a group at a time, off the store's writer, on a
//! state that stays in memory while the group is busy.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

use crate::{
    ids::GroupId,
    limits::CACHED_GROUPS,
    mls::{Next, Pending, PublicState, Refused},
    refusal::Refusal,
    store::GroupState,
};

/// Bounded; the least recently used group is forgotten and loaded again from its bytes when needed.
pub struct Groups {
    slots: Mutex<LruCache<GroupId, Arc<AsyncMutex<Slot>>>>,
    /// Validation is CPU work: as many at once as there are cores, off the async threads. `None`: where it is asked for.
    workers: Option<Arc<Semaphore>>,
}

/// The cached state of one group, if there is one.
#[derive(Default)]
pub struct Slot {
    state: Option<PublicState>,
    /// Pending proposals that the state has taken.
    proposals: usize,
}

impl Default for Groups {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { workers: Some(Arc::new(Semaphore::new(cores))), ..Self::without_threads() }
    }
}

impl Groups {
    /// Validates where it is asked for, for a simulation that has one thread.
    #[must_use]
    pub fn without_threads() -> Self {
        let capacity = NonZeroUsize::new(CACHED_GROUPS).expect("the bound is above 0");
        Self { slots: Mutex::new(LruCache::new(capacity)), workers: None }
    }

    /// Waits for the group's turn.
    pub async fn lock(&self, group: GroupId) -> OwnedMutexGuard<Slot> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.get_or_insert(group, Arc::default))
        };
        slot.lock_owned().await
    }

    /// Judges something on the public state that belongs to what the store holds. The state itself stays as it is.
    pub async fn judge<T: Send + 'static>(
        &self,
        slot: &mut Slot,
        stored: &GroupState,
        judge: impl FnOnce(&PublicState) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refusal> {
        let proposals = stored.proposals.len();
        let cached = slot.state.take().filter(|state| state.epoch() == stored.epoch && slot.proposals == proposals);
        let (group_info, pending) = (stored.group_info.clone(), stored.proposals.clone());
        let job = move || {
            let state = match cached {
                Some(state) => state,
                None => PublicState::load(&group_info, &pending)?,
            };
            let judged = judge(&state);
            Ok((state, judged))
        };
        let (state, judged) = self.work(job).await?;
        (slot.state, slot.proposals) = (Some(state), proposals);
        Ok(judged?)
    }

    /// Runs a validation where it disturbs nobody.
    pub async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Refusal> {
        let Some(workers) = &self.workers else { return Ok(job()?) };
        let permit = Arc::clone(workers).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            job()
        });
        match done.await {
            Ok(result) => Ok(result?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl Slot {
    /// A group that was just stored.
    pub fn begin(&mut self, state: PublicState) {
        (self.state, self.proposals) = (Some(state), 0);
    }

    /// Goes on to the epoch of a commit that was just stored.
    pub fn advance(&mut self, next: Next) {
        let advanced = self.state.as_mut().is_some_and(|state| state.advance(next).is_ok());
        self.proposals = 0;
        if !advanced {
            self.forget();
        }
    }

    /// Takes a proposal that was just stored.
    pub fn add_proposal(&mut self, pending: Pending) {
        let added = self.state.as_mut().is_some_and(|state| state.add_proposal(pending).is_ok());
        self.proposals += 1;
        if !added {
            self.forget();
        }
    }

    /// Forgets the cached state: the next handshake loads it from the store.
    pub fn forget(&mut self) {
        self.state = None;
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::invalid(refused.to_string())
    }
}
