//! What travelled to light devices: every seq of a window, once each, ascending on a connection.

use std::collections::BTreeMap;

use super::{At, Checker};
use crate::history::{Class, Item};

/// What a light device was given of a group.
#[derive(Default)]
pub(super) struct Raw {
    /// The connection of the last entries, and the last seq on it.
    on: Option<(u32, u64)>,
    /// The highest seq so far, on any connection.
    high: u64,
    /// Ranges that were given, ascending and apart from each other; announced holes are in `holes`.
    given: Vec<(u64, u64)>,
    /// By the era in which the device was told.
    holes: BTreeMap<usize, Vec<(u64, u64)>>,
    /// `(from, to]` where nobody can say whether a window is open: since a restore, up to the next word on it.
    doubts: Vec<(u64, Option<u64>)>,
    /// `(join_seq, leave_seq]` of each window, as the device was told.
    pub(super) windows: Vec<(u64, Option<u64>)>,
}

impl Checker {
    pub(super) fn entries(&mut self, t: u64, (dev, g): At, conn: u32, items: &[Item]) {
        if let Some((_, last)) = self.revoking.get_mut(&dev) {
            *last = Some(t);
        }
        for item in items {
            let (from, to) = item.range();
            let raw = self.raw.entry((dev, g)).or_default();
            let first = to > raw.high;
            let hole = matches!(item, Item::Skipped(..)).then_some(self.restores.now());
            if let Some((class, text)) = raw.take(conn, from, to, hole) {
                self.verdict.find(class, t, format!("device {dev}, group {g}, connection {conn}: {text}"));
            }
            match *item {
                Item::Message(seq, op) if op != 0 => {
                    self.place(t, op, g, seq, dev);
                    if first {
                        self.reached(t, (dev, g), op);
                    }
                }
                Item::Message(seq, _) => {
                    // Encrypted: whose it is stands with those who can read it.
                    if first && let Some(op) = self.ops.at(g, seq) {
                        self.reached(t, (dev, g), op);
                    }
                }
                Item::Commit(seq, epoch) => {
                    self.commit_seen(t, g, *item);
                    let era = self.restores.era(g, seq);
                    if let Some(other) = self.commits.insert((g, era, epoch), seq).filter(|other| *other != seq) {
                        let text = format!("two commits were made in epoch {epoch} of group {g}: entries {other} and {seq}");
                        self.verdict.find(Class::Fork, t, text);
                    }
                }
                Item::Own(_) | Item::Other(_) | Item::Skipped(..) => {}
            }
        }
    }
}

impl Raw {
    fn take(&mut self, conn: u32, from: u64, to: u64, hole: Option<usize>) -> Option<(Class, String)> {
        let before = match self.on {
            Some((on, last)) if on == conn => Some(last),
            _ => None,
        };
        // A new window begins behind the entry that opened it.
        let begins = self.windows.iter().any(|(join, _)| from == join + 1);
        let finding = match before {
            Some(last) if from <= last => Some((Class::Reorder, format!("entry {from} came after entry {last}"))),
            Some(last) if from > last + 1 && !begins => {
                Some((Class::GapUnannounced, format!("entry {from} came after entry {last}")))
            }
            None if from > self.high + 1 && !begins => {
                let text = format!("the connection begins with entry {from}, and {} was the last before", self.high);
                Some((Class::GapUnannounced, text))
            }
            _ => None,
        };
        self.on = Some((conn, to));
        self.high = self.high.max(to);
        add(hole.map_or(&mut self.given, |era| self.holes.entry(era).or_default()), from, to);
        finding
    }

    /// A range inside a window that never came, and was not announced as a hole either. `head`: where the log ends.
    pub(super) fn missing(&self, head: u64) -> Option<(u64, u64)> {
        let mut all = self.given.clone();
        self.holes.values().flatten().for_each(|(from, to)| add(&mut all, *from, *to));
        self.doubts.iter().for_each(|(from, to)| add(&mut all, from + 1, to.unwrap_or(u64::MAX - 1)));
        self.windows.iter().find_map(|(join, leave)| {
            let mut next = join + 1;
            let end = leave.unwrap_or(head);
            for (from, to) in &all {
                if *to < next {
                    continue;
                }
                if *from > next {
                    break;
                }
                next = to + 1;
            }
            (next <= end).then_some((next, end))
        })
    }

    /// A restore has made it doubtful whether a window is open behind this seq.
    pub(super) fn doubt(&mut self, from: u64) {
        if self.doubts.last().is_none_or(|(_, to)| to.is_some()) {
            self.doubts.push((from, None));
        }
    }

    /// The device is told of a window, with this seq.
    pub(super) fn word(&mut self, seq: u64) {
        if let Some(doubt) = self.doubts.last_mut().filter(|(from, to)| to.is_none() && *from < seq) {
            doubt.1 = Some(seq);
        }
    }

    /// Whether the seq stands in a window, and the device was told, in this era at the latest, that it does not get it.
    pub(super) fn withheld(&self, seq: u64, era: usize) -> bool {
        let inside = self.windows.iter().any(|(join, leave)| seq > *join && leave.is_none_or(|leave| seq <= leave));
        let within = |ranges: &[(u64, u64)]| ranges.iter().any(|(from, to)| (*from..=*to).contains(&seq));
        let doubtful = self.doubts.iter().any(|(from, to)| seq > *from && to.is_none_or(|to| seq <= to));
        let holes = self.holes.range(..=era).any(|(_, holes)| within(holes));
        inside && !doubtful && holes && !within(&self.given)
    }

    /// A range that was given although no window covers it.
    pub(super) fn outside(&self) -> Option<(u64, u64)> {
        let windows = || self.windows.iter().chain(&self.doubts);
        let covered = |seq: u64| windows().any(|(join, leave)| seq > *join && leave.is_none_or(|leave| seq <= leave));
        // Windows are few; ranges are split by nothing but their borders.
        self.given.iter().find_map(|(from, to)| {
            let borders = windows().flat_map(|(join, leave)| [Some(*join), join.checked_add(1), *leave, leave.map(|at| at + 1)]);
            let points = borders.flatten().chain([*from, *to]).filter(|at| from <= at && at <= to);
            points.filter(|at| !covered(*at)).min().map(|at| (at, *to))
        })
    }
}

/// Adds a range to ascending ranges that do not touch.
fn add(ranges: &mut Vec<(u64, u64)>, from: u64, to: u64) {
    if let Some(last) = ranges.last_mut()
        && from >= last.0
        && from <= last.1 + 1
    {
        last.1 = last.1.max(to);
        return;
    }
    ranges.push((from, to));
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    *ranges = merged;
}
