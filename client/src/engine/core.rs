//! The durable state, and the one way to change it: a [`Work`] inside a vault transaction. Nothing here knows the
//! network; what the outside has to do afterwards is collected in [`Effects`].

use std::collections::{BTreeMap, BTreeSet};

use sovereign_proto::v1;

use super::{
    ephemeral::Signals,
    records::{GroupRecord, LogRecord},
};
use crate::{
    clock::{Clock, UnixMs},
    error::Error,
    event::{Alarm, Event},
    identity::Pin,
    mls::{DeviceRef, Group, GroupCache, Mls, Provider},
    model::Sent,
    vault::{Space, Tx, Vault},
};

/// Everything durable, and what is kept of it in memory.
pub(crate) struct Core {
    /// `None` once the client is closed.
    vault: Option<Vault>,
    mls: Mls,
    groups: GroupCache,
    signals: Signals,
    clock: Clock,
}

/// One transaction's view of the state.
pub(crate) struct Work<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) mls: &'a Mls,
    pub(super) groups: &'a mut GroupCache,
    pub(super) signals: &'a mut Signals,
    pub(super) effects: Effects,
    pub(super) now: UnixMs,
}

/// What follows from a transaction once it is durable.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) events: Vec<Event>,
    /// Accounts that said something in a group.
    pub(crate) heard_from: Vec<([u8; 32], [u8; 16])>,
    /// Answers to those who wait for a message, by client id.
    pub(crate) sent: Vec<([u8; 16], Result<Sent, Error>)>,
    /// Answers to those who wait for a commit, by intent.
    pub(crate) intents: Vec<([u8; 16], Result<(), Error>)>,
    /// Positions to acknowledge; the device's own log has an empty id.
    pub(crate) acknowledge: BTreeMap<Vec<u8>, u64>,
    /// Groups with something to do.
    pub(crate) wake: BTreeSet<[u8; 32]>,
    /// Accounts whose manifests have grown.
    pub(crate) refresh: BTreeSet<[u8; 16]>,
    pub(crate) confirm: Vec<v1::ConfirmEpochRequest>,
    /// The server has to be asked how the groups stand.
    pub(crate) list: bool,
}

impl Core {
    pub(crate) fn new(vault: Vault, mls: Mls, clock: Clock) -> Self {
        Self { vault: Some(vault), mls, groups: GroupCache::default(), signals: Signals::default(), clock }
    }

    /// Runs `work` in one transaction. When it fails, nothing has changed and groups in memory are forgotten.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>) -> Result<(T, Effects), Error> {
        let vault = self.vault.as_mut().ok_or(Error::Closed)?;
        let (mls, groups, signals, now) = (&self.mls, &mut self.groups, &mut self.signals, self.clock.now_ms());
        let result = vault.transaction(|tx| {
            let mut view = Work { tx, mls, groups, signals, effects: Effects::default(), now };
            let value = work(&mut view)?;
            Ok((value, view.effects))
        });
        if result.is_err() {
            self.groups.clear();
        }
        result
    }

    pub(crate) fn me(&self) -> DeviceRef {
        self.mls.me()
    }

    /// Releases the vault and its lock.
    pub(crate) fn close(&mut self) {
        self.groups.clear();
        self.signals = Signals::default();
        self.vault = None;
    }
}

impl Work<'_> {
    pub(crate) fn me(&self) -> DeviceRef {
        self.mls.me()
    }

    pub(crate) fn group(&self, id: &[u8; 32]) -> Result<Option<GroupRecord>, Error> {
        Ok(self.tx.get(Space::Group, id)?)
    }

    /// The group, or that there is none.
    pub(crate) fn known_group(&self, id: &[u8; 32]) -> Result<GroupRecord, Error> {
        self.group(id)?.ok_or_else(|| Error::NotFound("there is no such group here".to_owned()))
    }

    pub(crate) fn put_group(&self, record: &GroupRecord) -> Result<(), Error> {
        Ok(self.tx.put(Space::Group, &record.id, record)?)
    }

    pub(crate) fn all_groups(&self) -> Result<Vec<GroupRecord>, Error> {
        Ok(self.tx.all(Space::Group)?)
    }

    pub(crate) fn log(&self, id: &[u8]) -> Result<Option<LogRecord>, Error> {
        Ok(self.tx.get(Space::Log, id)?)
    }

    pub(crate) fn pin(&self, account: &[u8; 16]) -> Result<Option<Pin>, Error> {
        Ok(self.tx.get(Space::Peer, account)?)
    }

    pub(crate) fn put_pin(&self, pin: &Pin) -> Result<(), Error> {
        self.tx.put(Space::Name, pin.username.as_bytes(), &pin.account_id)?;
        Ok(self.tx.put(Space::Peer, &pin.account_id, pin)?)
    }

    /// Accounts whose identity key is not the pinned one: few, so they stand in one row.
    pub(crate) fn changed_accounts(&self) -> Result<Vec<[u8; 16]>, Error> {
        Ok(self.tx.get(Space::Meta, b"changed")?.unwrap_or_default())
    }

    /// Marks an account whose identity has changed.
    pub(crate) fn distrust(&mut self, mut pin: Pin) -> Result<(), Error> {
        let mut changed = self.changed_accounts()?;
        changed.retain(|account| *account != pin.account_id);
        changed.push(pin.account_id);
        self.tx.put(Space::Meta, b"changed", &changed)?;
        pin.changed = true;
        self.put_pin(&pin)?;
        self.alarm(None, Alarm::IdentityChanged { account: pin.username });
        Ok(())
    }

    /// The username, or the id where it could not be learned.
    pub(crate) fn name_of(&self, account: &[u8; 16]) -> Result<String, Error> {
        let pin = self.pin(account)?;
        Ok(pin.map_or_else(|| data_encoding::HEXLOWER.encode(account), |pin| pin.username))
    }

    /// Looks at a group's MLS state.
    pub(crate) fn look<T>(&mut self, id: &[u8; 32], look: impl FnOnce(&Group) -> T) -> Result<T, Error> {
        let provider = self.mls.provider(self.tx);
        let group = self.groups.take(&provider, id)?;
        let value = look(&group);
        self.groups.put(*id, group);
        Ok(value)
    }

    /// Changes a group's MLS state. When `change` fails, the rows and the memory are as before.
    pub(crate) fn change<T, E>(
        &mut self,
        id: &[u8; 32],
        change: impl FnOnce(&Provider<'_>, &mut Group) -> Result<T, E>,
    ) -> Result<Result<T, E>, Error> {
        let mls = self.mls;
        let provider = mls.provider(self.tx);
        let mut group = self.groups.take(&provider, id)?;
        let result = change(&provider, &mut group);
        if result.is_ok() {
            provider.store.flush()?;
            self.groups.put(*id, group);
        }
        Ok(result)
    }

    pub(crate) fn alarm(&mut self, group: Option<[u8; 32]>, alarm: Alarm) {
        tracing::warn!(%alarm, "alarm");
        self.effects.events.push(Event::Alarm { group, alarm });
    }
}

#[cfg(test)]
impl Work<'_> {
    /// Messages of the group that the server has not accepted.
    pub(crate) fn queued(&self, group: &[u8; 32]) -> Result<usize, Error> {
        Ok(self.tx.count(Space::Outbox, group)?)
    }
}
