//! The public state of a group: its context, its tree, and the proposals that wait for a commit.

use bytes::Bytes;
use openmls::{
    group::{ProposalStore, PublicGroup},
    prelude::{ConfirmationTag, CreationFromExternalError, LeafNode, LeafNodeIndex},
    treesync::errors::LeafNodeValidationError,
};
use sovereign_proto::mls::Roles;

use super::{
    Leaf, Next, Pending, Refused, context, crypto, group_info::GroupInfo, guarded, proposal, revive, roster, shelf::Shelf,
    tree::Nodes,
};
use crate::ids::{Epoch, GroupId};

/// A group as far as a server can know it. Of 1000 members it takes about 1 MB of memory: keep it in a bounded cache.
///
/// The bytes to keep are the group's current `GroupInfo` and the proposals since; [`PublicState::load`] rebuilds the
/// rest.
pub struct PublicState {
    pub(super) group: PublicGroup,
    id: GroupId,
    /// Who has a proposal pending, and the encryption key that it brings, if any.
    pending: Vec<(LeafNodeIndex, Option<Vec<u8>>)>,
}

/// A leaf of a group's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its index among the tree's leaf slots.
    pub index: u32,
    /// Whose it is.
    pub leaf: Leaf,
    /// The Ed25519 key that signs its messages.
    pub signature_key: [u8; 32],
}

impl PublicState {
    /// Rebuilds a group from the newest `GroupInfo` that was accepted and the proposals accepted since, in their order.
    /// All signatures are verified, so the cost grows with the members. Lifetimes of leaves may have ended.
    pub fn load(group_info: &[u8], proposals: &[Bytes]) -> Result<Self, Refused> {
        guarded(|| {
            let mut state = Self::verify(&GroupInfo::decode(group_info)?, Lifetimes::MayHaveEnded)?;
            for bytes in proposals {
                let pending = proposal::process(&state, bytes)?;
                state.add_proposal(pending)?;
            }
            Ok(state)
        })
    }

    /// The group's id.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.id
    }

    /// The group's current epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.group.group_context().epoch().as_u64()
    }

    /// All leaves, ordered by index.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.leaves().map(|(index, leaf, node)| Member { index: index.u32(), leaf, signature_key: key_of(node) }).collect()
    }

    /// Who may change the group; without a roles extension all members are equal.
    #[must_use]
    pub fn roles(&self) -> Roles {
        context::roles(self.group.group_context().extensions()).expect("every context was checked before it was taken")
    }

    /// Takes a proposal that [`super::check_proposal`] found good, once it is stored.
    pub fn add_proposal(&mut self, pending: Pending) -> Result<(), Refused> {
        let Pending { queued, sender, encryption_key, epoch } = pending;
        if epoch != self.epoch() {
            return Err(Refused::WrongEpoch { current: self.epoch(), got: epoch });
        }
        self.pending.push((sender, encryption_key));
        self.group.add_proposal(&Shelf::default(), queued).map_err(|error| Refused::invalid(&error))
    }

    /// Goes on to the epoch that [`super::check_commit`] found good from this very state, once it is stored.
    /// Pending proposals end with the epoch.
    pub fn advance(&mut self, next: Next) -> Result<(), Refused> {
        let Next { staged, from_tag } = next;
        if from_tag != *self.group.confirmation_tag() {
            return Err(Refused::WrongEpoch { current: self.epoch(), got: staged.epoch().as_u64().saturating_sub(1) });
        }
        self.pending.clear();
        self.group.merge_commit(&Shelf::default(), *staged).map_err(|error| Refused::invalid(&error))
    }

    /// Verifies a decoded `GroupInfo` with all that it holds.
    pub(super) fn verify(info: &GroupInfo, lifetimes: Lifetimes) -> Result<Self, Refused> {
        context::check(info.context())?;
        let id = GroupId::try_from(info.context().group_id().as_slice()).map_err(|_| Refused::WrongGroup)?;
        roster::check(info.tree(), &Nodes::of(info.tree())?)?;
        let (tree, verifiable) = (info.tree().clone(), info.verifiable().clone());
        let built = PublicGroup::from_external(crypto(), &Shelf::default(), tree, verifiable, ProposalStore::new());
        let group = match built {
            Ok((group, _)) => group,
            Err(CreationFromExternalError::LeafNodeValidation(LeafNodeValidationError::Lifetime(_)))
                if lifetimes == Lifetimes::MayHaveEnded =>
            {
                revive::revive(info)?
            }
            Err(error) => return Err(Refused::invalid(&error)),
        };
        Ok(Self { group, id, pending: Vec::new() })
    }

    /// All leaves with whose they are.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (LeafNodeIndex, Leaf, &LeafNode)> {
        self.group.treesync().full_leaves().map(|(index, node)| {
            let leaf = Leaf::of(node.credential()).expect("every tree's roster was checked before it was taken");
            (index, leaf, node)
        })
    }

    /// The leaf at `index` with whose it is.
    pub(super) fn leaf(&self, index: LeafNodeIndex) -> Option<(Leaf, &LeafNode)> {
        let node = self.group.leaf(index)?;
        Some((Leaf::of(node.credential())?, node))
    }

    /// Who has a proposal pending.
    pub(super) fn has_pending(&self, sender: LeafNodeIndex) -> bool {
        self.pending.iter().any(|(other, _)| *other == sender)
    }

    /// Whether a pending proposal brings this encryption key.
    pub(super) fn pending_brings(&self, encryption_key: &[u8]) -> bool {
        self.pending.iter().any(|(_, key)| key.as_deref() == Some(encryption_key))
    }

    /// The current epoch's confirmation tag, which tells two states of one group apart.
    pub(super) fn tag(&self) -> &ConfirmationTag {
        self.group.confirmation_tag()
    }
}

/// Whether a leaf may have outlived the lifetime of its key package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetimes {
    /// In a group that lives: yes.
    MayHaveEnded,
    /// In a group that is just created: no.
    MustHold,
}

fn key_of(node: &LeafNode) -> [u8; 32] {
    node.signature_key().as_slice().try_into().expect("every tree's roster was checked before it was taken")
}
