//! Who shows what, and who is told: a value over (what happened, now), which knows neither network nor disk.
//!
//! A change costs as much as there are live watchers of that account, a connection as much as its own watch list.
//! Changes are told at the next turn ([`Presences::settle`]), so that somebody who changes all the time costs the others
//! no more than that. What a watcher has not been told yet is a set of accounts in its inbox and not a queue: the state
//! is looked up when it is sent, so that the last one is told and nothing piles up.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::Inbox;
use crate::{
    clock::{Instant, UnixMs},
    ids::{AccountId, DeviceId},
    limits::{LAST_SEEN_STEP_MS, PRESENCE_GRACE},
};

/// What others see of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// There.
    Online,
    /// Connected and not looking.
    Away,
    /// Everything else.
    Offline {
        /// Rounded down; 0: not told.
        last_seen: UnixMs,
    },
}

/// What the store knows of an account that somebody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose.
    pub account: AccountId,
    /// It shows nothing to anybody.
    pub hidden: bool,
    /// Rounded down; 0: never.
    pub last_there: UnixMs,
}

/// Everything there is to know while devices are live.
#[derive(Default)]
pub struct Presences {
    accounts: HashMap<AccountId, Entry>,
    watches: HashMap<DeviceId, Watch>,
    /// Accounts that watchers see differently since the last turn.
    changed: HashSet<AccountId>,
    /// Devices that are gone and still shown for a moment, in the order of their ends.
    fading: VecDeque<(Instant, AccountId, DeviceId)>,
    /// When accounts were there, to be made durable.
    there: HashMap<AccountId, UnixMs>,
    /// Watchers and what they may not be allowed to see any more.
    doubts: HashMap<DeviceId, BTreeSet<AccountId>>,
    /// Counts changes of what accounts hide.
    privacy: u64,
    /// Counts the times that relations were put in doubt.
    relations: u64,
}

/// What was read from the store holds only if nothing has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    privacy: u64,
    relations: u64,
}

/// An account that shows itself, watches, or is watched. Forgotten when none of these is left.
#[derive(Default)]
struct Entry {
    devices: Vec<Showing>,
    hidden: bool,
    last_there: UnixMs,
    watchers: HashSet<DeviceId>,
    /// Its own devices that watch others.
    watching: HashSet<DeviceId>,
}

struct Showing {
    device: DeviceId,
    away: bool,
    /// It is gone, and shown until then in case it comes back.
    until: Option<Instant>,
}

struct Watch {
    account: AccountId,
    inbox: Arc<Inbox>,
    accounts: HashSet<AccountId>,
}

impl Presences {
    /// To be asked for before the store is.
    #[must_use]
    pub fn version(&self) -> Version {
        Version { privacy: self.privacy, relations: self.relations }
    }

    /// A live device shows itself. False: what the account hides has changed since `version`, so ask the store again.
    pub fn show(&mut self, device: DeviceId, known: Known, away: bool, now: UnixMs, version: Version) -> bool {
        if version.privacy != self.privacy {
            return false;
        }
        self.change(known.account, |entry| {
            entry.hidden = known.hidden;
            entry.last_there = entry.last_there.max(known.last_there);
            entry.devices.retain(|showing| showing.device != device);
            entry.devices.push(Showing { device, away, until: None });
        });
        self.was_there(known.account, now);
        true
    }

    /// A device is not connected any more: it is shown for a moment longer, so that a reconnection does not flicker.
    pub fn gone(&mut self, device: DeviceId, account: AccountId, now: Instant) {
        self.unwatch(device);
        let until = now + PRESENCE_GRACE;
        let showing = self.accounts.get_mut(&account).and_then(|entry| entry.showing(device));
        if let Some(showing) = showing.filter(|showing| showing.until.is_none()) {
            showing.until = Some(until);
            self.fading.push_back((until, account, device));
        }
    }

    /// A turn: whose moment is over goes, and watchers are told what has changed.
    pub fn settle(&mut self, now: Instant, wall: UnixMs) {
        while let Some((until, account, device)) = self.fading.front().copied().filter(|(until, ..)| *until <= now) {
            self.fading.pop_front();
            let over = |showing: &Showing| showing.device == device && showing.until == Some(until);
            if self.accounts.get(&account).is_some_and(|entry| entry.devices.iter().any(over)) {
                self.was_there(account, wall);
                self.change(account, |entry| entry.devices.retain(|showing| !over(showing)));
            }
        }
        for account in self.changed.drain() {
            let watchers = self.accounts.get(&account).into_iter().flat_map(|entry| &entry.watchers);
            watchers.filter_map(|watcher| self.watches.get(watcher)).for_each(|watch| watch.inbox.presence(account));
        }
    }

    /// What an account hides may have changed: what was read before is not to be used.
    pub fn privacy_changed(&mut self) {
        self.privacy += 1;
    }

    /// The account hides itself, or does so no more. False: ask the store again.
    pub fn hide(&mut self, known: Known, version: Version) -> bool {
        if version.privacy != self.privacy {
            return false;
        }
        if self.accounts.contains_key(&known.account) {
            self.change(known.account, |entry| {
                entry.hidden = known.hidden;
                entry.last_there = entry.last_there.max(known.last_there);
            });
        }
        true
    }

    /// From now on `device` is told of exactly these accounts. Gives the telling's number and what is to be seen of them
    /// now.
    pub fn watch(
        &mut self,
        device: DeviceId,
        account: AccountId,
        inbox: &Arc<Inbox>,
        known: &[Known],
        version: Version,
    ) -> (u64, Vec<(AccountId, Shown)>) {
        inbox.forget_presence();
        self.doubts.remove(&device);
        // The new list before the old one goes: what is known of an account that stands on both is not forgotten between.
        for known in known {
            let noted = self.there.get(&known.account).copied().unwrap_or_default();
            let entry = self.accounts.entry(known.account).or_default();
            if entry.devices.is_empty() && entry.watchers.is_empty() {
                entry.hidden = known.hidden;
            }
            entry.last_there = entry.last_there.max(known.last_there).max(noted);
            entry.watchers.insert(device);
        }
        let accounts: HashSet<AccountId> = known.iter().map(|known| known.account).collect();
        if version != self.version() {
            self.doubts.entry(device).or_default().extend(accounts.iter().copied());
        }
        self.accounts.entry(account).or_default().watching.insert(device);
        let watch = Watch { account, inbox: Arc::clone(inbox), accounts: accounts.clone() };
        if let Some(old) = self.watches.insert(device, watch) {
            for account in old.accounts.difference(&accounts) {
                self.release(*account, |entry| _ = entry.watchers.remove(&device));
            }
        }
        let seen = known.iter().map(|known| (known.account, self.shown(known.account))).collect();
        (inbox.next_telling(), seen)
    }

    /// What `device` is to be told of these accounts: nothing of those it does not watch.
    #[must_use]
    pub fn look(&self, device: DeviceId, inbox: &Inbox, accounts: &BTreeSet<AccountId>) -> (u64, Vec<(AccountId, Shown)>) {
        let watched = |account: &AccountId| self.watches.get(&device).is_some_and(|watch| watch.accounts.contains(account));
        let nothing = Shown::Offline { last_seen: 0 };
        let seen = accounts.iter().map(|account| (*account, if watched(account) { self.shown(*account) } else { nothing }));
        (inbox.next_telling(), seen.collect())
    }

    /// Whoever watches these accounts, and whatever they watch themselves, may not be in relation any more.
    pub fn doubt(&mut self, accounts: &[AccountId]) {
        self.relations += 1;
        for account in accounts {
            let Some(entry) = self.accounts.get(account) else { continue };
            for watcher in &entry.watchers {
                self.doubts.entry(*watcher).or_default().insert(*account);
            }
            for device in &entry.watching {
                let watched = self.watches.get(device).into_iter().flat_map(|watch| watch.accounts.iter().copied());
                self.doubts.entry(*device).or_default().extend(watched);
            }
        }
    }

    /// Takes some doubts: the device, its account, and whom it may not be allowed to see.
    pub fn doubts(&mut self, limit: usize) -> Vec<(DeviceId, AccountId, Vec<AccountId>)> {
        let devices: Vec<DeviceId> = self.doubts.keys().take(limit).copied().collect();
        let taken = devices.into_iter().filter_map(|device| {
            let accounts = self.doubts.remove(&device)?;
            let watch = self.watches.get(&device)?;
            Some((device, watch.account, accounts.into_iter().filter(|account| watch.accounts.contains(account)).collect()))
        });
        taken.collect()
    }

    /// Settles a doubt: of those that were asked about, only the known ones may be seen.
    pub fn resolve(&mut self, device: DeviceId, asked: &[AccountId], known: &[Known], version: Version) {
        for known in known {
            if !self.hide(*known, version) {
                self.doubts.entry(device).or_default().insert(known.account);
            }
        }
        let lost = asked.iter().filter(|account| known.iter().all(|known| known.account != **account));
        for account in lost {
            let Some(watch) = self.watches.get_mut(&device) else { return };
            if watch.accounts.remove(account) {
                watch.inbox.presence(*account);
                self.release(*account, |entry| _ = entry.watchers.remove(&device));
            }
        }
    }

    /// Takes some of what has to be made durable: accounts, and when they were there.
    pub fn there(&mut self, limit: usize) -> Vec<(AccountId, UnixMs)> {
        let accounts: Vec<AccountId> = self.there.keys().take(limit).copied().collect();
        accounts.into_iter().filter_map(|account| self.there.remove_entry(&account)).collect()
    }

    fn shown(&self, account: AccountId) -> Shown {
        self.accounts.get(&account).map_or(Shown::Offline { last_seen: 0 }, Entry::shown)
    }

    /// Hidden accounts leave no trace of when they were there.
    fn was_there(&mut self, account: AccountId, now: UnixMs) {
        let Some(entry) = self.accounts.get_mut(&account).filter(|entry| !entry.hidden) else { return };
        let coarse = now - now % LAST_SEEN_STEP_MS;
        if coarse > entry.last_there {
            entry.last_there = coarse;
            self.there.insert(account, coarse);
        }
    }

    /// Changes an account; its watchers are told if they see a difference.
    fn change(&mut self, account: AccountId, change: impl FnOnce(&mut Entry)) {
        let entry = self.accounts.entry(account).or_default();
        let before = entry.shown();
        change(entry);
        if entry.shown() != before && !entry.watchers.is_empty() {
            self.changed.insert(account);
        }
        self.release(account, |_| {});
    }

    fn unwatch(&mut self, device: DeviceId) {
        self.doubts.remove(&device);
        let Some(watch) = self.watches.remove(&device) else { return };
        self.release(watch.account, |entry| _ = entry.watching.remove(&device));
        for account in watch.accounts {
            self.release(account, |entry| _ = entry.watchers.remove(&device));
        }
    }

    /// Forgets the entry if nothing is left that needs it.
    fn release(&mut self, account: AccountId, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.accounts.get_mut(&account) else { return };
        change(entry);
        if entry.devices.is_empty() && entry.watchers.is_empty() && entry.watching.is_empty() {
            self.accounts.remove(&account);
        }
    }
}

impl Entry {
    fn showing(&mut self, device: DeviceId) -> Option<&mut Showing> {
        self.devices.iter_mut().find(|showing| showing.device == device)
    }

    /// The most present device counts.
    fn shown(&self) -> Shown {
        match (self.hidden, self.devices.is_empty()) {
            (true, _) => Shown::Offline { last_seen: 0 },
            (false, true) => Shown::Offline { last_seen: self.last_there },
            (false, false) if self.devices.iter().all(|showing| showing.away) => Shown::Away,
            (false, false) => Shown::Online,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::monotonic;

    const ADA: AccountId = AccountId([1; 16]);
    const BOB: AccountId = AccountId([2; 16]);
    const PHONE: DeviceId = DeviceId([11; 16]);
    const LAPTOP: DeviceId = DeviceId([12; 16]);
    const BOBS: DeviceId = DeviceId([21; 16]);
    /// Some time, and what is told of it.
    const NOON: UnixMs = 1_000_000_123_456;
    const TOLD: UnixMs = 999_999_900_000;

    fn known(account: AccountId) -> Known {
        Known { account, hidden: false, last_there: 0 }
    }

    /// Bob watches Ada.
    struct Scene {
        presences: Presences,
        inbox: Arc<Inbox>,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let (mut presences, inbox) = (Presences::default(), Arc::new(Inbox::default()));
            let version = presences.version();
            let (number, seen) = presences.watch(BOBS, BOB, &inbox, &[known(ADA)], version);
            assert_eq!((number, seen), (1, vec![(ADA, Shown::Offline { last_seen: 0 })]));
            Self { presences, inbox, now: monotonic() }
        }

        fn show(&mut self, device: DeviceId, away: bool) {
            let version = self.presences.version();
            assert!(self.presences.show(device, known(ADA), away, NOON, version));
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.presences.settle(self.now, NOON);
        }

        /// What Bob is told at the next turn.
        fn told(&mut self) -> Option<Shown> {
            self.pass(Duration::ZERO);
            let waiting = self.inbox.take_hints()?.presence;
            let (number, mut told) = self.presences.look(BOBS, &self.inbox, &waiting);
            assert!(number > 1 && told.len() <= 1, "one state an account");
            told.pop().map(|(_, shown)| shown)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn devices_merge_and_the_last_of_many_changes_is_told_once() {
        let mut scene = Scene::new();
        for round in 0..1000 {
            scene.show(PHONE, round % 2 == 0);
        }
        assert_eq!(scene.told(), Some(Shown::Online));
        scene.show(LAPTOP, true);
        assert_eq!(scene.told(), None, "somebody online gets no more present");
        scene.show(PHONE, true);
        assert_eq!(scene.told(), Some(Shown::Away));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_in_time_was_never_gone() {
        let mut scene = Scene::new();
        scene.show(PHONE, false);
        assert_eq!(scene.told(), Some(Shown::Online));
        scene.presences.gone(PHONE, ADA, scene.now);
        scene.pass(PRESENCE_GRACE / 2);
        scene.show(PHONE, false);
        scene.pass(PRESENCE_GRACE);
        assert_eq!(scene.told(), None);
        scene.presences.gone(PHONE, ADA, scene.now);
        scene.pass(PRESENCE_GRACE);
        assert_eq!(scene.told(), Some(Shown::Offline { last_seen: TOLD }));
        assert_eq!(scene.presences.there(9), [(ADA, TOLD)]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hides_looks_gone_and_leaves_no_trace() {
        let mut scene = Scene::new();
        scene.show(PHONE, false);
        scene.presences.there(9);
        scene.told();
        let version = scene.presences.version();
        scene.presences.privacy_changed();
        let hidden = Known { hidden: true, ..known(ADA) };
        assert!(!scene.presences.hide(hidden, version), "read before the change");
        assert!(!scene.presences.show(LAPTOP, known(ADA), false, NOON, version), "read before the change");
        let version = scene.presences.version();
        assert!(scene.presences.hide(hidden, version));
        assert_eq!(scene.told(), Some(Shown::Offline { last_seen: 0 }));
        scene.presences.gone(PHONE, ADA, scene.now);
        scene.pass(PRESENCE_GRACE);
        assert_eq!((scene.told(), scene.presences.there(9)), (None, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_lost_the_relation_is_told_nothing_and_learns_nothing_more() {
        let mut scene = Scene::new();
        scene.show(PHONE, false);
        scene.told();
        scene.presences.doubt(&[ADA]);
        assert_eq!(scene.presences.doubts(9), [(BOBS, BOB, vec![ADA])]);
        let version = scene.presences.version();
        scene.presences.resolve(BOBS, &[ADA], &[], version);
        assert_eq!(scene.told(), Some(Shown::Offline { last_seen: 0 }));
        scene.show(PHONE, true);
        assert_eq!(scene.told(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn doubts_reach_the_own_watches_too_and_a_list_that_was_read_too_early() {
        let mut scene = Scene::new();
        scene.presences.doubt(&[BOB]);
        assert_eq!(scene.presences.doubts(9), [(BOBS, BOB, vec![ADA])]);
        let version = scene.presences.version();
        scene.presences.doubt(&[ADA]);
        let inbox = Arc::clone(&scene.inbox);
        let _seen = scene.presences.watch(BOBS, BOB, &inbox, &[known(ADA)], version);
        assert_eq!(scene.presences.doubts(9), [(BOBS, BOB, vec![ADA])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_sent_again_forgets_nothing_that_is_not_durable_yet() {
        let mut scene = Scene::new();
        scene.show(PHONE, false);
        scene.presences.gone(PHONE, ADA, scene.now);
        scene.pass(PRESENCE_GRACE);
        let (inbox, version) = (Arc::clone(&scene.inbox), scene.presences.version());
        let last = Shown::Offline { last_seen: TOLD };
        assert_eq!(scene.presences.watch(BOBS, BOB, &inbox, &[known(ADA)], version).1, [(ADA, last)]);
        scene.presences.watch(BOBS, BOB, &inbox, &[], version);
        assert_eq!(scene.presences.watch(BOBS, BOB, &inbox, &[known(ADA)], version).1, [(ADA, last)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_those_who_have_gone() {
        let mut scene = Scene::new();
        scene.show(PHONE, false);
        scene.presences.doubt(&[ADA]);
        scene.presences.gone(PHONE, ADA, scene.now);
        scene.presences.gone(BOBS, BOB, scene.now);
        scene.pass(PRESENCE_GRACE);
        scene.presences.there(9);
        let Presences { accounts, watches, changed, fading, there, doubts, .. } = scene.presences;
        assert!(accounts.is_empty() && watches.is_empty() && changed.is_empty());
        assert!(fading.is_empty() && there.is_empty() && doubts.is_empty());
    }
}
