//! Commits: those of others as the log brings them, and our own from the staged bundle to the adopted state.

use sovereign_proto::{
    mls::{Policy, Roles},
    v1,
};

use super::{
    apply::Need,
    content,
    core::Work,
    records::{BundleMessage, BundleRecord, GroupRecord, IntentKind, IntentRecord, LogRecord, ProposalRecord, Said, Stage},
};
use crate::{
    entropy,
    error::Error,
    event::{Alarm, Event},
    mls::{Change, CommitEffect, DeviceRef, Leaf, Mls, Staged, claimed},
    model::SendOptions,
    vault::{Blob, Space},
};

/// Proposals and intents read at once.
pub(super) const LIST_MAX: usize = 256;
/// Members of which about this many confirm an epoch.
const CONFIRMATIONS: u64 = 8;

/// A claimed key package and whose it is.
pub(crate) struct Package {
    pub(crate) of: DeviceRef,
    pub(crate) bytes: bytes::Bytes,
}

impl Work<'_> {
    /// Stages the intent's commit, with what is said in the epoch behind it, and keeps the bundle until it is answered.
    /// False: there is nothing left to do.
    pub(crate) fn stage_intent(&mut self, id: &[u8; 32], intent: &IntentRecord, packages: &[Package]) -> Result<bool, Error> {
        let mut record = self.known_group(id)?;
        let leaves = self.look(id, crate::mls::Group::leaves)?;
        let mut change = Change { removes: self.removes(id, &leaves, intent)?, ..Change::default() };
        for package in packages.iter().filter(|package| !leaves.iter().any(|leaf| leaf.of == package.of)) {
            let pin = self.pin(&package.of.account)?.ok_or_else(|| Error::UnknownDevice("an account is not known".to_owned()))?;
            if pin.changed {
                return Err(Error::IdentityChanged(pin.username));
            }
            let unlisted = || Error::UnknownDevice(format!("a device of {} is not in its newest manifest", pin.username));
            let device = pin.device(&package.of.device).ok_or_else(unlisted)?;
            change.adds.push(claimed(&package.bytes, package.of, &device.key)?);
        }
        if let IntentKind::SetRoles { administered, administrators } = &intent.kind {
            let policy = if *administered { Policy::Administered } else { Policy::Equal };
            let mut administrators = administrators.clone();
            administrators.sort_unstable();
            administrators.dedup();
            change.roles = Some(Roles { policy, administrators });
        }
        let commits = matches!(intent.kind, IntentKind::Update | IntentKind::SetRoles { .. });
        if change.adds.is_empty() && change.removes.is_empty() && !commits {
            return Ok(false);
        }
        let said: Vec<Said> = record.profile().filter(|_| !change.adds.is_empty()).into_iter().collect();
        let contents = self.contents(&mut record, &said)?;
        let staged = self.mls.stage(self.tx, id, change, &contents)?;
        self.keep_bundle(id, Some(intent.id), false, staged, said)?;
        Ok(true)
    }

    /// Stages an external commit that asks for the group's profile.
    pub(crate) fn stage_external(&mut self, id: &[u8; 32], group_info: &[u8]) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        let said = vec![Said::ProfileRequest];
        let contents = self.contents(&mut record, &said)?;
        let staged = self.mls.stage_external(self.tx, id, group_info, &contents)?;
        self.keep_bundle(id, None, true, staged, said)
    }

    pub(crate) fn bundle(&self, id: &[u8; 32]) -> Result<Option<BundleRecord>, Error> {
        Ok(self.tx.get(Space::Bundle, id)?)
    }

    /// The server has the bundle of this commit: its state becomes this device's.
    pub(crate) fn accept_bundle(
        &mut self,
        id: &[u8; 32],
        commit_hash: &[u8; 32],
        seq: u64,
        running: Option<[u8; 32]>,
    ) -> Result<(), Error> {
        let Some(bundle) = self.bundle(id)?.filter(|bundle| bundle.commit_hash == *commit_hash) else { return Ok(()) };
        let mut record = self.known_group(id)?;
        let before = if bundle.external { Vec::new() } else { self.look(id, crate::mls::Group::leaves)? };
        (record.restored, record.closes_at) = (false, None);
        self.groups.forget(id);
        Mls::adopt(self.tx, &bundle.diff)?;
        self.tx.remove(Space::Bundle, id)?;
        self.tx.trim(Space::Proposal, id, u64::MAX)?;
        record.counter += u64::try_from(bundle.messages.len()).unwrap_or(0);
        record.replayed = false;
        // What stood in the way may be gone: looked at again before anything is sent.
        record.verified &= record.blocked.take().is_none();
        let (after, epoch) = self.look(id, |group| (group.leaves(), group.epoch()))?;
        if bundle.external {
            record.stage = Stage::Active;
            (record.verified, record.gapped) = (false, false);
            let log = self.log(id)?.unwrap_or_default().restart(seq, running, epoch);
            self.tx.put(Space::Log, id, &log)?;
            self.renumber(id)?;
            self.tx.trim(Space::Chain, id, u64::MAX)?;
            if let Some(running) = &running {
                self.tx.set(Space::Chain, id, seq, running)?;
            }
            self.effects.events.push(Event::Joined { group: *id });
        } else {
            let removed = before.iter().any(|leaf| !after.iter().any(|other| other.of == leaf.of));
            let came_in = |leaf: &&Leaf| !before.iter().any(|other| other.of == leaf.of);
            let came_in: Vec<DeviceRef> = after.iter().filter(came_in).map(|leaf| leaf.of).collect();
            self.forget_counters(id, &came_in)?;
            self.signals.passed(id, epoch, removed);
            self.members_changed(*id, epoch, &before, &after);
        }
        self.put_group(&record)?;
        for (message, at) in bundle.messages.iter().zip(seq + 1..) {
            self.said_by_me(id, &message.client_id, &message.said, SendOptions::default(), at, self.now)?;
        }
        if let Some(intent) = bundle.intent {
            self.finish_intent(id, &intent, Ok(()))?;
        }
        self.effects.wake.insert(*id);
        Ok(())
    }

    /// The bundle came too late or was refused. Nothing of it ever was in the group's rows.
    pub(crate) fn drop_bundle(&mut self, id: &[u8; 32], commit_hash: &[u8; 32]) -> Result<(), Error> {
        if self.bundle(id)?.is_some_and(|bundle| bundle.commit_hash == *commit_hash) {
            self.tx.remove(Space::Bundle, id)?;
        }
        Ok(())
    }

    /// A commit of another device.
    pub(super) fn foreign_commit(
        &mut self,
        mut record: GroupRecord,
        log: LogRecord,
        entry: &v1::Entry,
        commit: &[u8],
    ) -> Result<Need, Error> {
        let id = record.id;
        let (before, epoch, roles) = self.look(&id, |group| (group.leaves(), group.epoch(), group.roles()))?;
        let proposals = self.proposals(&id, epoch)?;
        let leavers = self.change(&id, |provider, group| Ok::<_, Error>(Mls::leavers(provider, group, &proposals)))??;
        let Ok(effect) = self.change(&id, |provider, group| Mls::follow(provider, group, commit, &proposals))? else {
            return if self.is_ahead(&id, commit)? { self.lost(record) } else { Ok(Need::Broken { epoch: epoch + 1 }) };
        };
        self.advance(&id, log, entry)?;
        self.tx.remove(Space::Bundle, &id)?;
        self.tx.trim(Space::Proposal, &id, u64::MAX)?;
        self.judge(&id, &effect, &before, &roles, &leavers)?;
        (record.replayed, record.gapped) = (false, false);
        record.verified &= effect.added.is_empty() && (record.blocked.is_none() || effect.removed.is_empty());
        self.signals.passed(&id, effect.epoch, !effect.removed.is_empty());
        if effect.self_removed {
            return self.left(record, &effect).map(|()| Need::Nothing);
        }
        let after = self.look(&id, crate::mls::Group::leaves)?;
        self.forget_counters(&id, &effect.added)?;
        self.members_changed(id, effect.epoch, &before, &after);
        self.put_group(&record)?;
        if record.leaving {
            // The commit dropped the proposal to go, and without one nobody may take this device out.
            self.intend(&id, IntentKind::Leave, false, false)?;
        }
        self.effects.wake.insert(id);
        self.confirm(&id, &effect, after.len())?;
        Ok(Need::Nothing)
    }

    /// The proposals of this epoch, as the log brought them.
    pub(crate) fn proposals(&self, id: &[u8; 32], epoch: u64) -> Result<Vec<Vec<u8>>, Error> {
        let records = self.tx.items::<ProposalRecord>(Space::Proposal, id, 0, LIST_MAX)?;
        Ok(records.into_iter().filter(|(_, record)| record.epoch == epoch).map(|(_, record)| record.proposal.0).collect())
    }

    /// The leaves that the intent removes. What the server asked for is checked: only devices that their account has
    /// struck, and accounts that have asked to leave.
    pub(super) fn removes(&mut self, id: &[u8; 32], leaves: &[Leaf], intent: &IntentRecord) -> Result<Vec<u32>, Error> {
        let me = self.me();
        let wanted: Vec<Leaf> = match &intent.kind {
            IntentKind::Remove(accounts) => leaves.iter().filter(|leaf| accounts.contains(&leaf.of.account)).copied().collect(),
            IntentKind::RemoveDevices(devices) => leaves.iter().filter(|leaf| devices.contains(&leaf.of)).copied().collect(),
            _ => Vec::new(),
        };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let epoch = self.look(id, crate::mls::Group::epoch)?;
        let proposals = self.proposals(id, epoch)?;
        let wish = self.change(id, |provider, group| Ok::<_, Error>(Mls::leavers(provider, group, &proposals)))??;
        let mut indexes = Vec::new();
        for leaf in wanted {
            let struck = self.pin(&leaf.of.account)?.is_some_and(|pin| pin.version > 0 && pin.device(&leaf.of.device).is_none());
            let wished = wish.iter().any(|leaver| leaver.account == leaf.of.account);
            if leaf.of != me && (!intent.nominated || struck || wished) {
                indexes.push(leaf.index);
            }
        }
        Ok(indexes)
    }

    /// Notices a commit that the roles did not allow. The server refuses such; this device looks itself.
    fn judge(
        &mut self,
        id: &[u8; 32],
        effect: &CommitEffect,
        before: &[Leaf],
        roles: &Roles,
        leavers: &[DeviceRef],
    ) -> Result<(), Error> {
        let allowed = roles.may_administer(&effect.by.account, before.iter().map(|leaf| leaf.of.account));
        let now = self.look(id, crate::mls::Group::roles)?;
        let mut broken = !allowed && now != *roles;
        for device in effect.removed.iter().filter(|device| !allowed && device.account != effect.by.account) {
            let struck = self.pin(&device.account)?.is_none_or(|pin| pin.device(&device.device).is_none());
            broken |= !struck && !leavers.iter().any(|leaver| leaver.account == device.account);
        }
        if broken {
            let by = self.name_of(&effect.by.account)?;
            self.alarm(Some(*id), Alarm::Roles { by });
        }
        Ok(())
    }

    /// Now and then this device tells the server a tag of the new epoch; about eight members do.
    fn confirm(&mut self, id: &[u8; 32], effect: &CommitEffect, members: usize) -> Result<(), Error> {
        if entropy::below(u64::try_from(members).unwrap_or(u64::MAX)) >= CONFIRMATIONS {
            return Ok(());
        }
        let mls = self.mls;
        let tag = self.look(id, |group| mls.confirmation_tag(group, &effect.hash))??;
        let verdict = Some(v1::confirm_epoch_request::Verdict::Tag(tag.into()));
        self.effects.confirm.push(v1::ConfirmEpochRequest { group_id: id.to_vec().into(), epoch: effect.epoch, verdict });
        Ok(())
    }

    fn members_changed(&mut self, group: [u8; 32], epoch: u64, before: &[Leaf], after: &[Leaf]) {
        let only = |these: &[Leaf], those: &[Leaf]| -> Vec<[u8; 16]> {
            these.iter().filter(|leaf| !those.iter().any(|other| other.of == leaf.of)).map(|leaf| leaf.of.account).collect()
        };
        let (added, removed) = (only(after, before), only(before, after));
        if !added.is_empty() || !removed.is_empty() {
            self.effects.events.push(Event::MembersChanged { group, epoch, added, removed });
        }
    }

    /// The contents of a bundle's messages; their counters follow the last one of this device.
    fn contents(&mut self, record: &mut GroupRecord, said: &[Said]) -> Result<Vec<Vec<u8>>, Error> {
        said.iter()
            .zip(record.counter + 1..)
            .map(|(said, counter)| Ok(content::encode(said, &self.view(&record.id, counter)?)))
            .collect()
    }

    fn keep_bundle(
        &mut self,
        id: &[u8; 32],
        intent: Option<[u8; 16]>,
        external: bool,
        staged: Staged,
        said: Vec<Said>,
    ) -> Result<(), Error> {
        let messages = staged.messages.into_iter().zip(said);
        let bundle = BundleRecord {
            intent,
            external,
            from_epoch: staged.from_epoch,
            commit_hash: staged.commit_hash,
            commit: Blob(staged.commit),
            welcome: Blob(staged.welcome),
            group_info: Blob(staged.group_info),
            messages: messages
                .map(|(ciphertext, said)| BundleMessage { client_id: entropy::random(), said, ciphertext: Blob(ciphertext) })
                .collect(),
            diff: staged.diff,
        };
        Ok(self.tx.put(Space::Bundle, id, &bundle)?)
    }
}

impl BundleRecord {
    /// The request that carries it: the same bytes every time.
    pub(crate) fn request(&self, id: &[u8; 32]) -> v1::SubmitCommitRequest {
        let message = |message: &BundleMessage| v1::OutgoingMessage {
            client_id: message.client_id.to_vec().into(),
            ciphertext: message.ciphertext.0.clone().into(),
            ..v1::OutgoingMessage::default()
        };
        v1::SubmitCommitRequest {
            group_id: id.to_vec().into(),
            commit: self.commit.0.clone().into(),
            welcome: self.welcome.0.clone().into(),
            group_info: self.group_info.0.clone().into(),
            messages: self.messages.iter().map(message).collect(),
        }
    }
}
