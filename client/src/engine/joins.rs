//! Coming into groups and out of them: creation, Welcomes and removals on the device's own log, external joins.

use sovereign_proto::{
    log::START,
    mls::{Policy, Roles},
    v1::{self, entry::Body},
};

use super::{
    apply::{Need, skipped_to},
    core::Work,
    records::{GroupRecord, InboxRecord, IntentKind, LogRecord, NoticeRecord, ParkedWelcome, Stage},
};
use crate::{
    error::Error,
    event::{Alarm, Event},
    mls::{CommitEffect, MlsError},
    model::Relation,
    vault::{Blob, Space},
};

/// The device's own log among the logs.
pub(crate) const DEVICE_LOG: &[u8] = b"";

impl Work<'_> {
    /// A new group, with those who are to be added first. The answer is the intent to wait for, if anybody is.
    pub(crate) fn begin_group(
        &mut self,
        id: [u8; 32],
        name: Option<String>,
        direct_key: Option<[u8; 32]>,
        policy: Policy,
        others: Vec<[u8; 16]>,
    ) -> Result<[u8; 16], Error> {
        let me = self.me().account;
        let administrators = if policy == Policy::Administered { vec![me] } else { Vec::new() };
        let info = self.mls.create(self.tx, &id, &Roles { policy, administrators }, self.now)?;
        let mut record = GroupRecord::new(id, Stage::Creating);
        record.revision = u64::from(name.is_some());
        record.name = name;
        record.direct_key = direct_key;
        record.group_info = Some(Blob(info));
        record.verified = true;
        self.put_group(&record)?;
        if let Some(key) = direct_key {
            self.tx.put(Space::Direct, &key, &id)?;
        }
        // The own account is among them for its other devices.
        let accounts = others.into_iter().chain([me]).collect();
        self.intend(&id, IntentKind::AddMembers(accounts), true, false)
    }

    /// The server has the group.
    pub(crate) fn created(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        if record.stage == Stage::Creating {
            record.stage = Stage::Active;
            record.group_info = None;
            self.put_group(&record)?;
            self.tx.put(Space::Log, id, &LogRecord { running: Some(START), ..LogRecord::default() })?;
            self.effects.events.push(Event::Joined { group: *id });
            if let Some((old, _)) = record.replaces {
                self.named_to_succeed(&old, *id)?;
            }
        }
        self.effects.wake.insert(*id);
        Ok(())
    }

    /// Somebody else made the group of these people first: what waits here goes there.
    pub(crate) fn lost_creation(&mut self, id: &[u8; 32], winner: [u8; 32]) -> Result<(), Error> {
        let record = self.known_group(id)?;
        self.discard(id)?;
        if let Some(key) = record.direct_key {
            self.tx.put(Space::Direct, &key, &winner)?;
        }
        let mut there = self.group(&winner)?.unwrap_or_else(|| GroupRecord::new(winner, Stage::Awaited));
        there.direct_key = record.direct_key;
        self.put_group(&there)?;
        self.carry_over(id, &winner)?;
        for (_, intent) in self.intents(id)? {
            self.finish_intent(id, &intent.id, Ok(()))?;
        }
        self.tx.remove(Space::Group, id)?;
        record.replaces.map_or(Ok(()), |(old, _)| self.named_to_succeed(&old, winner))
    }

    /// Applies entries of the device's own log.
    pub(crate) fn apply_device(&mut self, entries: &[v1::Entry]) -> Result<Need, Error> {
        let mut need = Need::Nothing;
        for entry in entries {
            let log = self.log(DEVICE_LOG)?.unwrap_or(LogRecord { running: Some(START), ..LogRecord::default() });
            if log.alarmed || (entry.seq <= log.cursor && skipped_to(entry).is_none_or(|to| to <= log.cursor)) {
                continue;
            }
            if entry.seq > log.cursor + 1 {
                need = Need::Entries { after: log.cursor };
                break;
            }
            match &entry.body {
                Some(Body::Welcome(welcome)) => self.welcomed(welcome)?,
                Some(Body::Removed(removed)) => self.window_closed(removed)?,
                Some(Body::ServerNotice(notice)) => self.notified(entry.seq, notice)?,
                _ => {}
            }
            self.advance(DEVICE_LOG, log, entry)?;
        }
        if let Some(log) = self.log(DEVICE_LOG)?.filter(|log| !log.alarmed && log.cursor > 0) {
            self.effects.acknowledge.insert(Vec::new(), log.cursor);
        }
        Ok(need)
    }

    /// The server's operator says something: kept until a listener has shown it.
    fn notified(&mut self, seq: u64, notice: &v1::ServerNotice) -> Result<(), Error> {
        let (text, time_ms) = (notice.text.clone(), notice.time_ms);
        let local_no = self.next_local_no()?;
        let record = NoticeRecord { text: text.clone(), time_ms };
        self.tx.set(Space::Inbox, b"", local_no, &InboxRecord { group: [0; 32], seq, notice: Some(record) })?;
        self.effects.events.push(Event::ServerNotice { text, time_ms });
        Ok(())
    }

    /// A commit removed this device: its window is drained.
    pub(super) fn left(&mut self, record: GroupRecord, effect: &CommitEffect) -> Result<(), Error> {
        tracing::debug!(epoch = effect.epoch, "removed from a group");
        self.out(record)
    }

    /// This device's window is drained; a later one may wait behind it.
    pub(super) fn out(&mut self, record: GroupRecord) -> Result<(), Error> {
        let id = record.id;
        self.close_group(record)?;
        if let Some(parked) = self.tx.get::<ParkedWelcome>(Space::Parked, &id)? {
            self.tx.remove(Space::Parked, &id)?;
            self.join(id, &parked)?;
        }
        Ok(())
    }

    /// This device is no member any more. Its secrets of the group go; what was said stays.
    pub(crate) fn close_group(&mut self, mut record: GroupRecord) -> Result<(), Error> {
        let id = record.id;
        if record.stage != Stage::Left {
            record.stage = Stage::Left;
            record.leaving = false;
            record.blocked = None;
            self.put_group(&record)?;
            self.discard(&id)?;
            self.effects.events.push(Event::Left { group: id });
        }
        self.effects.wake.insert(id);
        Ok(())
    }

    /// The server lists a group of this account.
    pub(crate) fn listed(&mut self, summary: &v1::GroupSummary) -> Result<(), Error> {
        let Ok(id) = summary.group_id.as_ref().try_into() else { return Ok(()) };
        let known = self.group(&id)?;
        let mut record = match known {
            Some(record) => record,
            // Nobody comes into a frozen group: this device waits for the one in its place.
            None if (summary.joined && !summary.welcome_lost) || summary.frozen => return Ok(()),
            None => GroupRecord::new(id, Stage::Outside),
        };
        let may_come = (!summary.joined && !summary.leaving) || summary.welcome_lost;
        if may_come && matches!(record.stage, Stage::Awaited | Stage::Left) {
            record.stage = Stage::Outside;
        }
        if record.stage == Stage::Active
            && record.gapped
            && summary.joined
            && self.look(&id, crate::mls::Group::epoch)? < summary.epoch
        {
            // Nothing was said in it since, so nothing else would tell that commits are gone.
            record.stage = Stage::Outside;
        }
        record.leaving = summary.leaving && record.stage == Stage::Active;
        record.listed_epoch = summary.epoch;
        record.frozen &= summary.frozen;
        record.request = summary.request;
        if let Ok(adder) = summary.added_by.as_ref().try_into() {
            record.added_by = Some(adder);
        }
        self.put_group(&record)?;
        if summary.frozen {
            self.freeze(&id)?;
        }
        if let Ok(successor) = summary.successor.as_ref().try_into() {
            self.named_to_succeed(&id, successor)?;
        }
        self.effects.wake.insert(id);
        Ok(())
    }

    fn welcomed(&mut self, entry: &v1::WelcomeEntry) -> Result<(), Error> {
        let (Ok(id), Ok(running)) = (<[u8; 32]>::try_from(entry.group_id.as_ref()), entry.running_hash.as_ref().try_into())
        else {
            return Ok(());
        };
        let parked = ParkedWelcome {
            welcome: Blob(entry.welcome.to_vec()),
            join_seq: entry.join_seq,
            running,
            request: entry.request,
            added_by: entry.added_by.as_ref().try_into().ok(),
        };
        match self.group(&id)?.map(|record| record.stage) {
            // Its earlier window is not drained: the old state is needed until then.
            Some(Stage::Active) => Ok(self.tx.put(Space::Parked, &id, &parked)?),
            _ => self.join(id, &parked),
        }
    }

    fn join(&mut self, id: [u8; 32], welcome: &ParkedWelcome) -> Result<(), Error> {
        let mut record = self.group(&id)?.unwrap_or_else(|| GroupRecord::new(id, Stage::Awaited));
        self.groups.forget(&id);
        self.signals.forget(&id);
        self.tx.remove(Space::Bundle, &id)?;
        self.tx.trim(Space::Proposal, &id, u64::MAX)?;
        self.tx.trim(Space::Chain, &id, u64::MAX)?;
        match self.mls.join(self.tx, &id, &welcome.welcome.0) {
            Ok(group) => {
                let epoch = group.epoch();
                self.groups.put(id, group);
                record.stage = Stage::Active;
                let log = self.log(&id)?.unwrap_or_default().restart(welcome.join_seq, Some(welcome.running), epoch);
                self.tx.put(Space::Log, &id, &log)?;
                self.renumber(&id)?;
                self.tx.set(Space::Chain, &id, welcome.join_seq, &welcome.running)?;
                self.effects.events.push(Event::Joined { group: id });
            }
            Err(MlsError::Vault(error)) => return Err(error.into()),
            Err(_) => {
                record.stage = Stage::Outside;
                self.alarm(Some(id), Alarm::UnknownWelcome);
            }
        }
        record.verified = false;
        record.blocked = None;
        record.leaving = false;
        record.frozen = false;
        record.replayed = false;
        (record.restored, record.closes_at) = (false, None);
        record.added_by = welcome.added_by;
        // What was accepted since is told by relations, which may be here before the Welcome.
        let accepted = match &record.added_by {
            Some(by) => self.relation(by)? == Relation::Accepted,
            None => true,
        };
        record.request = welcome.request && !accepted;
        self.put_group(&record)?;
        self.effects.wake.insert(id);
        Ok(())
    }

    fn window_closed(&mut self, entry: &v1::RemovedEntry) -> Result<(), Error> {
        let Ok(id) = entry.group_id.as_ref().try_into() else { return Ok(()) };
        let Some(record) = self.group(&id)? else { return Ok(()) };
        let drained = self.log(&id)?.is_none_or(|log| log.cursor >= entry.leave_seq);
        let waits = matches!(record.stage, Stage::Awaited | Stage::Outside);
        // An active group learns of it from the removing commit at the end of its window; a later window may have
        // begun behind it.
        if waits && drained {
            return self.close_group(record);
        }
        if record.stage == Stage::Active {
            self.put_group(&GroupRecord { closes_at: Some(entry.leave_seq), ..record })?;
            let cursor = self.log(&id)?.unwrap_or_default().cursor;
            self.close_at_end(&id, cursor)?;
        }
        Ok(())
    }

    /// Removes the MLS state and what was staged on it.
    fn discard(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        self.groups.forget(id);
        self.signals.forget(id);
        self.mls.delete(self.tx, id)?;
        self.tx.remove(Space::Bundle, id)?;
        self.tx.trim(Space::Proposal, id, u64::MAX)?;
        Ok(self.tx.trim(Space::Chain, id, u64::MAX)?)
    }
}
