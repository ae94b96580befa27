//! What can only be said in the end: whether everything came to everybody.

use super::{Checker, ops::Op, seats::Seat};
use crate::history::Class;

/// Adds what is missing in the end.
pub(super) fn judge(checker: &mut Checker) {
    checker.verdict.commits = checker.highest.values().sum();
    match checker.ended {
        Some(true) => {}
        Some(false) => checker.verdict.find(Class::Lost, 0, "not everybody had come to rest at the end".to_owned()),
        None => checker.verdict.find(Class::Lost, 0, "the history has no end".to_owned()),
    }
    for (class, t, text) in checker.ops.judge(&checker.restores) {
        checker.verdict.find(class, t, text);
    }
    persons(checker);
    light_devices(checker);
    groups(checker);
    checker.groups_go_on();
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
        let at = (*dev, *g);
        let by_era: Vec<_> = (0..=checker.restores.now()).map(|era| entitled(checker, at, seat, era)).collect();
        for (op, sent) in checker.ops.iter().filter(|(_, sent)| sent.g == *g) {
            // What a restore has taken is owed to nobody but its sender, who was told that it is there.
            let standing = sent.stands(&checker.restores);
            let owed = sent.dev == *dev && sent.answered.is_some()
                || standing.is_some_and(|seq| {
                    let era = checker.restores.era(*g, seq);
                    by_era[era].iter().any(|(from, until)| {
                        sent.invoked >= *from
                            && until.is_none_or(|until| sent.answered.is_some_and(|answered| answered < until))
                            && knew(checker, sent, era, seat.epoch_from(*from))
                    })
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
///
/// After a restore, one that was not seen since it came in again is taken to know nobody: it may be on its way back.
fn knew(checker: &Checker, sent: &Op, era: usize, first: Option<u64>) -> bool {
    let sender = (sent.dev, sent.g);
    let Some(since) = checker.restores.since(sender, era) else { return false };
    let seen = checker.seats.get(&sender).and_then(|seat| seat.epoch_between(since, sent.invoked));
    seen.zip(first).map_or(era == 0, |(of_sender, first)| of_sender >= first)
}

/// When the device was a member for sure in an era: from when it knew it, to when somebody first wanted it out.
fn entitled(checker: &Checker, at: super::At, seat: &Seat, era: usize) -> Vec<(u64, Option<u64>)> {
    let Some(since) = checker.restores.since(at, era) else { return Vec::new() };
    let end = checker.restores.end_of(era);
    let stays = seat.stays.iter().filter(|(from, to)| to.is_none_or(|to| to > since) && end.is_none_or(|end| *from < end));
    let stay = |(from, to): &(u64, Option<u64>)| {
        let from = since.max(*from);
        (from, checker.changes.wanted_out(at, from).into_iter().chain(*to).chain(end).min())
    };
    stays.map(stay).collect()
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
        let places = withheld.flat_map(|(op, sent)| sent.places().iter().map(move |seq| (op, *seq)));
        let (restores, now) = (&checker.restores, checker.restores.now());
        // What a restore has taken is gone from then on, and not before.
        let told_until = |seq| if restores.lost(*g, seq) { restores.era(*g, seq) } else { now };
        for (op, seq) in places.filter(|(_, seq)| raw.withheld(*seq, told_until(*seq))) {
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
    let restores = &checker.restores;
    for ((dev, g), seat) in checker.seats.iter().filter(|(at, _)| !restores.is_doubtful(**at)) {
        let newest = checker.newest.get(g).copied().unwrap_or(0);
        if let Some(finally) = seat.finally.as_ref().filter(|finally| finally.member && finally.epoch < newest) {
            found.push((
                Class::Torn,
                format!("device {dev} stays in epoch {} of group {g}, others are in {newest}", finally.epoch),
            ));
        }
    }
    let came_elsewhere = |g: &u32| restores.resets.contains_key(g);
    let never_came = checker.changes.never_came().filter(|(dev, g, _)| !checker.abandoned.contains(dev) && !came_elsewhere(g));
    for (dev, g, accepted) in never_came {
        found.push((Class::Torn, format!("device {dev} was added to group {g} ({accepted} µs), and never came in")));
    }
    for (g, updates) in checker.changes.updates() {
        let newest = checker.newest.get(&g).copied().unwrap_or(0);
        let before = restores.reached.get(&g).copied().unwrap_or(0);
        if before + updates > newest && !came_elsewhere(&g) {
            let text =
                format!("{updates} commits of group {g} were acknowledged behind epoch {before}, and its epoch is {newest}");
            found.push((Class::Lost, text));
        }
    }
    for (class, text) in found {
        checker.verdict.find(class, 0, text);
    }
}
