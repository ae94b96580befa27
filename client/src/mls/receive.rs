//! What comes out of a group's log: messages of others and their commits.

use openmls::{
    framing::errors::{MessageDecryptionError, SecretTreeError},
    prelude::{
        ContentType, MlsGroup, ProcessMessageError, ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit,
        ValidationError,
    },
};
use sha2::{Digest as _, Sha256};

use super::{DeviceRef, Group, Leaf, Mls, MlsError, Provider, device_of, invalid, parse};

/// What a commit of somebody else changed.
pub(crate) struct CommitEffect {
    /// Whose commit it was.
    pub(crate) by: DeviceRef,
    pub(crate) epoch: u64,
    /// Devices that came in, also those whose old leaf went.
    pub(crate) added: Vec<DeviceRef>,
    pub(crate) removed: Vec<DeviceRef>,
    /// This device is no leaf any more.
    pub(crate) self_removed: bool,
    /// SHA-256 of the commit.
    pub(crate) hash: [u8; 32],
}

impl Mls {
    /// Decrypts a message of another device. The state moves with it: flush on success, drop the group on failure.
    pub(crate) fn open(provider: &Provider<'_>, group: &mut Group, message: &[u8]) -> Result<(DeviceRef, Vec<u8>), MlsError> {
        let message = protocol(message, ContentType::Application)?;
        let processed = group.0.process_message(provider, message).map_err(spent_or_invalid)?;
        let sender = device_of(processed.credential())?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(content) => Ok((sender, content.into_bytes())),
            _ => Err(MlsError::Malformed),
        }
    }

    /// Processes and merges a commit of another device; `proposals` are those that the log held since the last one.
    pub(crate) fn follow(
        provider: &Provider<'_>,
        group: &mut Group,
        commit: &[u8],
        proposals: &[Vec<u8>],
    ) -> Result<CommitEffect, MlsError> {
        group.0.clear_pending_proposals(&provider.store)?;
        for proposal in proposals {
            // One that does not fit here fits nobody; a commit that refers to it fails below.
            let _ = queue(provider, &mut group.0, proposal);
        }
        let hash = Sha256::digest(commit).into();
        let before = group.leaves();
        let processed = group.0.process_message(provider, protocol(commit, ContentType::Commit)?).map_err(invalid)?;
        let by = device_of(processed.credential())?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(MlsError::Malformed);
        };
        let removed = removed(&before, &staged);
        let self_removed = staged.self_removed();
        group.0.merge_staged_commit(provider, *staged).map_err(invalid)?;
        let after = group.leaves();
        // An external commit puts a new leaf in the place of the device's old one.
        let came_in = |leaf: &&Leaf| is_new(&before, leaf) || removed.contains(&leaf.of);
        let added = after.iter().filter(came_in).map(|leaf| leaf.of).collect();
        Ok(CommitEffect { by, epoch: group.epoch(), added, removed, self_removed, hash })
    }

    /// The leaves that these proposals ask to remove, each by its own device.
    pub(crate) fn leavers(provider: &Provider<'_>, group: &mut Group, proposals: &[Vec<u8>]) -> Vec<DeviceRef> {
        let leaves = group.leaves();
        let mut asking = Vec::new();
        for proposal in proposals {
            let Ok(message) = protocol(proposal, ContentType::Proposal) else { continue };
            let Ok(processed) = group.0.process_message(provider, message) else { continue };
            let &Sender::Member(sender) = processed.sender() else { continue };
            let ProcessedMessageContent::ProposalMessage(proposal) = processed.content() else { continue };
            let removes_itself = match proposal.proposal() {
                openmls::prelude::Proposal::Remove(remove) => remove.removed() == sender,
                openmls::prelude::Proposal::SelfRemove => true,
                _ => false,
            };
            if removes_itself {
                asking.extend(leaves.iter().find(|leaf| leaf.index == sender.u32()).map(|leaf| leaf.of));
            }
        }
        asking
    }

    /// The epoch in the clear header of a message.
    pub(crate) fn epoch_of(message: &[u8]) -> Result<u64, MlsError> {
        let message = parse(message)?.try_into_protocol_message().map_err(|_| MlsError::Malformed)?;
        Ok(message.epoch().as_u64())
    }
}

fn queue(provider: &Provider<'_>, group: &mut MlsGroup, proposal: &[u8]) -> Result<(), MlsError> {
    let processed = group.process_message(provider, protocol(proposal, ContentType::Proposal)?).map_err(invalid)?;
    match processed.into_content() {
        ProcessedMessageContent::ProposalMessage(proposal) => Ok(group.store_pending_proposal(&provider.store, *proposal)?),
        _ => Err(MlsError::Malformed),
    }
}

/// Ratchets go forward only (RFC 9420, section 9.1): a second message of one generation finds no key.
fn spent_or_invalid<E: std::fmt::Display>(error: ProcessMessageError<E>) -> MlsError {
    match error {
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(MessageDecryptionError::SecretTreeError(
            SecretTreeError::SecretReuseError,
        ))) => MlsError::Spent,
        error => invalid(error),
    }
}

fn protocol(bytes: &[u8], content: ContentType) -> Result<ProtocolMessage, MlsError> {
    let message = parse(bytes)?.try_into_protocol_message().map_err(|_| MlsError::Malformed)?;
    if message.content_type() == content { Ok(message) } else { Err(MlsError::Malformed) }
}

fn removed(before: &[Leaf], staged: &StagedCommit) -> Vec<DeviceRef> {
    let indexes: Vec<u32> = staged.remove_proposals().map(|remove| remove.remove_proposal().removed().u32()).collect();
    before.iter().filter(|leaf| indexes.contains(&leaf.index)).map(|leaf| leaf.of).collect()
}

fn is_new(before: &[Leaf], leaf: &Leaf) -> bool {
    !before.iter().any(|old| old.index == leaf.index && old.of == leaf.of)
}
