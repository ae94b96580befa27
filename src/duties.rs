//! Which groups need something of a member, and whom they were last asked of. The store keeps the tasks themselves;
//! [`crate::requests::nomination`] does the asking.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::{Instant, monotonic},
    ids::{DeviceId, GroupId},
    limits::NOMINATION_LEASE,
};

/// Leases of the members that were asked. Bounded by the groups of live members; rebuilt as members sign in.
#[derive(Default)]
pub struct Duties {
    asked: Mutex<HashMap<GroupId, Asked>>,
}

/// One lease.
#[derive(Clone, Copy)]
pub struct Asked {
    /// Who was asked.
    pub device: DeviceId,
    until: Instant,
}

impl Asked {
    /// The device still has time.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until > monotonic()
    }
}

impl Duties {
    /// The group's lease, run out or not.
    #[must_use]
    pub fn lease(&self, group: GroupId) -> Option<Asked> {
        self.lock().get(&group).copied()
    }

    /// `device` is asked from now on.
    pub fn ask(&self, group: GroupId, device: DeviceId) {
        self.lock().insert(group, Asked { device, until: monotonic() + NOMINATION_LEASE });
    }

    /// Nothing is asked of the group's members any more; whether something was.
    pub fn forget(&self, group: GroupId) -> bool {
        self.lock().remove(&group).is_some()
    }

    /// Groups whose lease has run out.
    #[must_use]
    pub fn overdue(&self) -> Vec<GroupId> {
        self.lock().iter().filter(|(_, asked)| !asked.holds()).map(|(group, _)| *group).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
