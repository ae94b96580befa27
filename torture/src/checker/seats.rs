//! What persons have durably: each message once, in the order of the log.

use std::collections::{HashMap, HashSet};

use super::{At, Checker};
use crate::history::Class;

/// A person in a group.
#[derive(Default)]
pub(super) struct Seat {
    /// From when to when the client counted itself a member.
    pub(super) stays: Vec<(u64, Option<u64>)>,
    /// When it was seen in which epoch, in the order of time.
    pub(super) seen: Vec<(u64, u64)>,
    /// Message → its number in the inbox.
    heard: HashMap<u64, u64>,
    /// The last message of the inbox: its number, its seq.
    last: (u64, u64),
    /// In the end.
    pub(super) finally: Option<Finally>,
}

/// What a client holds in the end.
pub(super) struct Finally {
    pub(super) member: bool,
    pub(super) epoch: u64,
    pub(super) ops: HashSet<u64>,
    /// Messages that stand there twice.
    pub(super) doubled: Vec<u64>,
}

impl Seat {
    /// The epoch in which it was seen last before a time, and not before another one.
    pub(super) fn epoch_between(&self, since: u64, t: u64) -> Option<u64> {
        let later = self.seen.partition_point(|(at, _)| *at < t);
        self.seen[..later].last().filter(|(at, _)| *at >= since).map(|(_, epoch)| *epoch)
    }

    /// The epoch in which it was seen first from a time on.
    pub(super) fn epoch_from(&self, t: u64) -> Option<u64> {
        let earlier = self.seen.partition_point(|(at, _)| *at < t);
        self.seen.get(earlier).map(|(_, epoch)| *epoch).or(self.finally.as_ref().map(|finally| finally.epoch))
    }

    /// `twice`: may this message stand there twice?
    pub(super) fn last(&mut self, member: bool, epoch: u64, ops: &[(u64, u64)], twice: impl Fn(u64) -> bool) {
        let mut finally = Finally { member, epoch, ops: HashSet::with_capacity(ops.len()), doubled: Vec::new() };
        for (_, op) in ops {
            if !finally.ops.insert(*op) && !twice(*op) {
                finally.doubled.push(*op);
            }
        }
        self.finally = Some(finally);
    }
}

impl Checker {
    pub(super) fn hear(&mut self, t: u64, at: At, no: u64, seq: u64, op: u64) {
        let (dev, g) = at;
        self.place(t, op, g, seq, dev);
        let twice = self.twice(op);
        let seat = self.seats.entry(at).or_default();
        match seat.heard.insert(op, no) {
            // Told again after a restart, as the same item.
            Some(before) if before == no => return,
            // Sent again after a restore had taken its first place, to somebody who had to come in anew.
            Some(_) if twice => return,
            Some(before) => {
                let text = format!("device {dev} has message {op} as number {before} and as number {no} of its inbox");
                return self.verdict.find(Class::DuplicateEffect, t, text);
            }
            None => {}
        }
        let (last_no, last_seq) = std::mem::replace(&mut seat.last, (no, seq));
        if no < last_no || seq <= last_seq {
            let text =
                format!("device {dev} took entry {seq} of group {g} (number {no}) after entry {last_seq} (number {last_no})");
            self.verdict.find(Class::Reorder, t, text);
        }
        self.reached(t, at, op);
    }

    pub(super) fn join(&mut self, t: u64, at: At, seq: Option<u64>) {
        if let Some(seq) = seq {
            let raw = self.raw.entry(at).or_default();
            // What was not acknowledged when a backup was made is told again.
            if !raw.windows.iter().any(|(join, _)| *join == seq) {
                raw.windows.push((seq, None));
                if self.restores.era(at.1, seq) == self.restores.now() {
                    raw.word(seq);
                }
            }
        } else {
            let stays = &mut self.seats.entry(at).or_default().stays;
            if stays.last().is_none_or(|(_, end)| end.is_some()) {
                stays.push((t, None));
            }
        }
        self.changes.joined(t, at);
    }

    pub(super) fn leave(&mut self, t: u64, at: At, seq: Option<u64>) {
        self.changes.left(t, at);
        if let Some(seq) = seq {
            let raw = self.raw.entry(at).or_default();
            raw.windows.iter_mut().filter(|(join, end)| end.is_none() && *join < seq).for_each(|window| window.1 = Some(seq));
            if self.restores.era(at.1, seq) == self.restores.now() {
                raw.word(seq);
            }
        } else if let Some(stay) = self.seats.entry(at).or_default().stays.last_mut() {
            stay.1.get_or_insert(t);
        }
    }
}
