//! Which changes of a group a commit may make, beyond what RFC 9420 says.

use std::collections::HashSet;

use openmls::{
    group::StagedCommit,
    prelude::{AddProposal, LeafNodeIndex, Proposal, ProposalOrRefType, QueuedProposal, Sender},
};

use super::{AddedLeaf, CommitInput, Leaf, PublicState, Refused, SUITE, context, crypto, leaf, proposal};
use crate::clock::UnixMs;

/// Who commits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Committer {
    /// The member at this leaf.
    Member(LeafNodeIndex),
    /// A device that joins by this commit.
    Joiner,
}

const ONLY_OWN_OLD_LEAF: Refused = Refused::Policy("a joiner removes its own old leaf and proposes nothing else");

/// Whom a commit adds and removes.
pub(super) struct Change {
    pub(super) added: Vec<AddedLeaf>,
    pub(super) removed: Vec<Leaf>,
}

/// Judges what a valid commit does.
pub(super) fn review(
    state: &PublicState,
    staged: &StagedCommit,
    input: &CommitInput<'_>,
    committer: Committer,
    now_ms: UnixMs,
) -> Result<Change, Refused> {
    let mut review = Review { state, input, committer, now_ms, touched: HashSet::new(), added: Vec::new(), removed: Vec::new() };
    for queued in staged.queued_proposals() {
        match queued.proposal_or_ref_type() {
            ProposalOrRefType::Proposal => review.by_value(queued.proposal())?,
            ProposalOrRefType::Reference => review.by_reference(queued)?,
        }
    }
    review.check_committer(staged)?;
    Ok(Change { added: review.added, removed: review.removed })
}

struct Review<'a> {
    state: &'a PublicState,
    input: &'a CommitInput<'a>,
    committer: Committer,
    now_ms: UnixMs,
    /// Leaves that were updated or removed: each at most once.
    touched: HashSet<LeafNodeIndex>,
    added: Vec<AddedLeaf>,
    removed: Vec<Leaf>,
}

impl Review<'_> {
    /// A proposal of the committer's own.
    fn by_value(&mut self, proposal: &Proposal) -> Result<(), Refused> {
        match (proposal, self.committer) {
            (Proposal::Add(add), Committer::Member(_)) => self.add(add),
            (Proposal::Remove(remove), _) => {
                let removed = self.remove(remove.removed())?;
                self.check_removal(removed)
            }
            (Proposal::GroupContextExtensions(change), Committer::Member(_)) => {
                if !self.may_administer() {
                    return Err(Refused::Policy("only administrators change roles"));
                }
                let current = self.state.group.group_context().extensions();
                if change.extensions().required_capabilities() != current.required_capabilities() {
                    return Err(Refused::Policy("a group's required capabilities stay as they are"));
                }
                context::check_extensions(change.extensions())
            }
            (Proposal::ExternalInit(_), Committer::Joiner) => Ok(()),
            (_, Committer::Joiner) => Err(ONLY_OWN_OLD_LEAF),
            (_, Committer::Member(_)) => Err(Refused::Policy("a commit adds, removes or changes roles")),
        }
    }

    /// A proposal that was pending.
    fn by_reference(&mut self, queued: &QueuedProposal) -> Result<(), Refused> {
        let Sender::Member(sender) = *queued.sender() else { return Err(Refused::Policy("only members propose")) };
        if self.committer == Committer::Joiner {
            return Err(ONLY_OWN_OLD_LEAF);
        }
        match queued.proposal() {
            Proposal::Update(update) => {
                self.touch(sender)?;
                let (owner, node) = self.state.leaf(sender).ok_or(Refused::NotSender)?;
                let new = update.leaf_node();
                if Leaf::of(new.credential()) == Some(owner) && new.signature_key() == node.signature_key() {
                    Ok(())
                } else {
                    Err(Refused::Policy("an update keeps credential and signature key"))
                }
            }
            Proposal::Remove(remove) if remove.removed() == sender => self.remove(sender).map(|_| ()),
            Proposal::SelfRemove => {
                proposal::check_self_remove(self.state)?;
                self.remove(sender).map(|_| ())
            }
            _ => Err(Refused::Policy("a device proposes an update or the removal of its own leaf only")),
        }
    }

    fn add(&mut self, add: &AddProposal) -> Result<(), Refused> {
        let package = add.key_package();
        let node = package.leaf_node();
        let owner = Leaf::of(node.credential()).ok_or(Refused::Policy("an added leaf names no account and device"))?;
        let bad = || Refused::BadAdd(owner.device_id);
        let signature_key = node.signature_key().as_slice().try_into().map_err(|_| bad())?;
        if package.ciphersuite() != SUITE || !leaf::is_fit(node) {
            return Err(bad());
        }
        leaf::check_lifetime(package.life_time(), self.now_ms).map_err(|_| bad())?;
        let reference = package.hash_ref(crypto()).map_err(|_| bad())?.as_slice().to_vec();
        self.added.push(AddedLeaf { leaf: owner, reference, signature_key });
        Ok(())
    }

    /// Notes a removal, which is of a leaf that exists, is not the committer's, and is removed once.
    fn remove(&mut self, index: LeafNodeIndex) -> Result<Leaf, Refused> {
        if self.committer == Committer::Member(index) {
            return Err(Refused::Policy("a commit never removes its own committer"));
        }
        self.touch(index)?;
        let (leaf, _) = self.state.leaf(index).ok_or(Refused::Policy("there is no such leaf to remove"))?;
        self.removed.push(leaf);
        Ok(leaf)
    }

    fn touch(&mut self, index: LeafNodeIndex) -> Result<(), Refused> {
        if self.touched.insert(index) { Ok(()) } else { Err(Refused::Policy("a commit changes a leaf twice")) }
    }

    /// A member removes its own other devices and whom the server wants removed; administrators remove everybody. A
    /// joiner removes its own old leaf only.
    fn check_removal(&self, target: Leaf) -> Result<(), Refused> {
        let CommitInput { committer, removals, .. } = *self.input;
        match self.committer {
            Committer::Joiner if target == committer => Ok(()),
            Committer::Joiner => Err(ONLY_OWN_OLD_LEAF),
            Committer::Member(_) if target.account_id == committer.account_id || removals.contains(&target) => Ok(()),
            Committer::Member(_) if self.may_administer() => Ok(()),
            Committer::Member(_) => Err(Refused::Policy("only administrators remove others")),
        }
    }

    fn may_administer(&self) -> bool {
        let members = self.state.leaves().map(|(_, leaf, _)| leaf.account_id.0);
        self.state.roles().may_administer(self.input.committer.account_id.as_bytes(), members)
    }

    /// The committer's leaf in the new epoch is still, or now, the caller's.
    fn check_committer(&mut self, staged: &StagedCommit) -> Result<(), Refused> {
        let CommitInput { committer, device_key, removals, .. } = *self.input;
        let path_leaf = staged.update_path_leaf_node();
        if path_leaf.is_some_and(|node| !committer.owns(node, device_key)) {
            return Err(Refused::Policy("a commit keeps its committer's credential and signature key"));
        }
        if path_leaf.is_some_and(|node| !leaf::is_fit(node)) {
            return Err(Refused::Policy("a committer's leaf is small and supports what groups here need"));
        }
        if self.committer == Committer::Joiner {
            if removals.contains(&committer) {
                return Err(Refused::Policy("a device that is being removed does not join"));
            }
            if !self.state.leaves().any(|(_, leaf, _)| leaf.account_id == committer.account_id) {
                return Err(Refused::Policy("only devices of member accounts join by themselves"));
            }
            self.added.push(AddedLeaf { leaf: committer, reference: Vec::new(), signature_key: *device_key });
        }
        Ok(())
    }
}
