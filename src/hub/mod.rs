//! Who is live, and who has to be woken. Knows no disk: losing everything here loses nothing.

mod inbox;
mod presence;
mod room;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use sovereign_proto::v1::push;

use self::room::Room;
pub use self::{
    inbox::{Hints, Inbox, Mail, Progress},
    presence::{Known, Presences, Shown, Version},
    room::Relayed,
};
use crate::{
    clock::{Instant, UnixMs, monotonic},
    ids::{AccountId, DeviceId, GroupId, LogId},
    refusal::CloseCode,
};

/// The live devices and the groups they read. Cheap to clone; clones are the same hub.
#[derive(Clone, Default)]
pub struct Hub {
    live: Arc<Mutex<Live>>,
    /// Locked behind `live` where both are.
    presences: Arc<Mutex<Presences>>,
    next_connection: Arc<AtomicU64>,
}

#[derive(Default)]
struct Live {
    devices: HashMap<DeviceId, Registered>,
    /// A group without live readers has no room.
    rooms: HashMap<GroupId, Room>,
    /// Counts what may have changed who is a member of a room.
    changes: u64,
}

struct Registered {
    connection: u64,
    since: Instant,
    account: AccountId,
    inbox: Arc<Inbox>,
    groups: Vec<GroupId>,
}

/// A live connection as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Counts on from 1 since the start.
    pub number: u64,
    /// Whose connection it is.
    pub device: DeviceId,
    /// Of which account.
    pub account: AccountId,
    /// Since when it is authenticated.
    pub since: Instant,
}

/// A device's place in the hub; dropping it takes the device out, unless a newer connection has superseded it.
pub struct Registration {
    hub: Hub,
    device: DeviceId,
    connection: u64,
}

impl Hub {
    /// Makes `device` live. An earlier connection of the same device is closed with 4009.
    #[must_use]
    pub fn register(&self, device: DeviceId, account: AccountId, inbox: Arc<Inbox>) -> Registration {
        let connection = self.next_connection.fetch_add(1, Ordering::Relaxed) + 1;
        let mut live = self.lock();
        if let Some(old) = live.take_out(device) {
            old.inbox.close(CloseCode::Superseded);
            self.presences().gone(device, old.account, monotonic());
        }
        live.devices.insert(device, Registered { connection, since: monotonic(), account, inbox, groups: Vec::new() });
        Registration { hub: self.clone(), device, connection }
    }

    /// From now on `device`, if it is live, is woken for these groups.
    pub fn subscribe(&self, device: DeviceId, groups: impl IntoIterator<Item = GroupId>) {
        let mut live = self.lock();
        let Live { devices, rooms, changes } = &mut *live;
        let Some(registered) = devices.get_mut(&device) else { return };
        *changes += 1;
        for group in groups {
            if rooms.entry(group).or_default().enter(device, &registered.inbox, *changes) {
                registered.groups.push(group);
            }
        }
    }

    /// `device` has come into this group by itself: it reads it from where its new window starts.
    pub fn reopen(&self, device: DeviceId, group: GroupId) {
        self.subscribe(device, [group]);
        if let Some(registered) = self.lock().devices.get(&device) {
            registered.inbox.reopen(LogId::Group(group));
        }
    }

    /// `device` reads this group no longer.
    pub fn unsubscribe(&self, device: DeviceId, group: GroupId) {
        let mut live = self.lock();
        live.remove_reader(device, group);
        if let Some(registered) = live.devices.get_mut(&device) {
            registered.groups.retain(|known| *known != group);
        }
    }

    /// Tells the live readers of a log that it has grown.
    pub fn wake(&self, log: LogId) {
        let live = self.lock();
        match log {
            LogId::Group(group) => {
                if let Some(room) = live.rooms.get(&group) {
                    room.wake(log);
                }
            }
            LogId::Device(device) => {
                if let Some(registered) = live.devices.get(&device) {
                    registered.inbox.wake(log);
                }
            }
        }
    }

    /// Leaves a signal, as the frame that all of them get, for the other live members of a group. It goes nowhere where
    /// the sender is no live member that may send.
    #[must_use]
    pub fn relay(&self, group: GroupId, from: DeviceId, frame: &Bytes) -> Relayed {
        self.lock().rooms.get(&group).map_or(Relayed::Done, |room| room.relay(group, from, frame))
    }

    /// What the store says of a group's leaves, ascending, and whether each may send, asked after [`Relayed::Unsettled`]
    /// named this change.
    pub fn settle(&self, group: GroupId, change: u64, leaves: &[(DeviceId, bool)]) {
        if let Some(room) = self.lock().rooms.get_mut(&group) {
            room.settle(change, leaves);
        }
    }

    /// Who is a member of the group, or may send there, has changed: nothing is relayed before the store was asked again.
    pub fn unsettle(&self, group: GroupId) {
        self.lock().unsettle(&[group]);
    }

    /// Leaves a push for `device`, if it is live.
    pub fn push(&self, device: DeviceId, body: push::Body) {
        if let Some(registered) = self.lock().devices.get(&device) {
            registered.inbox.push(body);
        }
    }

    /// Leaves a push for every live device whose account is to get one.
    pub fn push_accounts(&self, body: impl Fn(AccountId) -> Option<push::Body>) {
        for registered in self.lock().devices.values() {
            if let Some(body) = body(registered.account) {
                registered.inbox.push(body);
            }
        }
    }

    /// Closes the connection of `device`, if it is live.
    pub fn close(&self, device: DeviceId, code: CloseCode) {
        let mut live = self.lock();
        let Some(registered) = live.devices.get(&device) else { return };
        registered.inbox.close(code);
        let rooms = registered.groups.clone();
        live.unsettle(&rooms);
    }

    /// Closes every connection of `account`.
    pub fn close_account(&self, account: AccountId, code: CloseCode) {
        self.close_where(|_, registered| registered.account == account, code);
    }

    /// Closes every connection of `account` but that of `device`.
    pub fn close_account_but(&self, account: AccountId, device: DeviceId, code: CloseCode) {
        self.close_where(|known, registered| registered.account == account && *known != device, code);
    }

    /// Closes the connections of all devices.
    pub fn close_all(&self, code: CloseCode) {
        self.close_where(|_, _| true, code);
    }

    fn close_where(&self, concerned: impl Fn(&DeviceId, &Registered) -> bool, code: CloseCode) {
        let mut live = self.lock();
        let concerned = live.devices.iter().filter(|(device, registered)| concerned(device, registered));
        let concerned = concerned.inspect(|(_, registered)| registered.inbox.close(code));
        // What they still say before they end is looked at anew.
        let rooms: Vec<GroupId> = concerned.flat_map(|(_, registered)| registered.groups.iter().copied()).collect();
        live.unsettle(&rooms);
    }

    /// The live connections with numbers above `after`, ascending, of one account or of all, at most `limit`.
    #[must_use]
    pub fn sessions(&self, account: Option<AccountId>, after: u64, limit: usize) -> Vec<LiveSession> {
        let wanted = |registered: &Registered| {
            registered.connection > after && account.is_none_or(|account| account == registered.account)
        };
        let mut sessions: Vec<LiveSession> = self
            .lock()
            .devices
            .iter()
            .filter(|(_, registered)| wanted(registered))
            .map(|(device, registered)| LiveSession {
                number: registered.connection,
                device: *device,
                account: registered.account,
                since: registered.since,
            })
            .collect();
        sessions.sort_unstable_by_key(|session| session.number);
        sessions.truncate(limit);
        sessions
    }

    /// Closes the live connection of that number; whose it was, if there is one.
    #[must_use]
    pub fn close_session(&self, number: u64, code: CloseCode) -> Option<DeviceId> {
        let live = self.lock();
        let (device, registered) = live.devices.iter().find(|(_, registered)| registered.connection == number)?;
        registered.inbox.close(code);
        Some(*device)
    }

    /// Which of these devices are live.
    #[must_use]
    pub fn live_among(&self, devices: impl IntoIterator<Item = DeviceId>) -> HashSet<DeviceId> {
        let live = self.lock();
        devices.into_iter().filter(|device| live.devices.contains_key(device)).collect()
    }

    /// How many devices of each account are live.
    #[must_use]
    pub fn live_by_account(&self) -> HashMap<AccountId, u32> {
        let mut counts = HashMap::new();
        for registered in self.lock().devices.values() {
            *counts.entry(registered.account).or_insert(0) += 1;
        }
        counts
    }

    /// The live readers of a group, in the order they came.
    #[must_use]
    pub fn readers(&self, group: GroupId) -> Vec<DeviceId> {
        self.lock().rooms.get(&group).map(Room::devices).unwrap_or_default()
    }

    /// Tells the live readers of a group what `progress` gives for their account.
    pub fn tell_progress(&self, group: GroupId, progress: impl Fn(AccountId) -> Vec<(AccountId, Progress)>) {
        let live = self.lock();
        for device in live.rooms.get(&group).map(Room::devices).unwrap_or_default() {
            let Some(registered) = live.devices.get(&device) else { continue };
            let news = progress(registered.account);
            if !news.is_empty() {
                registered.inbox.receipts(group, &news);
            }
        }
    }

    /// Whether anybody live reads the group.
    #[must_use]
    pub fn is_read(&self, group: GroupId) -> bool {
        self.lock().rooms.contains_key(&group)
    }

    /// `device` shows itself. False: what the account hides has changed meanwhile, so ask the store again. A connection
    /// that has ended does nothing, however late its request comes through.
    #[must_use]
    pub fn show(&self, device: DeviceId, inbox: &Arc<Inbox>, known: Known, away: bool, now: UnixMs, version: Version) -> bool {
        let live = self.lock();
        !live.is_of(device, inbox) || self.presences().show(device, known, away, now, version)
    }

    /// `device` is told of exactly these accounts from now on; the telling's number, and what is to be seen of them
    /// now.
    #[must_use]
    pub fn watch(
        &self,
        device: DeviceId,
        account: AccountId,
        inbox: &Arc<Inbox>,
        known: &[Known],
        version: Version,
    ) -> (u64, Vec<(AccountId, Shown)>) {
        let live = self.lock();
        if live.is_of(device, inbox) { self.presences().watch(device, account, inbox, known, version) } else { (0, Vec::new()) }
    }

    /// What `device` is to be told of accounts whose presence has changed.
    #[must_use]
    pub fn look(&self, device: DeviceId, inbox: &Inbox, accounts: &BTreeSet<AccountId>) -> (u64, Vec<(AccountId, Shown)>) {
        self.presences().look(device, inbox, accounts)
    }

    /// The presences of everybody.
    pub fn presences(&self) -> MutexGuard<'_, Presences> {
        self.presences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many devices are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().devices.len()
    }

    /// Whether nobody is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing in here is left half-changed by a panic: every change is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// Whether it is that connection by which the device is live.
    fn is_of(&self, device: DeviceId, inbox: &Arc<Inbox>) -> bool {
        self.devices.get(&device).is_some_and(|registered| Arc::ptr_eq(&registered.inbox, inbox))
    }

    fn take_out(&mut self, device: DeviceId) -> Option<Registered> {
        let registered = self.devices.remove(&device)?;
        for group in &registered.groups {
            self.remove_reader(device, *group);
        }
        Some(registered)
    }

    fn remove_reader(&mut self, device: DeviceId, group: GroupId) {
        if let Some(room) = self.rooms.get_mut(&group) {
            room.leave(device);
            if room.is_empty() {
                self.rooms.remove(&group);
            }
        }
    }

    fn unsettle(&mut self, groups: &[GroupId]) {
        self.changes += 1;
        for group in groups {
            if let Some(room) = self.rooms.get_mut(group) {
                room.unsettle(self.changes);
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut live = self.hub.lock();
        if live.devices.get(&self.device).is_some_and(|registered| registered.connection == self.connection)
            && let Some(registered) = live.take_out(self.device)
        {
            self.hub.presences().gone(self.device, registered.account, monotonic());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([1; 16]);
    const ACCOUNT: AccountId = AccountId([2; 16]);
    const GROUP: GroupId = GroupId([3; 32]);

    #[test]
    fn the_newest_connection_wins_and_the_old_cannot_unregister_it() {
        let hub = Hub::default();
        let (old, new) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        let first = hub.register(DEVICE, ACCOUNT, Arc::clone(&old));
        let _second = hub.register(DEVICE, ACCOUNT, Arc::clone(&new));
        assert_eq!(old.take().close, Some(CloseCode::Superseded));
        drop(first);
        hub.subscribe(DEVICE, [GROUP]);
        hub.wake(LogId::Group(GROUP));
        assert_eq!(new.take().woken, [LogId::Group(GROUP)]);
    }

    #[test]
    fn signals_wait_for_the_store_and_again_after_every_change() {
        let (hub, frame) = (Hub::default(), Bytes::from_static(b"signal"));
        let devices = [DEVICE, DeviceId([2; 16]), DeviceId([3; 16])];
        let inboxes = devices.map(|_| Arc::new(Inbox::default()));
        let registrations: Vec<_> = (0..3).map(|i| hub.register(devices[i], ACCOUNT, Arc::clone(&inboxes[i]))).collect();
        devices.iter().for_each(|device| hub.subscribe(*device, [GROUP]));
        let unsettled = || match hub.relay(GROUP, DEVICE, &frame) {
            Relayed::Unsettled(change) => change,
            Relayed::Done => panic!("nobody was asked"),
        };
        let heard = || [0, 1, 2].map(|i: usize| inboxes[i].take().signals.len());

        let change = unsettled();
        hub.settle(GROUP, change, &[(devices[0], true), (devices[1], false)]);
        assert_eq!(hub.relay(GROUP, devices[0], &frame), Relayed::Done);
        assert_eq!(heard(), [0, 1, 0], "who is leaving hears, and who only reads does not");
        for silent in [devices[1], devices[2], DeviceId([9; 16])] {
            assert_eq!(hub.relay(GROUP, silent, &frame), Relayed::Done);
        }
        assert_eq!(heard(), [0, 0, 0], "neither may say anything");

        hub.unsettle(GROUP);
        hub.settle(GROUP, change, &[(devices[0], true), (devices[1], true)]);
        let change = unsettled();
        hub.close(devices[1], CloseCode::SessionEnded);
        hub.settle(GROUP, change, &[(devices[0], true), (devices[1], true)]);
        hub.settle(GROUP, unsettled(), &[(devices[0], true)]);
        assert_eq!(hub.relay(GROUP, devices[0], &frame), Relayed::Done);
        assert_eq!(heard(), [0, 0, 0], "an answer from before the change does not count");
        drop(registrations);
        assert_eq!(hub.relay(GROUP, DEVICE, &frame), Relayed::Done, "nobody is there");
    }

    #[test]
    fn sessions_are_numbered_and_end_by_their_number() {
        let hub = Hub::default();
        let inboxes: Vec<_> = (0..3).map(|_| Arc::new(Inbox::default())).collect();
        let live: Vec<_> = (0..3)
            .map(|n| hub.register(DeviceId([n; 16]), AccountId([n % 2; 16]), Arc::clone(&inboxes[usize::from(n)])))
            .collect();
        let numbers = |account, after, limit| -> Vec<u64> {
            hub.sessions(account, after, limit).iter().map(|session| session.number).collect()
        };
        assert_eq!((numbers(None, 0, 2), numbers(None, 2, 2)), (vec![1, 2], vec![3]));
        assert_eq!(numbers(Some(AccountId([0; 16])), 0, 9), [1, 3]);
        assert_eq!(hub.close_session(2, CloseCode::SessionEnded), Some(DeviceId([1; 16])));
        assert_eq!(inboxes[1].take().close, Some(CloseCode::SessionEnded));
        assert_eq!(hub.close_session(9, CloseCode::SessionEnded), None);
        assert_eq!(hub.live_by_account()[&AccountId([0; 16])], 2);
        drop(live);
    }

    #[test]
    fn who_left_is_not_woken() {
        let hub = Hub::default();
        let inbox = Arc::new(Inbox::default());
        let registration = hub.register(DEVICE, ACCOUNT, Arc::clone(&inbox));
        hub.subscribe(DEVICE, [GROUP, GROUP]);
        assert_eq!(hub.readers(GROUP), [DEVICE]);
        hub.unsubscribe(DEVICE, GROUP);
        hub.wake(LogId::Group(GROUP));
        assert!(inbox.take().woken.is_empty());
        hub.subscribe(DEVICE, [GROUP]);
        drop(registration);
        assert!(hub.readers(GROUP).is_empty() && hub.is_empty());
    }
}
