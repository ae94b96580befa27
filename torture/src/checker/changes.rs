//! Changes of groups as their committers see them: who was let in and put out, and when at the latest.

use std::collections::HashMap;

use super::{At, ops::Op};
use crate::history::Kind;

/// A change that somebody wanted.
struct Change {
    g: u32,
    kind: Kind,
    wanted: u64,
    accepted: Option<u64>,
    refused: bool,
    /// A restore may have undone it.
    doubtful: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Changes {
    all: HashMap<u64, Change>,
    /// (device, group) → the changes that concern its membership, in the order they were wanted.
    of: HashMap<At, Vec<u64>>,
    /// When a device came in for the last time, and when it went.
    joins: HashMap<At, u64>,
    leaves: HashMap<At, u64>,
    /// When a light device was live for the last time, with everything that had waited for it.
    lives: HashMap<u32, u64>,
    /// When the server was restored last.
    restored: Option<u64>,
    /// Group → acknowledged commits that cannot have been somebody else's, wanted since then.
    updates: HashMap<u32, u64>,
}

impl Changes {
    pub(super) fn wanted(&mut self, t: u64, id: u64, g: u32, kind: Kind, whom: Option<u32>) {
        self.all.insert(id, Change { g, kind, wanted: t, accepted: None, refused: false, doubtful: false });
        if let Some(whom) = whom {
            self.of.entry((whom, g)).or_default().push(id);
        }
    }

    /// Group and time of the wish.
    pub(super) fn accepted(&mut self, t: u64, id: u64) -> Option<(u32, u64)> {
        let change = self.all.get_mut(&id)?;
        let first = change.accepted.replace(t).is_none();
        if first && change.kind == Kind::Update && self.restored.is_none_or(|restored| restored < change.wanted) {
            *self.updates.entry(change.g).or_default() += 1;
        }
        Some((change.g, change.wanted))
    }

    /// The server is back where it was when a backup began. Devices whose membership may have changed since.
    pub(super) fn restored(&mut self, t: u64, began: u64) -> Vec<At> {
        self.restored = Some(t);
        self.updates.clear();
        let mut of = Vec::new();
        for (at, ids) in &self.of {
            for id in ids {
                if let Some(change) = self.all.get_mut(id).filter(|change| still_open(change, began)) {
                    change.doubtful = true;
                    of.push(*at);
                }
            }
        }
        of
    }

    pub(super) fn refused(&mut self, id: u64) {
        if let Some(change) = self.all.get_mut(&id) {
            change.refused = true;
        }
    }

    pub(super) fn joined(&mut self, t: u64, at: At) {
        self.joins.insert(at, t);
    }

    /// A connection is live. One that began after an earlier one was live began after everything that had been accepted
    /// before: a Welcome of then is there by now. Groups that the device was let into, and into which it never came.
    pub(super) fn live(&mut self, t: u64, dev: u32) -> Vec<(u32, u64)> {
        let Some(before) = self.lives.insert(dev, t) else { return Vec::new() };
        let at = self.of.keys().filter(|(of, _)| *of == dev);
        let late =
            at.flat_map(|at| self.absent(*at).map(move |accepted| (at.1, accepted))).filter(|(_, accepted)| *accepted < before);
        late.collect()
    }

    pub(super) fn left(&mut self, t: u64, at: At) {
        self.leaves.insert(at, t);
    }

    /// Acknowledged commits by group.
    pub(super) fn updates(&self) -> impl Iterator<Item = (u32, u64)> {
        self.updates.iter().map(|(g, count)| (*g, *count))
    }

    fn about(&self, at: At) -> impl Iterator<Item = &Change> {
        self.of.get(&at).into_iter().flatten().filter_map(|id| self.all.get(id))
    }

    /// Why a message can be none of this device's, by real time alone: the device was let in after the message had been
    /// answered, or was put out, for all to see, before it was sent.
    pub(super) fn stands_outside(&self, t: u64, dev: u32, g: u32, sent: &Op) -> Option<String> {
        let ins = || self.about((dev, g)).filter(|change| matches!(change.kind, Kind::Add | Kind::Create));
        // Everybody in a group was let in by somebody; who was not named there is none of the run's doing.
        let first = ins().map(|change| change.wanted).min()?;
        if sent.answered.is_some_and(|answered| answered < first) {
            return Some(format!("nobody had thought of adding it before {first} µs, and the message was answered before"));
        }
        let out = self.about((dev, g)).filter(|change| change.kind == Kind::Remove && !change.doubtful);
        out.filter_map(|change| Some((change.wanted, change.accepted.filter(|accepted| *accepted < sent.invoked)?)))
            .find(|(wanted, _)| !ins().any(|back| (*wanted..=t).contains(&back.wanted) || still_open(back, *wanted)))
            .map(|(_, accepted)| format!("it was removed at {accepted} µs, before the message was sent"))
    }

    /// The first time from `after` on that somebody wanted the device out.
    pub(super) fn wanted_out(&self, at: At, after: u64) -> Option<u64> {
        self.about(at)
            .filter(|change| matches!(change.kind, Kind::Remove | Kind::Leave) && still_open(change, after))
            .map(|change| change.wanted)
            .min()
    }

    /// Additions that were accepted, and whose device never came in although nobody wanted it out again.
    pub(super) fn never_came(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.of.keys().flat_map(|at| self.absent(*at).map(move |accepted| (at.0, at.1, accepted)))
    }

    /// When somebody was let in who has not come in since, and whom nobody wanted out again.
    fn absent(&self, at: At) -> impl Iterator<Item = u64> {
        let (joined, left) = (self.joins.get(&at).copied(), self.leaves.get(&at).copied());
        let added = self.about(at).filter(|change| matches!(change.kind, Kind::Add | Kind::Create) && !change.doubtful);
        added.filter_map(move |change| {
            let accepted = change.accepted?;
            let came = joined.is_some_and(|joined| joined >= change.wanted || left.is_none_or(|left| left < joined));
            let out = self.wanted_out(at, change.wanted).is_some();
            (!came && !out).then_some(accepted)
        })
    }
}

/// Whether the change may have taken place at `after` or later: it was wanted later, or nobody knows when it was done.
fn still_open(change: &Change, after: u64) -> bool {
    change.wanted >= after || (!change.refused && change.accepted.is_none_or(|accepted| accepted >= after))
}
