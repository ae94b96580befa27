//! Messages: when they were sent, when they were answered, and where they stand.

use std::collections::HashMap;

use super::restores::Restores;
use crate::history::Class;

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) dev: u32,
    pub(super) g: u32,
    /// When it was handed over.
    pub(super) invoked: u64,
    /// When its sender was told that it is durable.
    pub(super) answered: Option<u64>,
    /// Its place, from whoever told it first. Further ones: it was sent again after a restore that had taken the one
    /// before.
    places: Vec<u64>,
    /// The place that its sender was told.
    told: Option<u64>,
    /// The era in which its sender was told that it never will be taken.
    failed: Option<usize>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Ops {
    all: HashMap<u64, Op>,
    /// In the order they were handed over.
    order: Vec<u64>,
    places: HashMap<(u32, u64), u64>,
    /// Group → (message, seq).
    highest: HashMap<u32, (u64, u64)>,
    /// Group → highest place of any message.
    heads: HashMap<u32, u64>,
}

impl Op {
    /// Where anybody has seen it.
    pub(super) fn places(&self) -> &[u64] {
        &self.places
    }

    /// Where it stands, which no restore has taken.
    pub(super) fn stands(&self, restores: &Restores) -> Option<u64> {
        self.places.iter().copied().find(|seq| !restores.lost(self.g, *seq))
    }
}

impl Ops {
    pub(super) fn invoke(&mut self, t: u64, op: u64, dev: u32, g: u32) {
        self.all.insert(op, Op { dev, g, invoked: t, answered: None, places: Vec::new(), told: None, failed: None });
        self.order.push(op);
    }

    /// Whether this is the first answer.
    pub(super) fn answered(&mut self, t: u64, op: u64, seq: u64) -> bool {
        let Some(known) = self.all.get_mut(&op) else { return false };
        let highest = self.highest.entry(known.g).or_insert((op, seq));
        if seq > highest.1 {
            *highest = (op, seq);
        }
        known.told.get_or_insert(seq);
        known.answered.replace(t).is_none()
    }

    /// Its sender was told in this era that it never will be taken.
    pub(super) fn failed(&mut self, op: u64, era: usize) {
        if let Some(known) = self.all.get_mut(&op) {
            known.failed.get_or_insert(era);
        }
    }

    /// Somebody saw the message there.
    pub(super) fn place(&mut self, op: u64, g: u32, seq: u64, restores: &Restores) -> Result<(), (Class, String)> {
        let Some(known) = self.all.get_mut(&op) else {
            return Err((Class::Phantom, format!("entry {seq} of group {g} is message {op}, which nobody has sent")));
        };
        if known.g != g {
            return Err((Class::Phantom, format!("message {op} stands in group {g}, and was sent to group {}", known.g)));
        }
        let head = self.heads.entry(g).or_default();
        *head = seq.max(*head);
        if !known.places.contains(&seq) {
            // Of two places, a restore has taken the first one.
            let both = |before: &&u64| {
                let first = seq.min(**before);
                restores.era(g, seq) == restores.era(g, **before) || !restores.lost(g, first) || known.told == Some(first)
            };
            if let Some(before) = known.places.iter().find(both) {
                return Err((Class::DuplicateEffect, format!("message {op} of group {g} stands at {before} and at {seq}")));
            }
            known.places.push(seq);
        }
        match self.places.insert((g, seq), op) {
            Some(other) if other != op => {
                Err((Class::Fork, format!("entry {seq} of group {g} is message {op} here and message {other} there")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn get(&self, op: u64) -> Option<&Op> {
        self.all.get(&op)
    }

    /// The message at this place, if anybody has said so.
    pub(super) fn at(&self, g: u32, seq: u64) -> Option<u64> {
        self.places.get(&(g, seq)).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Op)> {
        self.order.iter().filter_map(|op| Some((*op, self.all.get(op)?)))
    }

    pub(super) fn highest_answered(&self, g: u32) -> Option<(u64, u64)> {
        self.highest.get(&g).copied()
    }

    /// The same for every group.
    pub(super) fn highest(&self) -> &HashMap<u32, (u64, u64)> {
        &self.highest
    }

    /// The highest place of a message of the group.
    pub(super) fn head(&self, g: u32) -> u64 {
        self.heads.get(&g).copied().unwrap_or(0)
    }

    /// What can be said of places when all are known: senders' orders, the order of real time, refusals that were none.
    pub(super) fn judge(&self, restores: &Restores) -> Vec<(Class, u64, String)> {
        let mut found = Vec::new();
        let mut last: HashMap<(u32, u32, usize), (u64, u64)> = HashMap::new();
        let mut groups: HashMap<(u32, usize), Vec<(u64, u64)>> = HashMap::new();
        let places = self.iter().flat_map(|(op, known)| known.places.iter().map(move |seq| (op, known, *seq)));
        for (op, known, seq) in places {
            let era = restores.era(known.g, seq);
            if known.places.len() > 1 && known.told == Some(seq) && restores.lost(known.g, seq) {
                let text = format!("message {op} was answered with {seq} of group {}, and was taken again", known.g);
                found.push((Class::DuplicateEffect, known.invoked, text));
            }
            // A refusal after a restore does not speak of what the restore has taken.
            if known.failed.is_some_and(|failed| failed <= era || !restores.lost(known.g, seq)) {
                let text =
                    format!("message {op} stands at {seq} of group {}, and its sender was told that it never will", known.g);
                found.push((Class::Phantom, known.invoked, text));
            }
            groups.entry((known.g, era)).or_default().push((seq, op));
            if let Some((before, at)) = last.insert((known.dev, known.g, era), (op, seq)).filter(|(_, at)| *at > seq) {
                let text = format!(
                    "device {} sent message {before} and then {op} to group {}, and they stand at {at} and {seq}",
                    known.dev, known.g
                );
                found.push((Class::Reorder, known.invoked, text));
            }
        }
        for ((g, _), mut places) in groups {
            places.sort_unstable();
            // From the end: the earliest answer among those behind.
            let mut earliest: Option<(u64, u64)> = None;
            for (seq, op) in places.into_iter().rev() {
                let Some(known) = self.all.get(&op) else { continue };
                if let Some((answered, other)) = earliest.filter(|(answered, _)| *answered < known.invoked) {
                    let text = format!(
                        "message {op} stands at {seq} of group {g}, before message {other}, which was answered ({answered} µs) before it was sent"
                    );
                    found.push((Class::Reorder, known.invoked, text));
                }
                if let Some(answered) = known.answered
                    && earliest.is_none_or(|(before, _)| answered < before)
                {
                    earliest = Some((answered, op));
                }
            }
        }
        found
    }
}
