//! Signals in the engine: keys of the current and the previous epoch, what was heard already, who types.
//!
//! Nothing of it is durable. Whatever is missing, late, repeated or forged is dropped: signals promise nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sovereign_proto::{
    signal::{AGE_MAX_MS, KIND_MAX, PAYLOAD_MAX, TYPING_MS},
    v1,
};
use tokio::time::Instant;

use super::{Engine, Work, lock, records::Stage};
use crate::{
    clock::{UnixMs, monotonic},
    connection::ConnectionState,
    error::Error,
    mls::{DeviceRef, Ephemeral, OpenedSignal, SignalEpoch},
    model::Event,
};

/// A start is sent again after this time, while typing goes on.
const TYPING_AGAIN: Duration = Duration::from_secs(3);
/// Without another start from them, people have stopped.
const TYPING_ENDS: Duration = Duration::from_millis(TYPING_MS);
/// Groups whose keys are kept.
const GROUPS_MAX: usize = 64;
/// Devices of which is known what was heard.
const SENDERS_MAX: usize = 4096;
/// People who are followed while they type.
const TYPISTS_MAX: usize = 1024;

/// What the core remembers of signals, in memory only.
#[derive(Default)]
pub(crate) struct Signals {
    groups: HashMap<[u8; 32], Epochs>,
    heard: HashMap<([u8; 32], DeviceRef), Heard>,
    /// Of the last own signal. Starts with the clock, so that it grows over restarts too.
    counter: u64,
}

#[derive(Default)]
struct Epochs {
    current: Option<SignalEpoch>,
    previous: Option<SignalEpoch>,
}

/// Counters of one device's signals in one group: the highest, and which of the 64 below it have come.
#[derive(Clone, Copy, Default)]
struct Heard {
    highest: u64,
    below: u64,
    sent_at_ms: u64,
}

/// Who types: others as this device was told, and this device as it has told.
#[derive(Default)]
pub(super) struct Typing {
    others: Mutex<HashMap<([u8; 32], [u8; 16]), Typist>>,
    /// When the last start was sent.
    own: Mutex<HashMap<[u8; 32], Instant>>,
}

struct Typist {
    name: String,
    active: bool,
    until: Instant,
}

impl Signals {
    /// A commit has led the group to `epoch`. Keys of the epoch before are kept for what is on its way, unless somebody
    /// left who holds them too.
    pub(crate) fn passed(&mut self, id: &[u8; 32], epoch: u64, removed: bool) {
        let Some(mut epochs) = self.groups.remove(id) else { return };
        epochs.previous = epochs.current.take().filter(|last| !removed && last.epoch + 1 == epoch);
        if epochs.previous.is_some() {
            self.groups.insert(*id, epochs);
        }
    }

    /// The group's keys go with its other secrets.
    pub(crate) fn forget(&mut self, id: &[u8; 32]) {
        self.groups.remove(id);
        self.heard.retain(|(group, _), _| group != id);
    }

    fn next_counter(&mut self, now: UnixMs) -> u64 {
        self.counter = now.max(self.counter + 1);
        self.counter
    }

    /// Whether it is neither too old nor a repetition.
    fn is_fresh(&mut self, id: &[u8; 32], signal: &OpenedSignal, now: UnixMs) -> bool {
        if signal.sent_at_ms.abs_diff(now) > AGE_MAX_MS {
            return false;
        }
        if self.heard.len() >= SENDERS_MAX {
            // What they could repeat is too old by now.
            self.heard.retain(|_, heard| heard.sent_at_ms + AGE_MAX_MS >= now);
            if self.heard.len() >= SENDERS_MAX {
                return false;
            }
        }
        let heard = self.heard.entry((*id, signal.from)).or_default();
        heard.sent_at_ms = heard.sent_at_ms.max(signal.sent_at_ms);
        heard.take(signal.counter)
    }
}

impl Heard {
    /// Whether the counter has not come before. Below the window everything counts as having come.
    fn take(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let ahead = counter - self.highest;
            // The highest so far becomes one of those below.
            self.below = if ahead > 64 { 0 } else { self.below.checked_shl(ahead_bits(ahead)).unwrap_or(0) | 1 << (ahead - 1) };
            self.highest = counter;
            return true;
        }
        let behind = self.highest - counter;
        if !(1..=64).contains(&behind) || self.below & (1 << (behind - 1)) != 0 {
            return false;
        }
        self.below |= 1 << (behind - 1);
        true
    }
}

fn ahead_bits(ahead: u64) -> u32 {
    u32::try_from(ahead).unwrap_or(u32::MAX)
}

impl Work<'_> {
    /// A signal of this device, sealed in the group's current epoch.
    pub(crate) fn seal_signal(&mut self, id: &[u8; 32], what: Ephemeral) -> Result<v1::Signal, Error> {
        let record = self.known_group(id)?;
        self.may_send(&record)?;
        if record.stage != Stage::Active {
            return Err(Error::GroupClosed("this device is not in it yet".to_owned()));
        }
        self.load_signal_epoch(id)?;
        let (mls, now) = (self.mls, self.now);
        let counter = self.signals.next_counter(now);
        let epochs = self.signals.groups.get(id).and_then(|epochs| epochs.current.as_ref());
        let current = epochs.ok_or_else(|| Error::GroupClosed("it has no epoch here".to_owned()))?;
        let ciphertext = mls.seal_signal(id, current, what, now, counter)?;
        Ok(v1::Signal { group_id: id.to_vec().into(), epoch: current.epoch, ciphertext: ciphertext.into() })
    }

    /// What a signal says, who says it, and what they are called; `None`: nothing to be heard.
    pub(crate) fn hear(&mut self, signal: &v1::Signal) -> Result<Option<([u8; 32], DeviceRef, String, Ephemeral)>, Error> {
        let Ok(id) = <[u8; 32]>::try_from(signal.group_id.as_ref()) else { return Ok(None) };
        if self.group(&id)?.is_none_or(|record| record.stage != Stage::Active) {
            return Ok(None);
        }
        self.load_signal_epoch(&id)?;
        let Some(Epochs { current, previous }) = self.signals.groups.get(&id) else { return Ok(None) };
        let epoch = [current, previous].into_iter().flatten().find(|known| known.epoch == signal.epoch);
        let opened = epoch.and_then(|epoch| self.mls.open_signal(&id, epoch, &signal.ciphertext));
        let Some(opened) = opened.filter(|opened| opened.from != self.mls.me()) else { return Ok(None) };
        if !self.signals.is_fresh(&id, &opened, self.now) {
            return Ok(None);
        }
        let name = self.name_of(&opened.from.account)?;
        Ok(Some((id, opened.from, name, opened.what)))
    }

    /// Makes sure that the current epoch's key is at hand.
    fn load_signal_epoch(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let here = self.look(id, crate::mls::Group::epoch)?;
        let known = self.signals.groups.get(id).and_then(|epochs| epochs.current.as_ref());
        if known.is_some_and(|known| known.epoch == here) {
            return Ok(());
        }
        let mls = self.mls;
        let current = self.look(id, |group| mls.signal_epoch(group))??;
        if self.signals.groups.len() >= GROUPS_MAX {
            self.signals.groups.clear();
        }
        self.signals.groups.entry(*id).or_default().current = Some(current);
        Ok(())
    }
}

impl Engine {
    /// Tells the group that this person types, or has stopped.
    pub(crate) fn type_in(self: &Arc<Self>, group: [u8; 32], active: bool) -> Result<(), Error> {
        if !self.is_live() {
            lock(&self.typing.own).clear();
            return self.run(|work| work.known_group(&group).map(drop));
        }
        let now = monotonic();
        let said = lock(&self.typing.own).get(&group).copied();
        let due = if active { said.is_none_or(|said| now >= said + TYPING_AGAIN) } else { said.is_some() };
        if due {
            self.signal(group, Ephemeral::Typing { active })?;
        }
        let mut own = lock(&self.typing.own);
        own.retain(|_, said| now < *said + TYPING_ENDS);
        match (active, due) {
            (true, true) => drop(own.insert(group, now)),
            (true, false) => {}
            (false, _) => drop(own.remove(&group)),
        }
        Ok(())
    }

    /// Says something of an application's own kind.
    pub(crate) fn say_ephemeral(self: &Arc<Self>, group: [u8; 32], kind: &str, payload: &[u8]) -> Result<(), Error> {
        if !(1..=KIND_MAX).contains(&kind.len()) || payload.len() > PAYLOAD_MAX {
            let bounds = format!("a signal's kind has 1 to {KIND_MAX} bytes, its payload at most {PAYLOAD_MAX}");
            return Err(Error::Usage(bounds));
        }
        self.signal(group, Ephemeral::Custom { kind: kind.to_owned(), payload: payload.to_vec() })
    }

    /// This person has said something in the group, which ends typing there.
    pub(crate) fn has_spoken(&self, group: &[u8; 32]) {
        lock(&self.typing.own).remove(group);
    }

    /// Somebody else's signal.
    pub(super) fn on_signal(self: &Arc<Self>, signal: &v1::Signal) -> Result<(), Error> {
        let Some((group, from, name, what)) = self.run(|work| work.hear(signal))? else { return Ok(()) };
        match what {
            Ephemeral::Typing { .. } if from.account == self.account => {}
            Ephemeral::Typing { active: true } => self.started_typing(group, from.account, name),
            Ephemeral::Typing { active: false } => self.stopped_typing(group, from.account),
            Ephemeral::Custom { kind, payload } => {
                let _ = self.events.send(Event::Signal { group, from: name, from_device: from.device, kind, payload });
            }
        }
        Ok(())
    }

    /// Sent now or never.
    fn signal(self: &Arc<Self>, group: [u8; 32], what: Ephemeral) -> Result<(), Error> {
        if !self.is_live() {
            return self.run(|work| work.known_group(&group).map(drop));
        }
        let signal = self.run(|work| work.seal_signal(&group, what))?;
        self.remote.notify(v1::Notice { body: Some(v1::notice::Body::Signal(signal)) });
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.state.borrow().0 == ConnectionState::Live
    }

    /// One task follows each typist, from the first start to the end of the last.
    fn started_typing(self: &Arc<Self>, group: [u8; 32], account: [u8; 16], name: String) {
        let until = monotonic() + TYPING_ENDS;
        let mut others = lock(&self.typing.others);
        if let Some(typist) = others.get_mut(&(group, account)) {
            typist.until = until;
            if !std::mem::replace(&mut typist.active, true) {
                let _ = self.events.send(Event::Typing { group, from: name, active: true });
            }
            return;
        }
        if others.len() >= TYPISTS_MAX {
            return;
        }
        others.insert((group, account), Typist { name: name.clone(), active: true, until });
        let _ = self.events.send(Event::Typing { group, from: name, active: true });
        drop(others);
        let engine = Arc::clone(self);
        self.spawn(async move {
            let mut until = until;
            loop {
                tokio::time::sleep_until(until).await;
                let mut others = lock(&engine.typing.others);
                let Some(typist) = others.get(&(group, account)) else { return };
                if typist.until > until {
                    until = typist.until;
                    continue;
                }
                if let Some(Typist { name, active: true, .. }) = others.remove(&(group, account)) {
                    let _ = engine.events.send(Event::Typing { group, from: name, active: false });
                }
                return;
            }
        });
    }

    /// They have stopped, or have said what they typed. The end is told once; the task that follows them ends by itself.
    pub(super) fn stopped_typing(&self, group: [u8; 32], account: [u8; 16]) {
        if let Some(typist) = lock(&self.typing.others).get_mut(&(group, account))
            && std::mem::replace(&mut typist.active, false)
        {
            let _ = self.events.send(Event::Typing { group, from: typist.name.clone(), active: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_taken_once_within_the_window() {
        let mut heard = Heard::default();
        assert!(heard.take(1000));
        assert!(!heard.take(1000), "a repetition");
        assert!(heard.take(1002) && heard.take(1001) && !heard.take(1001) && !heard.take(1000));
        assert!(heard.take(1066), "the edge of the window is 64 below");
        assert!(heard.take(1003) && !heard.take(1002) && !heard.take(1003));
        assert!(!heard.take(1001), "below the window nothing is taken");
        assert!(heard.take(5000) && heard.take(4936) && !heard.take(4935));
        assert!(!heard.take(5000) && heard.take(u64::MAX) && !heard.take(0));
    }

    #[test]
    fn what_is_old_or_of_the_future_is_not_fresh() {
        let mut signals = Signals::default();
        let from = DeviceRef { account: [1; 16], device: [2; 16] };
        let now = 1_000_000_000;
        let mut fresh = |sent_at_ms, counter| {
            let what = Ephemeral::Typing { active: true };
            signals.is_fresh(&[3; 32], &OpenedSignal { from, sent_at_ms, counter, what }, now)
        };
        assert!(fresh(now - AGE_MAX_MS, 1) && fresh(now + AGE_MAX_MS, 2));
        assert!(!fresh(now - AGE_MAX_MS - 1, 3) && !fresh(now + AGE_MAX_MS + 1, 4));
    }

    #[test]
    fn counters_grow_whatever_the_clock_does() {
        let mut signals = Signals::default();
        assert_eq!([50, 50, 10, 60].map(|now| signals.next_counter(now)), [50, 51, 52, 60]);
    }
}
