//! Proposals on their own (RFC 9420, section 12.1): a device renews its leaf, or asks to be removed.

use openmls::prelude::{
    LeafNode, LeafNodeIndex, MlsMessageBodyIn, ProcessedMessageContent, Proposal, ProposalType, QueuedProposal, RatchetTreeIn,
    Sender, UpdateProposal, tls_codec::Serialize as _,
};

use super::{
    Leaf, PublicState, Refused, crypto, guarded, leaf,
    tree::Nodes,
    wire::{self, PUBLIC_MESSAGE, Reader},
};
use crate::ids::Epoch;

/// A proposal that may be stored.
pub struct ProposalChecked {
    /// The epoch that it belongs to, which is the state's.
    pub epoch: Epoch,
    /// For [`PublicState::add_proposal`], once it is stored.
    pub pending: Pending,
}

/// A verified proposal that the cached state has not taken yet.
pub struct Pending {
    pub(super) queued: QueuedProposal,
    pub(super) sender: LeafNodeIndex,
    pub(super) encryption_key: Option<Vec<u8>>,
    pub(super) epoch: Epoch,
}

/// Checks an `MLSMessage` of wire format `mls_public_message` that carries a proposal of `sender`, a member: an Update of
/// its own leaf with the same credential and signature key, a Remove of its own leaf, or a `SelfRemove` if every leaf
/// supports it. Each leaf has at most one proposal an epoch, so that whoever commits can take all of them.
pub fn check_proposal(state: &PublicState, sender: Leaf, proposal: &[u8]) -> Result<ProposalChecked, Refused> {
    guarded(|| {
        let pending = process(state, proposal)?;
        let (owner, node) = state.leaf(pending.sender).ok_or(Refused::NotSender)?;
        if owner != sender {
            return Err(Refused::NotSender);
        }
        if state.has_pending(pending.sender) {
            return Err(Refused::Policy("a leaf has one pending proposal at a time"));
        }
        match pending.queued.proposal() {
            Proposal::Update(update) => check_update(state, sender, node, update)?,
            Proposal::Remove(remove) if remove.removed() == pending.sender => {}
            Proposal::SelfRemove => check_self_remove(state)?,
            _ => return Err(Refused::Policy("a device proposes an update or the removal of its own leaf only")),
        }
        Ok(ProposalChecked { epoch: pending.epoch, pending })
    })
}

/// openmls neither asks whether every leaf supports `SelfRemove` before it takes one, nor do all of its members.
pub(super) fn check_self_remove(state: &PublicState) -> Result<(), Refused> {
    let supported = state.leaves().all(|(_, _, node)| node.capabilities().proposals().contains(&ProposalType::SelfRemove));
    if supported { Ok(()) } else { Err(Refused::Policy("not every leaf supports SelfRemove")) }
}

/// Decodes and verifies a proposal of a member of this epoch; what it proposes is not judged.
pub(super) fn process(state: &PublicState, bytes: &[u8]) -> Result<Pending, Refused> {
    let MlsMessageBodyIn::PublicMessage(message) = wire::decode(bytes, PUBLIC_MESSAGE)? else {
        return Err(Refused::Malformed);
    };
    if message.group_id().as_slice() != state.group().as_bytes() {
        return Err(Refused::WrongGroup);
    }
    let epoch = message.epoch().as_u64();
    if epoch != state.epoch() {
        return Err(Refused::WrongEpoch { current: state.epoch(), got: epoch });
    }
    let Sender::Member(sender) = *message.sender() else { return Err(Refused::NotSender) };
    let processed = state.group.process_message(crypto(), message).map_err(|error| Refused::invalid(&error))?;
    let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
        return Err(Refused::Policy("this message carries no proposal"));
    };
    let encryption_key = match queued.proposal() {
        Proposal::Update(update) => Some(encryption_key(update.leaf_node())?),
        _ => None,
    };
    Ok(Pending { queued: *queued, sender, encryption_key, epoch })
}

/// Everything that would make a commit with this Update invalid: members commit to all pending proposals, so a bad one
/// would keep them from committing at all.
fn check_update(state: &PublicState, sender: Leaf, old: &LeafNode, update: &UpdateProposal) -> Result<(), Refused> {
    let new = update.leaf_node();
    if Leaf::of(new.credential()) != Some(sender) || new.signature_key() != old.signature_key() {
        return Err(Refused::Policy("an update keeps credential and signature key"));
    }
    let keeps_proposals = old.capabilities().proposals().iter().all(|kind| new.capabilities().proposals().contains(kind));
    if !leaf::is_fit(new) || !keeps_proposals || new.extensions() != old.extensions() {
        return Err(Refused::Policy("an update keeps the leaf's capabilities and extensions"));
    }
    let key = encryption_key(new)?;
    let nodes = Nodes::of(&RatchetTreeIn::from(state.group.export_ratchet_tree()))?;
    for other in nodes.encryption_keys() {
        if other? == key {
            return Err(Refused::Policy("an update brings a fresh encryption key"));
        }
    }
    if state.pending_brings(&key) {
        return Err(Refused::Policy("an update brings a fresh encryption key"));
    }
    Ok(())
}

/// openmls shows the key's bytes only in their encoding.
fn encryption_key(node: &LeafNode) -> Result<Vec<u8>, Refused> {
    let encoded = node.encryption_key().tls_serialize_detached().map_err(|error| Refused::invalid(&error))?;
    Ok(Reader::new(&encoded).vector()?.to_vec())
}
