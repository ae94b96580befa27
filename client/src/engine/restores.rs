//! After a restore of the server from a backup (docs/protocol/README.md, After a restore): this device tells the server
//! again what it has forgotten, and each of its groups goes on where enough of its members agree.

use std::sync::Arc;

use prost::Message as _;
use sovereign_proto::v1::{self, FailureCode, Revival};

use super::{
    Engine, Work,
    content::View,
    records::{CounterRecord, Stage},
};
use crate::{
    error::Error,
    event::Alarm,
    identity::Pin,
    mls::{DeviceRef, Group},
    vault::{Blob, Space},
};

/// Versions of the own list of devices that are kept to be told again.
const MANIFESTS_KEPT: u64 = 64;
/// Times that a server may not know a group before it is given up: some minutes, since other members may have to tell it.
const UNKNOWN_MAX: u32 = 10;

impl Engine {
    /// Tells the server the own lists of devices behind a version: it has forgotten them.
    pub(super) async fn tell_manifests(self: &Arc<Self>, behind: u64) -> Result<(), Error> {
        let manifests = self.run(|work| work.own_manifests(behind))?;
        for manifest in manifests {
            match self.call(v1::PublishManifestRequest { manifest: Some(manifest) }).await {
                // Another device of this account was faster.
                Ok(_) | Err(Error::Refused { code: FailureCode::Conflict, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says where a group stands here, and does what follows from the answer.
    pub(super) async fn revive(self: &Arc<Self>, id: &[u8; 32]) -> Result<(), Error> {
        let request = self.run(|work| work.own_state(id))?;
        let epoch = request.epoch;
        let told = match self.call(request).await {
            Ok(told) => told,
            Err(error @ Error::Refused { code: FailureCode::NotFound, .. }) => {
                return self.run(|work| work.unknown(id, &error))?;
            }
            Err(error) => return Err(error),
        };
        match told.revival() {
            Revival::GoOn => self.run(|work| work.goes_on(id, epoch, &told)),
            Revival::Rejoin => self.run(|work| work.went_elsewhere(id)),
            Revival::Reset => {
                self.run(|work| work.freeze(id))?;
                self.reset(*id).await.map(drop)
            }
            Revival::Waiting | Revival::Unspecified => Err(Error::Refused {
                code: FailureCode::Unavailable,
                message: "the group waits for its other members since the server was restored".to_owned(),
                retry_after_ms: u64::from(told.retry_after_ms),
            }),
        }
    }
}

impl Work<'_> {
    /// Another generation than the last time: the server was restored, and every group has to find out where it stands.
    pub(crate) fn notice_generation(&mut self, generation: u64) -> Result<(), Error> {
        let before: Option<u64> = self.tx.get(Space::Meta, b"generation")?;
        if before == Some(generation) || generation == 0 {
            return Ok(());
        }
        self.tx.put(Space::Meta, b"generation", &generation)?;
        if before.is_none() {
            return Ok(());
        }
        for mut record in self.all_groups()? {
            let goes_on = record.stage == Stage::Active && record.successor.is_none() && !record.frozen;
            (record.restored, record.unknown) = (goes_on, 0);
            if goes_on {
                record.restored_epoch = self.look(&record.id, Group::epoch)?;
            }
            self.put_group(&record)?;
            self.effects.wake.insert(record.id);
        }
        for mut pin in self.tx.all::<Pin>(Space::Peer)? {
            pin.restored = true;
            self.put_pin(&pin)?;
        }
        self.alarm(None, Alarm::ServerRestored);
        Ok(())
    }

    /// Keeps a version of the own list of devices: only this account's devices can tell it to a server that forgot it.
    pub(super) fn keep_own_manifest(&mut self, pin: &Pin, manifest: &v1::Manifest) -> Result<(), Error> {
        if pin.account_id != self.me().account {
            return Ok(());
        }
        self.tx.set(Space::Meta, b"manifests", pin.version, &Blob(manifest.encode_to_vec()))?;
        Ok(self.tx.trim(Space::Meta, b"manifests", pin.version.saturating_sub(MANIFESTS_KEPT))?)
    }

    fn own_manifests(&self, behind: u64) -> Result<Vec<v1::Manifest>, Error> {
        let kept = self.tx.items::<Blob>(Space::Meta, b"manifests", behind, usize::MAX)?;
        let first = kept.first().map(|(version, _)| *version);
        if first.is_some_and(|first| first != behind + 1) {
            // A hole in the chain: nothing of it would be taken.
            return Ok(Vec::new());
        }
        Ok(kept.into_iter().filter_map(|(_, bytes)| v1::Manifest::decode(bytes.0.as_slice()).ok()).collect())
    }

    /// The group's state as this device has it.
    fn own_state(&mut self, id: &[u8; 32]) -> Result<v1::ReviveGroupRequest, Error> {
        let mls = self.mls;
        let (state, epoch) = self.look(id, |group| (mls.public_state(group), group.epoch()))?;
        let (group_info, tag) = state?;
        Ok(v1::ReviveGroupRequest {
            group_id: id.to_vec().into(),
            epoch,
            tag: tag.to_vec().into(),
            group_info: group_info.into(),
        })
    }

    /// The group goes on from this device's state, or has gone on from an earlier one. From one earlier than what this device
    /// had when it noticed, others went elsewhere since, and have only got further than this device by now.
    pub(super) fn goes_on(&mut self, id: &[u8; 32], own_epoch: u64, told: &v1::ReviveGroupResponse) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        if told.revived_epoch.is_some_and(|from| from < record.restored_epoch) {
            return self.went_elsewhere(id);
        }
        (record.restored, record.unknown) = (false, 0);
        self.put_group(&record)?;
        // Where the commits in between are gone, the list of groups says that only an external commit leads back.
        self.effects.list |= own_epoch < told.epoch;
        self.effects.wake.insert(*id);
        Ok(())
    }

    /// The group goes on from another state: this device comes in again from outside. What waits was encrypted for a state
    /// that is nobody else's, and the epoch that this device comes in with may have the same number: it is encrypted again.
    fn went_elsewhere(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        self.encrypt_again(id)?;
        let mut record = self.known_group(id)?;
        (record.restored, record.unknown) = (false, 0);
        record.stage = Stage::Outside;
        self.tx.remove(Space::Bundle, id)?;
        self.effects.wake.insert(*id);
        self.put_group(&record)
    }

    /// The server does not know the group, or this device in it. Others may tell it yet; the inner error asks to wait.
    fn unknown(&mut self, id: &[u8; 32], error: &Error) -> Result<Result<(), Error>, Error> {
        let mut record = self.known_group(id)?;
        record.unknown += 1;
        if record.unknown > UNKNOWN_MAX {
            record.restored = false;
            return self.close_group(record).map(Ok);
        }
        self.put_group(&record)?;
        Ok(Err(Error::Network(error.to_string())))
    }

    /// Closes a group whose window has been read to its end, where the commit that removed this device is gone.
    pub(super) fn close_at_end(&mut self, id: &[u8; 32], cursor: u64) -> Result<(), Error> {
        match self.group(id)? {
            Some(record) if record.stage == Stage::Active && record.closes_at.is_some_and(|end| cursor >= end) => {
                self.out(record)
            }
            _ => Ok(()),
        }
    }

    /// What was accepted before the restore, and whose sender did not learn of it, is sent again: it is here already.
    pub(super) fn is_repeated(&self, id: &[u8; 32], from: DeviceRef, view: &View, seq: u64) -> Result<bool, Error> {
        let log = self.log(id)?.unwrap_or_default();
        if log.restored_at == 0 || seq <= log.restored_at {
            return Ok(false);
        }
        let now = CounterRecord { stay: log.stay, ..CounterRecord::default() };
        let (last, _) = self.last_counter(id, &from.device, &now)?;
        Ok(last.is_some_and(|last| view.counter <= last))
    }
}
