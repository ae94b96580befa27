//! Entries of a group's log, in order, each once: checked against the running hash, decrypted, recorded.

use sovereign_proto::{
    log::{Kind, entry_hash, running_hash},
    v1::{self, SkippedReason, entry::Body, own::What},
};

use super::{
    content::{self, View},
    core::Work,
    records::{CounterRecord, GroupRecord, HistoryRecord, InboxRecord, LogRecord, ProposalRecord, Said, Stage},
};
use crate::{
    error::Error,
    event::{Alarm, Event},
    mls::{DeviceRef, Mls, MlsError},
    model::{Message, SendOptions},
    vault::{Blob, Space},
};

/// What stands in the way of the next entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: all were applied, or belong to no state of this device.
    Nothing,
    /// Entries behind this seq are missing.
    Entries { after: u64 },
    /// A message is of an account that is not pinned yet.
    Identity([u8; 16]),
    /// A commit cannot be processed.
    Broken { epoch: u64 },
}

/// Why a message gave no content.
enum Unopened {
    /// Its sender is not pinned yet.
    Stranger([u8; 16]),
    Mls(MlsError),
}

/// Running hashes kept behind the cursor, to compare with what others saw.
const CHAIN_LENGTH: u64 = 512;
/// Proposals kept in one epoch.
const PROPOSALS_MAX: usize = 256;

impl Work<'_> {
    /// Applies what fits of `entries`, which are of one group and ascending. `strangers` are accounts that could not be
    /// learned: their messages are taken under their id.
    pub(crate) fn apply(&mut self, id: &[u8; 32], entries: &[v1::Entry], strangers: &[[u8; 16]]) -> Result<Need, Error> {
        let mut need = Need::Nothing;
        for entry in entries {
            let Some(record) = self.group(id)?.filter(|record| record.stage == Stage::Active) else { break };
            let Some(log) = self.log(id)?.filter(|log| !log.alarmed) else { break };
            if entry.seq <= log.cursor && skipped_to(entry).is_none_or(|to| to <= log.cursor) {
                self.compare_again(id, entry)?;
                continue;
            }
            if entry.seq > log.cursor + 1 {
                need = Need::Entries { after: log.cursor };
                break;
            }
            need = self.entry(record, log, entry, strangers)?;
            if need != Need::Nothing {
                break;
            }
        }
        if let Some(log) = self.log(id)?.filter(|log| !log.alarmed && log.cursor > 0) {
            self.effects.acknowledge.insert(id.to_vec(), log.cursor);
            self.close_at_end(id, log.cursor)?;
        }
        Ok(need)
    }

    /// The hash of an entry, and the log behind it. `None`: it is a `Skipped`, which states the hash itself.
    pub(crate) fn advance(&mut self, id: &[u8], mut log: LogRecord, entry: &v1::Entry) -> Result<LogRecord, Error> {
        if let Some(Body::Skipped(skipped)) = &entry.body {
            log.cursor = skipped.to.max(entry.seq);
            log.running = skipped.running_hash.as_ref().try_into().ok();
        } else {
            log.cursor = entry.seq;
            log.running = match (log.running, hash_of(entry)) {
                (Some(running), Some(hash)) => Some(running_hash(&running, entry.seq, &hash)),
                _ => None,
            };
        }
        if let Some(running) = &log.running {
            self.tx.set(Space::Chain, id, log.cursor, running)?;
            self.tx.trim(Space::Chain, id, log.cursor.saturating_sub(CHAIN_LENGTH))?;
        }
        self.tx.put(Space::Log, id, &log)?;
        Ok(log)
    }

    /// Stops acknowledging a log that the server does not continue as it must.
    pub(crate) fn alarm_log(&mut self, group: Option<[u8; 32]>, id: &[u8]) -> Result<(), Error> {
        let mut log = self.log(id)?.unwrap_or_default();
        if !log.alarmed {
            log.alarmed = true;
            self.tx.put(Space::Log, id, &log)?;
            self.alarm(group, Alarm::LogMismatch);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        record: GroupRecord,
        mut log: LogRecord,
        entry: &v1::Entry,
        strangers: &[[u8; 16]],
    ) -> Result<Need, Error> {
        let id = record.id;
        match &entry.body {
            Some(Body::Message(message)) => {
                let tx = self.tx;
                let known =
                    |account: &[u8; 16]| strangers.contains(account) || matches!(tx.get_bytes(Space::Peer, account), Ok(Some(_)));
                let opened = self.change(&id, |provider, group| {
                    let (sender, content) = Mls::open(provider, group, message).map_err(Unopened::Mls)?;
                    // Its key is spent only when the message can be recorded.
                    if known(&sender.account) {
                        Ok((sender, content::decode(&content)))
                    } else {
                        Err(Unopened::Stranger(sender.account))
                    }
                })?;
                match opened {
                    Ok((sender, Some((said, view)))) => {
                        self.advance(&id, log, entry)?;
                        self.heard(&record, sender, said, &view, entry)?;
                        return Ok(Need::Nothing);
                    }
                    Err(Unopened::Stranger(account)) => return Ok(Need::Identity(account)),
                    Err(_) if self.is_ahead(&id, message)? => return self.lost(record),
                    // Its sender had not heard yet that this device came in: it was never meant for it.
                    Err(_) if Mls::epoch_of(message).is_ok_and(|epoch| epoch < log.joined_in) => log.gone += 1,
                    // Read before the server was restored, which its sender could not know.
                    Err(Unopened::Mls(MlsError::Spent)) if (1..entry.seq).contains(&log.restored_at) => {}
                    Ok((_, None)) | Err(_) => self.alarm(Some(id), Alarm::Unreadable { seq: entry.seq }),
                }
            }
            Some(Body::Commit(commit)) => return self.foreign_commit(record, log, entry, commit),
            Some(Body::Proposal(proposal)) => {
                if let Ok(epoch) = Mls::epoch_of(proposal)
                    && self.tx.items::<ProposalRecord>(Space::Proposal, &id, 0, PROPOSALS_MAX)?.len() < PROPOSALS_MAX
                {
                    self.tx.push(Space::Proposal, &id, &ProposalRecord { epoch, proposal: Blob(proposal.to_vec()) })?;
                }
            }
            Some(Body::Own(own)) => return self.own_entry(&record, log, entry, own),
            Some(Body::Skipped(skipped)) => {
                let count = skipped.to.saturating_sub(log.cursor);
                match skipped.reason() {
                    SkippedReason::Expired => log.expired += count,
                    reason @ (SkippedReason::Retention | SkippedReason::Restored) => {
                        log.gone += count;
                        if reason == SkippedReason::Restored {
                            log.restored_at = skipped.to;
                        }
                        self.put_group(&GroupRecord { gapped: true, ..record })?;
                        // Commits may have been among them.
                        self.effects.list = true;
                    }
                    _ => log.gone += count,
                }
            }
            Some(Body::Welcome(_) | Body::Removed(_) | Body::ServerNotice(_)) | None => {}
        }
        self.advance(&id, log, entry)?;
        Ok(Need::Nothing)
    }

    /// Whether a message is of an epoch that this device has not reached, although all before it was applied.
    pub(super) fn is_ahead(&mut self, id: &[u8; 32], message: &[u8]) -> Result<bool, Error> {
        let here = self.look(id, crate::mls::Group::epoch)?;
        Ok(Mls::epoch_of(message).is_ok_and(|epoch| epoch > here))
    }

    /// Commits that led to the group's epoch are gone at the server: only an external commit leads back in.
    pub(super) fn lost(&mut self, mut record: GroupRecord) -> Result<Need, Error> {
        record.stage = Stage::Outside;
        self.effects.wake.insert(record.id);
        self.put_group(&record)?;
        Ok(Need::Nothing)
    }

    fn own_entry(&mut self, record: &GroupRecord, log: LogRecord, entry: &v1::Entry, own: &v1::Own) -> Result<Need, Error> {
        let id = record.id;
        match &own.what {
            Some(What::ClientId(client_id)) => {
                let client_id: [u8; 16] = client_id.as_ref().try_into().unwrap_or_default();
                if let Some((_, item)) = self.outgoing(&id, &client_id)? {
                    let sent = item.ciphertext.map(|blob| entry_hash(Kind::Message, &blob.0));
                    if sent.is_some_and(|sent| sent != own.entry_hash.as_ref()) {
                        self.alarm_log(Some(id), &id)?;
                        return Ok(Need::Nothing);
                    }
                    self.accepted(&id, &client_id, entry.seq, entry.time_ms)?;
                }
            }
            Some(What::HandshakeHash(hash)) => {
                if let Ok(hash) = hash.as_ref().try_into() {
                    self.accept_bundle(&id, &hash, entry.seq, None)?;
                }
            }
            None => {}
        }
        self.advance(&id, log, entry)?;
        Ok(Need::Nothing)
    }

    /// A message of somebody else, or of another device of this account.
    fn heard(&mut self, record: &GroupRecord, from: DeviceRef, said: Said, view: &View, entry: &v1::Entry) -> Result<(), Error> {
        let id = record.id;
        if self.is_repeated(&id, from, view, entry.seq)? {
            return Ok(());
        }
        self.check_counter(&id, from, view)?;
        self.check_view(&id, from, view, entry.seq)?;
        if self.is_hidden(record, &from.account)? {
            return Ok(());
        }
        match said {
            Said::Text(text) => {
                let local_no = self.next_local_no()?;
                let (time_ms, urgent) = (entry.time_ms, entry.urgent);
                let expires_at_ms = (entry.expires_at_ms != 0).then_some(entry.expires_at_ms);
                let history = HistoryRecord { from, text: text.clone(), time_ms, local_no, urgent, expires_at_ms };
                self.tx.set(Space::History, &id, entry.seq, &history)?;
                self.tx.set(Space::Inbox, b"", local_no, &InboxRecord { group: id, seq: entry.seq, notice: None })?;
                let message = Message {
                    group: id,
                    seq: entry.seq,
                    from: self.name_of(&from.account)?,
                    from_device: from.device,
                    text,
                    time_ms,
                    local_no,
                    request: record.request,
                    urgent,
                    expires_at_ms,
                };
                self.effects.heard_from.push((id, from.account));
                self.effects.events.push(Event::Message(message));
                Ok(())
            }
            Said::Profile { name, revision, replaces } => {
                self.rename(&id, &name, revision)?;
                replaces.map_or(Ok(()), |old| self.said_to_replace(&id, old, from.account))
            }
            Said::ProfileRequest => self.answer_profile_request(record, from),
        }
    }

    /// The member with the lowest leaf, the asker left out, tells the group's profile again.
    fn answer_profile_request(&mut self, record: &GroupRecord, asker: DeviceRef) -> Result<(), Error> {
        let Some(profile) = record.profile() else { return Ok(()) };
        let me = self.me();
        let lowest =
            self.look(&record.id, |group| group.leaves().into_iter().find(|leaf| leaf.of != asker).map(|leaf| leaf.of))?;
        if lowest == Some(me) && self.may_send(record).is_ok() {
            self.enqueue(record, profile, SendOptions::default())?;
        }
        Ok(())
    }

    /// Notices messages of a sender that are missing or repeated. Missing may be what has expired, of which the sender
    /// says how many there were, and what was gone before this device could read it.
    fn check_counter(&mut self, id: &[u8; 32], from: DeviceRef, view: &View) -> Result<(), Error> {
        let [key, of_lives] = counter_keys(id, &from.device);
        let log = self.log(id)?.unwrap_or_default();
        let now = CounterRecord { expiring: view.expiring, expired: log.expired, gone: log.gone, stay: log.stay };
        let (last, before) = self.last_counter(id, &from.device, &now)?;
        if let Some(last) = last {
            let others = now.expiring.saturating_sub(before.expiring).saturating_sub(u64::from(view.ttl_seconds != 0));
            let expired = others.min(now.expired.saturating_sub(before.expired));
            let excused = expired + now.gone.saturating_sub(before.gone);
            let missing = view.counter.checked_sub(last + 1);
            if missing.is_none_or(|missing| missing > excused) {
                let by = self.name_of(&from.account)?;
                self.alarm(Some(*id), Alarm::SenderCounter { by });
            }
        }
        if now != before {
            self.tx.put(Space::Counter, &of_lives, &now)?;
        }
        Ok(self.tx.put(Space::Counter, &key, &view.counter.max(last.unwrap_or(0)))?)
    }

    /// The last counter of a sender, and what was known then. Counters are compared while both were there without a
    /// break: what came before this device's own last coming in says nothing.
    pub(super) fn last_counter(
        &self,
        id: &[u8; 32],
        device: &[u8; 16],
        now: &CounterRecord,
    ) -> Result<(Option<u64>, CounterRecord), Error> {
        let [key, of_lives] = counter_keys(id, device);
        let plain = *now == CounterRecord::default();
        let before = if plain { *now } else { self.tx.get(Space::Counter, &of_lives)?.unwrap_or_default() };
        let last = if before.stay == now.stay { self.tx.get(Space::Counter, &key)? } else { None };
        Ok((last, before))
    }

    /// Devices that come in count anew: numbers that they gave to messages which nobody took when they went are gone.
    pub(super) fn forget_counters(&mut self, id: &[u8; 32], devices: &[DeviceRef]) -> Result<(), Error> {
        for key in devices.iter().flat_map(|of| counter_keys(id, &of.device)) {
            self.tx.remove(Space::Counter, &key)?;
        }
        Ok(())
    }

    /// Compares what the sender says it saw with what this device saw.
    fn check_view(&mut self, id: &[u8; 32], from: DeviceRef, view: &View, seq: u64) -> Result<(), Error> {
        let by = self.name_of(&from.account)?;
        if let Some(seen) = view.seen_hash {
            let ours: Option<[u8; 32]> = self.tx.item(Space::Chain, id, view.seen_seq)?;
            if view.seen_seq >= seq || ours.is_some_and(|ours| ours != seen) {
                self.alarm(Some(*id), Alarm::SplitView { by: by.clone() });
            }
        }
        if let (Some(pin), Some(hash)) = (self.pin(&from.account)?, view.manifest_hash) {
            if view.manifest_version > pin.version {
                self.effects.refresh.insert(from.account);
            } else if view.manifest_version == pin.version && hash != pin.hash {
                self.alarm(Some(*id), Alarm::Manifest { account: by });
            }
        }
        Ok(())
    }

    /// An entry that was applied before must be the same as before.
    fn compare_again(&mut self, id: &[u8; 32], entry: &v1::Entry) -> Result<(), Error> {
        let before: Option<[u8; 32]> = self.tx.item(Space::Chain, id, entry.seq.saturating_sub(1))?;
        let at: Option<[u8; 32]> = self.tx.item(Space::Chain, id, entry.seq)?;
        if let (Some(before), Some(at), Some(hash)) = (before, at, hash_of(entry))
            && running_hash(&before, entry.seq, &hash) != at
        {
            self.alarm_log(Some(*id), id)?;
        }
        Ok(())
    }

    pub(super) fn next_local_no(&mut self) -> Result<u64, Error> {
        let next = self.tx.get::<u64>(Space::Meta, b"inbox")?.unwrap_or(0) + 1;
        self.tx.put(Space::Meta, b"inbox", &next)?;
        Ok(next)
    }
}

/// Where the last counter of a sender stands, and what was known then.
fn counter_keys(id: &[u8; 32], device: &[u8; 16]) -> [Vec<u8>; 2] {
    [[id.as_slice(), device].concat(), [id.as_slice(), device, b"lives"].concat()]
}

pub(super) fn skipped_to(entry: &v1::Entry) -> Option<u64> {
    match &entry.body {
        Some(Body::Skipped(skipped)) => Some(skipped.to),
        _ => None,
    }
}

/// The entry's hash, if the entry lets it be known.
pub(crate) fn hash_of(entry: &v1::Entry) -> Option<[u8; 32]> {
    use prost::Message as _;
    Some(match entry.body.as_ref()? {
        Body::Message(body) => entry_hash(Kind::Message, body),
        Body::Commit(body) => entry_hash(Kind::Commit, body),
        Body::Proposal(body) => entry_hash(Kind::Proposal, body),
        Body::Own(own) => own.entry_hash.as_ref().try_into().ok()?,
        Body::Welcome(body) => entry_hash(Kind::Welcome, &body.encode_to_vec()),
        Body::Removed(body) => entry_hash(Kind::Removed, &body.encode_to_vec()),
        Body::ServerNotice(body) => entry_hash(Kind::Notice, &body.encode_to_vec()),
        Body::Skipped(_) => return None,
    })
}
