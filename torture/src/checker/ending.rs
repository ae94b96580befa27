//! What can only be said in the end: whether everything came to everybody.

use super::{Checker, seats::Seat};
use crate::history::Class;

/// Adds what is missing in the end.
pub(super) fn judge(checker: &mut Checker) {
    checker.verdict.commits = checker.newest.values().sum();
    match checker.ended {
        Some(true) => {}
        Some(false) => checker.verdict.find(Class::Lost, 0, "not everybody had come to rest at the end".to_owned()),
        None => checker.verdict.find(Class::Lost, 0, "the history has no end".to_owned()),
    }
    for (class, t, text) in checker.ops.judge() {
        checker.verdict.find(class, t, text);
    }
    persons(checker);
    light_devices(checker);
    groups(checker);
}

/// Every message that was answered, or that anybody has, stands with everybody who was a member all the time, and whom its
/// sender could know as one: what is encrypted in an earlier epoch than the reader's first is for those of that epoch
/// (docs/delivery-contract.md, C6).
fn persons(checker: &mut Checker) {
    let mut found = Vec::new();
    let mut seats: Vec<_> = checker.seats.iter().collect();
    seats.sort_unstable_by_key(|(at, _)| **at);
    for ((dev, g), seat) in seats {
        let Some(finally) = &seat.finally else {
            found.push((Class::Lost, format!("device {dev} shows nothing of group {g} in the end")));
            continue;
        };
        for op in &finally.doubled {
            found.push((Class::DuplicateEffect, format!("device {dev} has message {op} twice in its history of group {g}")));
        }
        let member_from = entitled(checker, (*dev, *g), seat);
        for (op, sent) in checker.ops.iter().filter(|(_, sent)| sent.g == *g) {
            if sent.answered.is_none() && sent.seq.is_none() {
                continue;
            }
            let owed = sent.dev == *dev && sent.answered.is_some()
                || member_from.iter().any(|(from, until)| {
                    sent.invoked >= *from
                        && until.is_none_or(|until| sent.answered.is_some_and(|answered| answered < until))
                        && knew(checker, (sent.dev, *g), sent.invoked, seat.epoch_from(*from))
                });
            if owed && !finally.ops.contains(&op) {
                found.push((
                    Class::Lost,
                    format!("message {op} of device {} is not in the history of device {dev} of group {g}", sent.dev),
                ));
            }
        }
    }
    for (class, text) in found {
        checker.verdict.find(class, 0, text);
    }
}

/// Whether the sender had been seen in the reader's first epoch, or in a later one, before it wrote. One that was not seen
/// yet is taken to know everybody.
fn knew(checker: &Checker, sender: super::At, invoked: u64, first: Option<u64>) -> bool {
    let of_sender = checker.seats.get(&sender).and_then(|seat| seat.epoch_before(invoked));
    of_sender.zip(first).is_none_or(|(of_sender, first)| of_sender >= first)
}

/// When the device was a member for sure: from when it knew it, to when somebody first wanted it out.
fn entitled(checker: &Checker, at: super::At, seat: &Seat) -> Vec<(u64, Option<u64>)> {
    let stay = |(from, to): &(u64, Option<u64>)| {
        let until = checker.changes.wanted_out(at, *from).into_iter().chain(*to).min();
        (*from, until)
    };
    seat.stays.iter().map(stay).collect()
}

/// Every seq of every window, and nothing else.
fn light_devices(checker: &mut Checker) {
    let mut found = Vec::new();
    let mut raw: Vec<_> = checker.raw.iter().collect();
    raw.sort_unstable_by_key(|(at, _)| **at);
    for ((dev, g), raw) in raw {
        if let Some((from, to)) = raw.missing(checker.ops.head(*g)).filter(|_| !checker.abandoned.contains(dev)) {
            found.push((Class::Lost, format!("device {dev} was never given entries {from} to {to} of group {g}")));
        }
        let withheld = checker.ops.iter().filter(|(_, sent)| sent.g == *g && sent.dev != *dev);
        for (op, seq) in withheld.filter_map(|(op, sent)| Some((op, sent.seq?))).filter(|(_, seq)| raw.withheld(*seq)) {
            found.push((Class::Lost, format!("device {dev} was told that message {op} ({seq} of group {g}) is gone")));
        }
        if let Some((from, to)) = raw.outside() {
            found.push((Class::Leak, format!("device {dev} was given entries {from} to {to} of group {g}, outside its windows")));
        }
    }
    for (class, text) in found {
        checker.verdict.find(class, 0, text);
    }
}

/// Everybody has followed every commit, and every commit that was acknowledged is one.
fn groups(checker: &mut Checker) {
    let mut found = Vec::new();
    for ((dev, g), seat) in &checker.seats {
        let newest = checker.newest.get(g).copied().unwrap_or(0);
        if let Some(finally) = seat.finally.as_ref().filter(|finally| finally.member && finally.epoch < newest) {
            found.push((
                Class::Torn,
                format!("device {dev} stays in epoch {} of group {g}, others are in {newest}", finally.epoch),
            ));
        }
    }
    for (dev, g, accepted) in checker.changes.never_came().filter(|(dev, ..)| !checker.abandoned.contains(dev)) {
        found.push((Class::Torn, format!("device {dev} was added to group {g} ({accepted} µs), and never came in")));
    }
    for (g, updates) in checker.changes.updates() {
        let newest = checker.newest.get(&g).copied().unwrap_or(0);
        if updates > newest {
            found.push((Class::Lost, format!("{updates} commits of group {g} were acknowledged, and its epoch is {newest}")));
        }
    }
    for (class, text) in found {
        checker.verdict.find(class, 0, text);
    }
}
