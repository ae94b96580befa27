//! Commits (RFC 9420, section 12.4) with their Welcome and the new epoch's `GroupInfo`, accepted or refused as one.

use openmls::{
    group::StagedCommit,
    prelude::{ConfirmationTag, LeafNodeIndex, MlsMessageBodyIn, ProcessedMessageContent, PublicMessageIn, Sender},
};

use super::{
    Leaf, PublicState, Refused, crypto,
    group_info::GroupInfo,
    guarded,
    policy::{self, Committer},
    roster,
    tree::Nodes,
    welcome,
    wire::{self, PUBLIC_MESSAGE},
};
use crate::{
    clock::UnixMs,
    ids::{Epoch, GroupId},
};

/// A commit as it was submitted, and what the server knows about its sender.
pub struct CommitInput<'a> {
    /// The group that the request names.
    pub group: GroupId,
    /// The authenticated device.
    pub committer: Leaf,
    /// The authenticated device's Ed25519 key.
    pub device_key: &'a [u8; 32],
    /// `MLSMessage` of wire format `mls_public_message`.
    pub commit: &'a [u8],
    /// `MLSMessage` of wire format `mls_welcome`; empty when nobody is added.
    pub welcome: &'a [u8],
    /// `MLSMessage` of wire format `mls_group_info`, of the new epoch.
    pub group_info: &'a [u8],
    /// Leaves that the server wants removed (leavers, revoked devices): any member may remove these.
    pub removals: &'a [Leaf],
}

/// What a good commit changes. Whether the added devices are registered, enabled, listed in their manifests and claimed
/// for this group is for the store to say.
pub struct CommitChecked {
    /// The epoch that it ends.
    pub from_epoch: Epoch,
    /// The committer was no leaf before, or replaces its own.
    pub external: bool,
    /// Leaves of the new epoch that were added, an external joiner included.
    pub added: Vec<AddedLeaf>,
    /// Leaves that are gone, the joiner's own old leaf included.
    pub removed: Vec<Leaf>,
    /// For [`PublicState::advance`], once it is stored.
    pub next: Next,
}

/// A leaf that a commit adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedLeaf {
    /// Whose it is.
    pub leaf: Leaf,
    /// The `KeyPackageRef` of the key package that it redeems; empty for an external joiner.
    pub reference: Vec<u8>,
    /// Its Ed25519 key.
    pub signature_key: [u8; 32],
}

/// The next epoch of a group, verified but not taken: commits race, and only the one that is stored counts.
pub struct Next {
    pub(super) staged: Box<StagedCommit>,
    pub(super) from_tag: ConfirmationTag,
}

/// Checks a commit bundle against the group's current state, which stays as it is.
///
/// Signature, proposals, tree, path and transcript are openmls's to judge. Judged here are roles, lifetimes and
/// capabilities, that a commit never removes its committer nor changes whose its leaf is, that a joiner replaces only
/// itself, and that no device or key stands twice in the new tree. The Welcome must be for exactly the added key
/// packages, the `GroupInfo` must describe the new epoch and be signed by the committer.
pub fn check_commit(state: &PublicState, input: &CommitInput<'_>, now_ms: UnixMs) -> Result<CommitChecked, Refused> {
    guarded(|| {
        let MlsMessageBodyIn::PublicMessage(message) = wire::decode(input.commit, PUBLIC_MESSAGE)? else {
            return Err(Refused::Malformed);
        };
        check_framing(state, input, &message)?;
        let committer = committer_of(state, input, &message)?;
        let tag = message.confirmation_tag().cloned().ok_or(Refused::Policy("this message carries no commit"))?;
        let processed = state.group.process_message(crypto(), message).map_err(|error| Refused::invalid(&error))?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(Refused::Policy("this message carries no commit"));
        };
        let change = policy::review(state, &staged, input, committer, now_ms)?;
        welcome::check(input.welcome, &change.added)?;
        let signer = match committer {
            Committer::Member(index) => index,
            Committer::Joiner => state.group.ext_commit_sender_index(&staged).map_err(|error| Refused::invalid(&error))?,
        };
        check_group_info(&staged, input, &tag, signer)?;
        Ok(CommitChecked {
            from_epoch: state.epoch(),
            external: committer == Committer::Joiner,
            added: change.added,
            removed: change.removed,
            next: Next { staged, from_tag: state.tag().clone() },
        })
    })
}

fn check_framing(state: &PublicState, input: &CommitInput<'_>, message: &PublicMessageIn) -> Result<(), Refused> {
    if message.group_id().as_slice() != input.group.as_bytes() || state.group() != input.group {
        return Err(Refused::WrongGroup);
    }
    let (current, got) = (state.epoch(), message.epoch().as_u64());
    if got == current { Ok(()) } else { Err(Refused::WrongEpoch { current, got }) }
}

/// The committing leaf, which must be the caller's; a joiner's leaf comes with the commit and is checked there.
fn committer_of(state: &PublicState, input: &CommitInput<'_>, message: &PublicMessageIn) -> Result<Committer, Refused> {
    match *message.sender() {
        Sender::Member(index) => {
            let (_, node) = state.leaf(index).ok_or(Refused::NotSender)?;
            if input.committer.owns(node, input.device_key) { Ok(Committer::Member(index)) } else { Err(Refused::NotSender) }
        }
        Sender::NewMemberCommit => Ok(Committer::Joiner),
        Sender::External(_) | Sender::NewMemberProposal => Err(Refused::NotSender),
    }
}

/// The `GroupInfo` has the very context and confirmation tag that the commit makes, the tree of that context, and the
/// committer's signature. Its leaves' signatures need no second look: the tree hash says that it is openmls's own tree.
fn check_group_info(
    staged: &StagedCommit,
    input: &CommitInput<'_>,
    tag: &ConfirmationTag,
    signer: LeafNodeIndex,
) -> Result<(), Refused> {
    let info = GroupInfo::decode(input.group_info)?;
    if info.context().group_id().as_slice() != input.group.as_bytes() {
        return Err(Refused::WrongGroup);
    }
    if info.context() != staged.group_context() {
        return Err(Refused::BadGroupInfo("its context is not the one that the commit makes"));
    }
    if info.confirmation_tag() != tag {
        return Err(Refused::BadGroupInfo("its confirmation tag is not the commit's"));
    }
    let nodes = Nodes::of(info.tree())?;
    if nodes.root_hash()? != *staged.group_context().tree_hash() {
        return Err(Refused::BadGroupInfo("its tree is not the one that the commit makes"));
    }
    roster::check(info.tree(), &nodes)?;
    if info.signer() != signer || !info.is_signed_by(input.device_key) {
        return Err(Refused::BadGroupInfo("it is not signed by the committer"));
    }
    Ok(())
}
