//! Signals as the core has them: keys of the current and the previous epoch, and what was heard already.
//!
//! Nothing of it is durable. Whatever is missing, late, repeated or forged is dropped: signals promise nothing.

use std::collections::HashMap;

use sovereign_proto::{signal::AGE_MAX_MS, v1};

use super::{Work, records::Stage};
use crate::{
    clock::UnixMs,
    error::Error,
    mls::{DeviceRef, Ephemeral, OpenedSignal, SignalEpoch},
};

/// Groups whose keys are kept.
const GROUPS_MAX: usize = 64;
/// Devices of which is known what was heard.
const SENDERS_MAX: usize = 4096;

/// What the core remembers of signals, in memory only.
#[derive(Default)]
pub(crate) struct Signals {
    groups: HashMap<[u8; 32], Epochs>,
    heard: HashMap<([u8; 32], DeviceRef), Heard>,
    /// Of the last own signal. Starts with the clock, so that it grows over restarts too.
    counter: u64,
}

/// Something that was said, and who says it.
pub(super) struct HeardSignal {
    pub(super) group: [u8; 32],
    pub(super) from: DeviceRef,
    /// What they are called.
    pub(super) name: String,
    pub(super) what: Ephemeral,
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
    pub(super) fn seal_signal(&mut self, id: &[u8; 32], what: Ephemeral) -> Result<v1::Signal, Error> {
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

    /// What a signal says; `None`: nothing to be heard.
    pub(super) fn hear(&mut self, signal: &v1::Signal) -> Result<Option<HeardSignal>, Error> {
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
        Ok(Some(HeardSignal { group: id, from: opened.from, name, what: opened.what }))
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
