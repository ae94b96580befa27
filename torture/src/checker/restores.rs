//! Restores from a backup, which part a history into eras (ADR 0032). What a log held behind the backup is lost, and is
//! owed to nobody; all else crosses the border. Epochs are counted anew, and who stands in a group anew is known when the
//! server takes something from them there.

use std::collections::{HashMap, HashSet};

use super::{At, Checker};
use crate::history::{Class, Item};

/// What the last backup must hold.
#[derive(Default)]
struct Backup {
    began: u64,
    /// Group → the message that was answered highest in its log, and where.
    answered: HashMap<u32, (u64, u64)>,
    /// Group → an epoch that it had reached.
    epochs: HashMap<u32, u64>,
}

/// All restores so far.
#[derive(Default)]
pub(super) struct Restores {
    backup: Option<Backup>,
    /// When each was.
    times: Vec<u64>,
    /// Group → for each restore the last seq that was kept, and the first one behind it.
    cuts: HashMap<u32, Vec<(u64, u64)>>,
    /// Group → since when it goes on from a state that no other can take the place of: a commit was made in this era.
    firm: HashMap<u32, u64>,
    /// (device, group), era → since when the device has stood in the group as it goes on in that era.
    since: HashMap<(At, usize), u64>,
    /// Whose membership was about to change when it was restored, and who has not been heard of since.
    doubtful: HashSet<At>,
    /// Group → an epoch that it had reached in an earlier era, and cannot fall behind.
    pub(super) reached: HashMap<u32, u64>,
    /// Device → restores that it has noticed.
    noticed: HashMap<u32, usize>,
    /// Group → the one that has taken its place.
    pub(super) resets: HashMap<u32, String>,
    /// Group → what somebody has in its place in the end.
    ends: HashMap<u32, (String, u64, String)>,
}

impl Restores {
    /// How many there have been: the number of the era that is now.
    pub(super) fn now(&self) -> usize {
        self.times.len()
    }

    /// When an era ended.
    pub(super) fn end_of(&self, era: usize) -> Option<u64> {
        self.times.get(era).copied()
    }

    /// The era in which a seq was given.
    pub(super) fn era(&self, g: u32, seq: u64) -> usize {
        self.cuts.get(&g).map_or(0, |cuts| cuts.iter().filter(|(_, next)| *next <= seq).count())
    }

    /// Whether a restore has taken what stood there.
    pub(super) fn lost(&self, g: u32, seq: u64) -> bool {
        self.cuts.get(&g).is_some_and(|cuts| cuts.iter().any(|(to, next)| (to + 1..*next).contains(&seq)))
    }

    /// Since when a device has stood in a group for sure, as it goes on in an era; before any restore, from the beginning.
    pub(super) fn since(&self, at: At, era: usize) -> Option<u64> {
        if era == 0 { Some(0) } else { self.since.get(&(at, era)).copied() }
    }

    /// Whether what the device says of the group's state is about the state that it goes on from.
    pub(super) fn stands(&self, at: At) -> bool {
        self.since(at, self.now()).is_some()
    }

    /// Whether nobody can say if the device is in the group.
    pub(super) fn is_doubtful(&self, at: At) -> bool {
        self.doubtful.contains(&at)
    }

    /// A commit stands in the log of this era.
    pub(super) fn committed(&mut self, t: u64, g: u32) {
        if self.now() > 0 {
            self.firm.entry(g).or_insert(t);
        }
    }

    /// A change that was wanted then was accepted.
    pub(super) fn changed(&mut self, t: u64, g: u32, wanted: u64) {
        if self.times.last().is_some_and(|restored| *restored < wanted) {
            self.committed(t, g);
        }
    }

    /// A message was answered, with this seq.
    pub(super) fn answered(&mut self, t: u64, at: At, invoked: u64, seq: u64) {
        let now = self.now();
        if now > 0 && self.era(at.1, seq) == now && self.firm.get(&at.1).is_some_and(|firm| *firm < invoked) {
            self.since.entry((at, now)).or_insert(t);
            self.doubtful.remove(&at);
        }
    }
}

impl Checker {
    pub(super) fn backup(&mut self, t: u64) {
        let mut epochs = self.restores.reached.clone();
        for (g, updates) in self.changes.updates() {
            *epochs.entry(g).or_default() += updates;
        }
        for (g, newest) in &self.newest {
            let epoch = epochs.entry(*g).or_default();
            *epoch = (*newest).max(*epoch);
        }
        self.restores.backup = Some(Backup { began: t, answered: self.ops.highest().clone(), epochs });
    }

    pub(super) fn restored(&mut self, t: u64) {
        self.killed = false;
        self.verdict.restores += 1;
        let Some(backup) = &self.restores.backup else {
            return self.verdict.find(Class::Lost, t, "restored without a backup");
        };
        self.restores.doubtful.extend(self.changes.restored(t, backup.began));
        self.restores.reached.clone_from(&backup.epochs);
        self.restores.times.push(t);
        self.restores.firm.clear();
        self.newest.clear();
    }

    /// What a restored store holds of a group.
    pub(super) fn kept(&mut self, t: u64, g: u32, (to, next): (u64, u64), epoch: u64) {
        self.restores.cuts.entry(g).or_default().push((to, next));
        let Some(backup) = &self.restores.backup else { return };
        if let Some((op, seq)) = backup.answered.get(&g).filter(|(_, seq)| *seq > to) {
            let text = format!("message {op} ({seq} of group {g}) was answered before the backup, which ends with {to}");
            self.verdict.find(Class::Lost, t, text);
        }
        if let Some(newest) = backup.epochs.get(&g).filter(|newest| **newest > epoch) {
            let text = format!("epoch {newest} of group {g} was reached before the backup, which has {epoch}");
            self.verdict.find(Class::Lost, t, text);
        }
        if let Some((op, seq)) = self.ops.highest().get(&g).filter(|(_, seq)| *seq >= next) {
            let text = format!("message {op} stands at {seq} of group {g}, which is to be given again from {next} on");
            self.verdict.find(Class::Fork, t, text);
        }
        for at in self.restores.doubtful.iter().filter(|at| at.1 == g) {
            self.raw.entry(*at).or_default().doubt(to);
        }
    }

    pub(super) fn noticed(&mut self, t: u64, dev: u32) {
        let noticed = self.restores.noticed.entry(dev).or_default();
        *noticed += 1;
        if *noticed > self.restores.times.len() {
            let text = format!("device {dev} was told of more restores than there were");
            self.verdict.find(Class::Lost, t, text);
        }
    }

    pub(super) fn reset(&mut self, t: u64, dev: u32, g: u32, to: &str) {
        if self.restores.now() == 0 {
            self.verdict.find(Class::Fork, t, format!("group {g} was reset on device {dev}, although nothing was restored"));
        }
        let known = self.restores.resets.entry(g).or_insert_with(|| to.to_owned());
        if known != to {
            let text = format!("group {g} goes on in {to} for device {dev}, and in {known} for somebody else");
            self.verdict.find(Class::Fork, t, text);
        }
    }

    pub(super) fn successor(&mut self, t: u64, dev: u32, g: u32, found: &(String, u64, String)) {
        self.reset(t, dev, g, &found.0);
        let known = self.restores.ends.entry(g).or_insert_with(|| found.clone());
        if known != found {
            let text =
                format!("group {g} was reset, and device {dev} has another state of the one in its place than somebody else");
            self.verdict.find(Class::Fork, t, text);
        }
    }

    /// Where a commit of a log stands makes its era.
    pub(super) fn commit_seen(&mut self, t: u64, g: u32, item: Item) {
        if self.restores.now() > 0 && self.restores.era(g, item.range().0) == self.restores.now() {
            self.restores.committed(t, g);
        }
    }

    /// Every group goes on after the last restore, or has found another place.
    pub(super) fn groups_go_on(&mut self) {
        let Restores { cuts, resets, .. } = &self.restores;
        let mut silent: Vec<u32> = cuts
            .iter()
            .filter(|(g, cuts)| {
                let next = cuts.last().map_or(0, |(_, next)| *next);
                !resets.contains_key(g) && self.ops.highest().get(g).is_none_or(|(_, seq)| *seq < next)
            })
            .map(|(g, _)| *g)
            .collect();
        silent.sort_unstable();
        for g in silent {
            self.verdict.find(Class::Lost, 0, format!("no message to group {g} was answered since the last restore"));
        }
    }
}
