//! A group as this device holds it, and the few that are kept in memory between transactions.

use std::collections::HashMap;

use openmls::prelude::{GroupId, MlsGroup, MlsMessageOut, OpenMlsProvider as _, tls_codec::Serialize as _};
use sovereign_proto::mls::{CONFIRMATION_TAG_LABEL, CONFIRMATION_TAG_LENGTH, Policy, ROLES_EXTENSION, Roles, state_tag};

use super::{Leaf, Mls, MlsError, Provider, config, device_of, invalid};
use crate::vault::{Diff, Tx};

/// The secrets and the tree of one group.
pub(crate) struct Group(pub(super) MlsGroup);

/// Groups loaded before. Only valid while every transaction that touched them was committed: cleared otherwise.
#[derive(Default)]
pub(crate) struct GroupCache(HashMap<[u8; 32], Group>);

/// Groups in memory at most; the largest may hold megabytes.
const CACHED_MAX: usize = 32;

impl GroupCache {
    /// Takes the group out of the cache, or loads it.
    pub(crate) fn take(&mut self, provider: &Provider<'_>, id: &[u8; 32]) -> Result<Group, MlsError> {
        match self.0.remove(id) {
            Some(group) => Ok(group),
            None => Group::load(provider, id),
        }
    }

    /// Puts it back, its changes being in the transaction.
    pub(crate) fn put(&mut self, id: [u8; 32], group: Group) {
        if self.0.len() >= CACHED_MAX {
            self.0.clear();
        }
        self.0.insert(id, group);
    }

    pub(crate) fn forget(&mut self, id: &[u8; 32]) {
        self.0.remove(id);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Mls {
    /// A new group with this device as its only leaf. The answer is its `GroupInfo`.
    pub(crate) fn create(&self, tx: &Tx<'_>, id: &[u8; 32], roles: &Roles, now_ms: u64) -> Result<Vec<u8>, MlsError> {
        let provider = self.provider(tx);
        let group = config::creation(id, roles, now_ms)?.build(&provider, &*self.key, self.credential()).map_err(invalid)?;
        let info = group.export_group_info(provider.crypto(), &*self.key, true).map_err(invalid)?;
        let info = info.to_bytes().map_err(invalid)?;
        provider.store.flush()?;
        Ok(info)
    }

    /// Encrypts in the group's current epoch.
    pub(crate) fn encrypt(&self, provider: &Provider<'_>, group: &mut Group, content: &[u8]) -> Result<Vec<u8>, MlsError> {
        bytes(&group.0.create_message(provider, &*self.key, content).map_err(invalid)?)
    }

    /// The proposal that this device leaves; commits of others may refer to it.
    pub(crate) fn propose_leave(&self, provider: &Provider<'_>, group: &mut Group) -> Result<Vec<u8>, MlsError> {
        let proposal = bytes(&group.0.leave_group(provider, &*self.key).map_err(invalid)?)?;
        // The log says which proposals there are. One that waits here would forbid messages, for good if it never got there.
        group.0.clear_pending_proposals(&provider.store)?;
        Ok(proposal)
    }

    /// The tag by which members learn that their states are equal.
    pub(crate) fn confirmation_tag(&self, group: &Group, commit_hash: &[u8; 32]) -> Result<Vec<u8>, MlsError> {
        let context = [group.0.group_id().as_slice(), &group.epoch().to_be_bytes(), commit_hash].concat();
        group.0.export_secret(&self.crypto, CONFIRMATION_TAG_LABEL, &context, CONFIRMATION_TAG_LENGTH).map_err(invalid)
    }

    /// The group's public state as a `GroupInfo` signed by this device, and its tag.
    pub(crate) fn public_state(&self, group: &Group) -> Result<(Vec<u8>, [u8; 32]), MlsError> {
        let info = group.0.export_group_info(&self.crypto, &*self.key, true).map_err(invalid)?;
        let context = group.0.public_group().group_context().tls_serialize_detached().map_err(invalid)?;
        let tag = group.0.confirmation_tag().tls_serialize_detached().map_err(invalid)?;
        Ok((info.to_bytes().map_err(invalid)?, state_tag(&context, &tag)))
    }

    /// Removes every secret of the group.
    pub(crate) fn delete(&self, tx: &Tx<'_>, id: &[u8; 32]) -> Result<(), MlsError> {
        let provider = self.provider(tx);
        match Group::load(&provider, id) {
            Ok(mut group) => {
                group.0.delete(&provider.store)?;
                Ok(provider.store.flush()?)
            }
            Err(MlsError::NoGroup) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a staged change this device's state.
    pub(crate) fn adopt(tx: &Tx<'_>, diff: &Diff) -> Result<(), MlsError> {
        Ok(diff.apply(tx)?)
    }
}

impl Group {
    pub(super) fn load(provider: &Provider<'_>, id: &[u8; 32]) -> Result<Self, MlsError> {
        let group = MlsGroup::load(&provider.store, &GroupId::from_slice(id))?;
        group.map(Self).ok_or(MlsError::NoGroup)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch().as_u64()
    }

    /// Every leaf, ascending by index. A leaf whose credential is not of ours is left out; the server admits none.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        self.0.members().filter_map(|member| leaf(&member)).collect()
    }

    pub(crate) fn authenticator(&self) -> Vec<u8> {
        self.0.epoch_authenticator().as_slice().to_vec()
    }

    /// Who may do what; a group without the extension belongs to everybody.
    pub(crate) fn roles(&self) -> Roles {
        let extension = self.0.extensions().unknown(ROLES_EXTENSION);
        let roles = extension.and_then(|extension| Roles::decode(&extension.0).ok());
        roles.unwrap_or(Roles { policy: Policy::Equal, administrators: Vec::new() })
    }
}

pub(super) fn leaf(member: &openmls::prelude::Member) -> Option<Leaf> {
    let key = member.signature_key.as_slice().try_into().ok()?;
    Some(Leaf { index: member.index.u32(), of: device_of(&member.credential).ok()?, key })
}

pub(super) fn bytes(message: &MlsMessageOut) -> Result<Vec<u8>, MlsError> {
    message.to_bytes().map_err(invalid)
}
