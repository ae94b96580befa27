//! What the rest of the server leaves for one session. Bounded: wake-ups of one log coalesce, pushes are hints.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use sovereign_proto::v1::push;
use tokio::sync::Notify;

use crate::{
    ids::{AccountId, DeviceId, GroupId, LogId, Seq},
    limits::{WAITING_PUSHES, WAITING_RECEIPTS, WAITING_SIGNALS, WAITING_SIGNALS_PER_SENDER},
    refusal::CloseCode,
};

/// Left by anybody, emptied by its session.
#[derive(Default)]
pub struct Inbox {
    mail: Mutex<Mail>,
    hints: Mutex<Hints>,
    /// Something stands in `hints`: looked at often, so not under the lock.
    hinted: AtomicBool,
    tellings: AtomicU64,
    arrived: Notify,
}

/// How far a member has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Acknowledged, durably.
    pub delivered: Seq,
    /// Read, as the member says.
    pub read: Seq,
}

/// What may wait until the socket has room, and of which only the newest state counts.
#[derive(Default)]
pub struct Hints {
    /// Accounts whose presence has changed, each once. Bounded by the watch list.
    pub presence: BTreeSet<AccountId>,
    /// Members who have got further. Bounded; beyond it what came last is not told.
    pub receipts: BTreeMap<GroupId, BTreeMap<AccountId, Progress>>,
    receipts_waiting: usize,
}

/// What had been left.
#[derive(Default)]
pub struct Mail {
    /// Logs that have grown, each once.
    pub woken: Vec<LogId>,
    /// Logs that are to be read from the store's cursor again, because another window of them is open now.
    pub reopened: Vec<LogId>,
    /// Pushes, oldest first.
    pub pushes: VecDeque<push::Body>,
    /// Signals, oldest first.
    pub signals: VecDeque<WaitingSignal>,
    /// The connection is to be closed with this code: the first reason stands.
    pub close: Option<CloseCode>,
}

/// A signal on its way to one session. The frame is shared by all who hear it.
pub struct WaitingSignal {
    group: GroupId,
    from: DeviceId,
    /// The whole push.
    pub frame: Bytes,
}

impl Inbox {
    /// The log has grown.
    pub fn wake(&self, log: LogId) {
        let mut mail = self.lock();
        if !mail.woken.contains(&log) {
            mail.woken.push(log);
            drop(mail);
            self.arrived.notify_one();
        }
    }

    /// Another window of the log is open now.
    pub fn reopen(&self, log: LogId) {
        let mut mail = self.lock();
        if !mail.reopened.contains(&log) {
            mail.reopened.push(log);
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Leaves a push. Beyond the bound the oldest is dropped: pushes are hints.
    pub fn push(&self, body: push::Body) {
        let mut mail = self.lock();
        if mail.pushes.len() == WAITING_PUSHES {
            mail.pushes.pop_front();
        }
        mail.pushes.push_back(body);
        drop(mail);
        self.arrived.notify_one();
    }

    /// Leaves a signal. Beyond the bounds the sender's oldest in this group is dropped, or the oldest of all: no sender
    /// costs more than its share, whatever it sends.
    pub fn signal(&self, group: GroupId, from: DeviceId, frame: &Bytes) {
        let mut mail = self.lock();
        let waiting = &mut mail.signals;
        if waiting.len() >= WAITING_SIGNALS_PER_SENDER {
            let same = |other: &WaitingSignal| other.from == from && other.group == group;
            if waiting.iter().filter(|other| same(other)).count() >= WAITING_SIGNALS_PER_SENDER {
                let oldest = waiting.iter().position(same);
                oldest.and_then(|index| waiting.remove(index));
            } else if waiting.len() >= WAITING_SIGNALS {
                waiting.pop_front();
            }
        }
        waiting.push_back(WaitingSignal { group, from, frame: frame.clone() });
        drop(mail);
        self.arrived.notify_one();
    }

    /// The account shows another presence than before.
    pub fn presence(&self, account: AccountId) {
        if self.hints().presence.insert(account) {
            self.hint();
        }
    }

    /// Changes that have not been sent are of an earlier watch list.
    pub fn forget_presence(&self) {
        self.hints().presence.clear();
    }

    /// The number of the next thing that is told of presence.
    pub fn next_telling(&self) -> u64 {
        self.tellings.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Members of a group have got further.
    pub fn receipts(&self, group: GroupId, progress: &[(AccountId, Progress)]) {
        let mut hints = self.hints();
        let Hints { receipts, receipts_waiting, .. } = &mut *hints;
        for (account, new) in progress {
            let waits = receipts.get(&group).is_some_and(|group| group.contains_key(account));
            if !waits {
                if *receipts_waiting == WAITING_RECEIPTS {
                    continue;
                }
                *receipts_waiting += 1;
            }
            receipts.entry(group).or_default().insert(*account, *new);
        }
        drop(hints);
        self.hint();
    }

    /// Takes the hints that may be sent now, if there are any.
    pub fn take_hints(&self) -> Option<Hints> {
        if !self.hinted.load(Ordering::Acquire) {
            return None;
        }
        // Whatever comes from here on hints again.
        self.hinted.store(false, Ordering::Release);
        let mut hints = self.hints();
        let receipts = std::mem::take(&mut hints.receipts);
        hints.receipts_waiting = 0;
        Some(Hints { presence: std::mem::take(&mut hints.presence), receipts, receipts_waiting: 0 })
    }

    /// Asks the session to close.
    pub fn close(&self, code: CloseCode) {
        self.lock().close.get_or_insert(code);
        self.arrived.notify_one();
    }

    /// Waits until something has been left. Safe to cancel.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all that was left.
    pub fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hint(&self) {
        self.hinted.store(true, Ordering::Release);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use sovereign_proto::v1;

    use super::*;

    #[test]
    fn wake_ups_coalesce_and_pushes_are_bounded() {
        let inbox = Inbox::default();
        for _ in 0..1000 {
            inbox.wake(LogId::Device(DeviceId([1; 16])));
            inbox.push(push::Body::Live(v1::Live {}));
        }
        let mail = inbox.take();
        assert_eq!((mail.woken.len(), mail.pushes.len()), (1, WAITING_PUSHES));
    }

    #[test]
    fn a_flood_of_signals_costs_its_sender_its_own_and_nobody_elses() {
        let inbox = Inbox::default();
        let (group, frame) = (GroupId([1; 32]), Bytes::from_static(b"signal"));
        inbox.signal(group, DeviceId([2; 16]), &Bytes::from_static(b"somebody else's"));
        for _ in 0..1000 {
            inbox.signal(group, DeviceId([1; 16]), &frame);
        }
        let signals = inbox.take().signals;
        assert_eq!(signals.len(), WAITING_SIGNALS_PER_SENDER + 1);
        assert_eq!(signals[0].frame, "somebody else's");
        for sender in 0..=255 {
            (0..2).for_each(|_| inbox.signal(group, DeviceId([sender; 16]), &frame));
        }
        assert_eq!(inbox.take().signals.len(), WAITING_SIGNALS);
    }

    #[test]
    fn hints_coalesce_and_are_bounded() {
        let inbox = Inbox::default();
        assert!(inbox.take_hints().is_none());
        let (ada, group) = (AccountId([1; 16]), GroupId([2; 32]));
        for seq in 0..1000 {
            inbox.presence(ada);
            inbox.receipts(group, &[(ada, Progress { delivered: seq, read: 0 })]);
        }
        let hints = inbox.take_hints().expect("something waits");
        assert_eq!(hints.presence, BTreeSet::from([ada]));
        assert_eq!(hints.receipts[&group], BTreeMap::from([(ada, Progress { delivered: 999, read: 0 })]));
        for number in 0..=u8::MAX {
            let members: Vec<_> = (0..64).map(|member| (AccountId([member; 16]), Progress::default())).collect();
            inbox.receipts(GroupId([number; 32]), &members);
        }
        let waiting: usize = inbox.take_hints().expect("something waits").receipts.values().map(BTreeMap::len).sum();
        assert_eq!(waiting, WAITING_RECEIPTS);
    }

    #[tokio::test]
    async fn what_is_left_before_the_wait_ends_it() {
        let inbox = Inbox::default();
        inbox.close(CloseCode::Restart);
        inbox.close(CloseCode::Normal);
        inbox.arrived().await;
        assert_eq!(inbox.take().close, Some(CloseCode::Restart), "the first reason stands");
    }
}
