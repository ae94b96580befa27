//! Intents: changes of a group that wait in a queue for their turn, whatever races are lost meanwhile.

use super::{
    commits::LIST_MAX,
    core::Work,
    records::{GroupRecord, IntentKind, IntentRecord, Stage},
};
use crate::{entropy, error::Error, mls::DeviceRef, vault::Space};

/// Fresh claims of one intent: the server forgets a claim after a day, and nobody waits for a week.
const RENEWALS_MAX: u32 = 8;

/// What an intent needs next.
pub(crate) enum Plan {
    /// It stands fulfilled already.
    Done,
    /// It cannot be.
    Refuse(Error),
    /// Ask the server to let this account leave.
    Leave,
    /// A commit; of these accounts key packages are claimed first, restricted to these devices unless empty.
    Commit { accounts: Vec<[u8; 16]>, devices: Vec<DeviceRef> },
}

impl Work<'_> {
    /// Puts a commit into the group's queue. The answer is the intent's id.
    pub(crate) fn intend(&mut self, id: &[u8; 32], kind: IntentKind, first: bool, nominated: bool) -> Result<[u8; 16], Error> {
        let intents = self.intents(id)?;
        if let Some((_, same)) = intents.iter().find(|(_, other)| nominated && other.kind == kind) {
            return Ok(same.id);
        }
        if intents.len() >= LIST_MAX {
            return Err(Error::GroupClosed("too many changes wait for the server".to_owned()));
        }
        let intent = IntentRecord { id: entropy::random(), claim: None, renewals: 0, kind, first, nominated };
        self.tx.push(Space::Intent, id, &intent)?;
        self.effects.wake.insert(*id);
        Ok(intent.id)
    }

    pub(crate) fn intents(&self, id: &[u8; 32]) -> Result<Vec<(u64, IntentRecord)>, Error> {
        Ok(self.tx.items(Space::Intent, id, 0, LIST_MAX)?)
    }

    /// Whether somebody of these is no member of a group that this device is in, and no intent adds them yet.
    pub(crate) fn lacks(&mut self, record: &GroupRecord, accounts: &[[u8; 16]]) -> Result<bool, Error> {
        if record.stage != Stage::Active || self.intents(&record.id)?.iter().any(|(_, intent)| intent.first) {
            return Ok(false);
        }
        let leaves = self.look(&record.id, crate::mls::Group::leaves)?;
        Ok(accounts.iter().any(|account| !leaves.iter().any(|leaf| leaf.of.account == *account)))
    }

    /// Gives the intent a fresh claim in place of one that the server takes no more. False: it has had one.
    pub(crate) fn claim_anew(&mut self, id: &[u8; 32], intent: &IntentRecord) -> Result<bool, Error> {
        if intent.renewals >= RENEWALS_MAX {
            return Ok(false);
        }
        for (position, record) in self.intents(id)? {
            if record.id == intent.id {
                let (claim, renewals) = (Some(entropy::random()), record.renewals + 1);
                self.tx.set(Space::Intent, id, position, &IntentRecord { claim, renewals, ..record })?;
            }
        }
        self.effects.wake.insert(*id);
        Ok(true)
    }

    /// The intent is over, one way or the other. Messages for people who could not be added fail with it.
    pub(crate) fn finish_intent(&mut self, id: &[u8; 32], intent: &[u8; 16], result: Result<(), Error>) -> Result<(), Error> {
        for (position, record) in self.intents(id)? {
            if record.id == *intent {
                self.tx.take_out(Space::Intent, id, position)?;
                if let (true, Err(error)) = (record.first, &result) {
                    self.fail_all(id, error)?;
                }
            }
        }
        self.effects.intents.push((*intent, result));
        self.effects.wake.insert(*id);
        Ok(())
    }

    /// Asks whether the intent still stands, and what it needs.
    pub(crate) fn plan(&mut self, id: &[u8; 32], intent: &IntentRecord) -> Result<Plan, Error> {
        let me = self.me();
        let leaves = self.look(id, crate::mls::Group::leaves)?;
        let present = |device: &DeviceRef| leaves.iter().any(|leaf| leaf.of == *device);
        let commit = |accounts: Vec<[u8; 16]>, devices| Plan::Commit { accounts, devices };
        Ok(match &intent.kind {
            IntentKind::Leave => Plan::Leave,
            IntentKind::Update | IntentKind::SetRoles { .. } => commit(Vec::new(), Vec::new()),
            IntentKind::AddMembers(accounts) => {
                let missing: Vec<_> = accounts
                    .iter()
                    .filter(|account| **account == me.account || !leaves.iter().any(|leaf| leaf.of.account == **account))
                    .copied()
                    .collect();
                let done = missing.iter().all(|account| *account == me.account) && !intent.first;
                if missing.is_empty() || done { Plan::Done } else { commit(missing, Vec::new()) }
            }
            IntentKind::AddDevices(devices) => {
                let missing: Vec<_> = devices.iter().filter(|device| !present(device)).copied().collect();
                let mut accounts: Vec<_> = missing.iter().map(|device| device.account).collect();
                accounts.dedup();
                if missing.is_empty() { Plan::Done } else { commit(accounts, missing) }
            }
            IntentKind::Remove(accounts) if accounts.contains(&me.account) => {
                Plan::Refuse(Error::Usage("nobody removes themselves: leave the group instead".to_owned()))
            }
            IntentKind::Remove(_) | IntentKind::RemoveDevices(_) => {
                if self.removes(id, &leaves, intent)?.is_empty() {
                    Plan::Done
                } else {
                    commit(Vec::new(), Vec::new())
                }
            }
        })
    }
}
