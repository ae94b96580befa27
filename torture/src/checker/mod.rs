//! Decides from a history alone whether the promises of the delivery contract (docs/delivery-contract.md) were kept.
//!
//! Lines are taken one by one. What can be said at once is said at once; what needs the end (was it ever delivered?) is
//! said by [`Checker::finish`]. A fault of the checker's own assumptions must never look like a success: a device that
//! tells nothing in the end counts as one that lost everything.

mod changes;
mod ending;
mod ops;
mod raw;
mod restores;
mod seats;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

pub(crate) use self::verdict::Verdict;
use self::{changes::Changes, ops::Ops, raw::Raw, restores::Restores, seats::Seat};
use crate::history::{Class, Record, What};

/// A device in a group.
type At = (u32, u32);

/// What is known so far.
#[derive(Default)]
pub(crate) struct Checker {
    verdict: Verdict,
    /// Device → whether it is a person.
    devices: BTreeMap<u32, bool>,
    ops: Ops,
    seats: HashMap<At, Seat>,
    raw: HashMap<At, Raw>,
    changes: Changes,
    restores: Restores,
    /// (group, era, epoch) → the authenticator that somebody has there.
    states: HashMap<(u32, usize, u64), String>,
    /// (group, era, epoch) → where the commit that was made in it stands.
    commits: HashMap<(u32, usize, u64), u64>,
    /// Group → the newest epoch that anybody has had in this era.
    newest: HashMap<u32, u64>,
    /// Group → the newest one of all eras.
    highest: HashMap<u32, u64>,
    /// Device → when its revocation was confirmed.
    revoked: HashMap<u32, u64>,
    /// Devices whose revocation was begun: they are promised nothing more.
    abandoned: HashSet<u32>,
    /// Device → when its revocation was asked for, and when an entry came last from then on.
    revoking: BTreeMap<u32, (u64, Option<u64>)>,
    /// The server was killed, and is not back.
    killed: bool,
    ended: Option<bool>,
}

impl Checker {
    /// The verdict on a file.
    pub(crate) fn read(path: &Path) -> io::Result<Verdict> {
        let mut checker = Self::default();
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            // The last line of a run that was cut off may be half a line.
            match serde_json::from_str(&line) {
                Ok(record) => checker.take(record),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{error}: {line}"))),
            }
        }
        Ok(checker.finish())
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self, Record { t, what }: Record) {
        match what {
            What::Up { ready_us } if self.killed => {
                self.killed = false;
                self.verdict.ready.push(ready_us);
            }
            // Who has not come in since a restore may tell of a state that is no more.
            What::Epoch { dev, g, epoch, auth } if self.restores.stands((dev, g)) => {
                self.seats.entry((dev, g)).or_default().seen.push((t, epoch));
                self.epoch(t, dev, g, epoch, &auth);
            }
            What::Run { .. }
            | What::Epoch { .. }
            | What::Group { .. }
            | What::Gone { .. }
            | What::Reopen { .. }
            | What::Up { .. }
            | What::BackupOk {}
            | What::PutOff { .. } => {}
            What::Upset(upset) => self.verdict.upset(upset.kind),
            What::LastByte { after_us, .. } => self.verdict.last_byte.push(after_us),
            What::Device { dev, person, .. } => {
                self.devices.insert(dev, person);
            }
            What::Invoke { op, dev, g } => self.ops.invoke(t, op, dev, g),
            What::Ok { op, dev, g, seq } => self.answered(t, op, dev, g, seq),
            What::Fail { op, .. } => self.ops.failed(op, self.restores.now()),
            What::Hear { dev, g, no, seq, op } => self.hear(t, (dev, g), no, seq, op),
            What::Entries { dev, conn, g, items } => self.entries(t, (dev, g), conn, &items),
            What::Join { dev, g, seq } => self.join(t, (dev, g), seq),
            What::Leave { dev, g, seq } => self.leave(t, (dev, g), seq),
            What::Change { id, g, kind, whom, .. } => self.changes.wanted(t, id, g, kind, whom),
            What::ChangeOk { id } => {
                if let Some((g, wanted)) = self.changes.accepted(t, id) {
                    self.restores.changed(t, g, wanted);
                }
            }
            What::ChangeFail { id, .. } => self.changes.refused(id),
            What::Alarm { dev, g, class, text } => {
                self.verdict.find(class, t, format!("the client of device {dev} is alarmed in group {g:?}: {text}"));
            }
            What::Live { dev, conn } => {
                if self.revoked.contains_key(&dev) {
                    let text = format!("device {dev} was let in (connection {conn}) after its revocation");
                    self.verdict.find(Class::LateEvent, t, text);
                }
                for (g, accepted) in self.changes.live(t, dev) {
                    let text = format!("device {dev} was let into group {g} ({accepted} µs), and is live without its Welcome");
                    self.verdict.find(Class::Torn, t, text);
                }
            }
            What::Kill { outstanding } => {
                self.killed = true;
                self.verdict.kills += u64::from(outstanding > 0);
            }
            What::Stored { g, next, epoch } => self.stored(t, g, next, epoch),
            What::Backup {} => self.backup(t),
            What::Restored { .. } => self.restored(t),
            What::Kept { g, to, next, epoch } => self.kept(t, g, (to, next), epoch),
            What::Noticed { dev } => self.noticed(t, dev),
            What::Reset { dev, g, to } => self.reset(t, dev, g, &to),
            What::Successor { dev, g, to, epoch, auth } => self.successor(t, dev, g, &(to, epoch, auth)),
            What::Revoke { dev } => {
                self.abandoned.insert(dev);
                self.revoking.entry(dev).or_insert((t, None));
            }
            What::RevokeOk { dev } => {
                self.revoked.entry(dev).or_insert(t);
                self.verdict.revocations += 1;
            }
            What::Final { dev, g, member, epoch, auth, ops } => {
                for (seq, op) in &ops {
                    self.place(t, *op, g, *seq, dev);
                }
                let ops_of_all = &self.ops;
                let twice = |op| ops_of_all.get(op).is_some_and(|op| op.places().len() > 1);
                self.seats.entry((dev, g)).or_default().last(member, epoch, &ops, twice);
                if member && !self.restores.is_doubtful((dev, g)) {
                    self.epoch(t, dev, g, epoch, &auth);
                }
            }
            What::End { settled } => self.ended = Some(settled),
        }
    }

    /// The verdict, at the end of the history.
    pub(crate) fn finish(mut self) -> Verdict {
        ending::judge(&mut self);
        self.verdict.last_entry = self.revoking.values().filter_map(|(asked, last)| Some((*last)? - asked)).collect();
        self.verdict
    }

    /// A sender was told that its message has this place.
    fn answered(&mut self, t: u64, op: u64, dev: u32, g: u32, seq: u64) {
        self.place(t, op, g, seq, dev);
        if self.ops.answered(t, op, seq) {
            self.verdict.sends += 1;
        }
        if let Some(sent) = self.ops.get(op) {
            self.restores.answered(t, (dev, g), sent.invoked, seq);
        }
    }

    /// A restore has taken the message's place, and it was sent again.
    fn twice(&self, op: u64) -> bool {
        self.ops.get(op).is_some_and(|op| op.places().len() > 1)
    }

    /// Somebody says that this message has this place.
    fn place(&mut self, t: u64, op: u64, g: u32, seq: u64, dev: u32) {
        if let Err((class, text)) = self.ops.place(op, g, seq, &self.restores) {
            self.verdict.find(class, t, format!("device {dev}: {text}"));
        }
    }

    /// Rules for whatever reaches a device, by whichever way: it is delivered for the first time.
    fn reached(&mut self, t: u64, (dev, g): At, op: u64) {
        // What was sent again since a restore may have been counted where it stood before.
        let counts = u64::from(!self.twice(op));
        self.verdict.deliveries += counts;
        self.verdict.deliveries_to_persons += counts * u64::from(self.devices.get(&dev).copied().unwrap_or(false));
        let Some(sent) = self.ops.get(op) else { return };
        if self.revoked.get(&dev).is_some_and(|revoked| *revoked < sent.invoked) {
            let text = format!("message {op} reached device {dev}, and was sent after the device's revocation was confirmed");
            self.verdict.find(Class::LateEvent, t, text);
        }
        if let Some(text) = self.changes.stands_outside(t, dev, g, sent) {
            self.verdict.find(Class::Leak, t, format!("message {op} of group {g} reached device {dev}: {text}"));
        }
    }

    fn epoch(&mut self, t: u64, dev: u32, g: u32, epoch: u64, auth: &str) {
        for newest in [self.newest.entry(g).or_default(), self.highest.entry(g).or_default()] {
            *newest = epoch.max(*newest);
        }
        let known = self.states.entry((g, self.restores.now(), epoch)).or_insert_with(|| auth.to_owned());
        if *known != auth {
            let text = format!("device {dev} has another state of group {g} in epoch {epoch} than somebody else");
            self.verdict.find(Class::Fork, t, text);
        }
    }

    fn stored(&mut self, t: u64, g: u32, next: u64, epoch: u64) {
        if let Some((op, seq)) = self.ops.highest_answered(g).filter(|(_, seq)| *seq >= next) {
            let text =
                format!("message {op} was acknowledged at {seq} of group {g}, and the killed server's store ends before {next}");
            self.verdict.find(Class::EarlyAck, t, text);
        }
        if let Some(newest) = self.newest.get(&g).filter(|newest| **newest > epoch) {
            let text =
                format!("a commit for epoch {newest} of group {g} was acknowledged, and the killed server's store has {epoch}");
            self.verdict.find(Class::EarlyAck, t, text);
        }
    }
}
