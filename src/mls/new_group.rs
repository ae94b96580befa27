//! Groups as they begin: epoch 0 with one leaf.

use super::{Leaf, PublicState, Refused, context, group_info::GroupInfo, guarded, leaf, state::Lifetimes, tree::Nodes};
use crate::ids::GroupId;

/// Checks the `GroupInfo` with which `creator` makes the group whose id the server reserved: epoch 0 and exactly the
/// creator's leaf, signed by it, with this server's suite and a context that requires the roles extension.
pub fn check_new_group(group: GroupId, creator: Leaf, device_key: &[u8; 32], group_info: &[u8]) -> Result<PublicState, Refused> {
    guarded(|| {
        let info = GroupInfo::decode(group_info)?;
        if info.context().group_id().as_slice() != group.as_bytes() {
            return Err(Refused::WrongGroup);
        }
        if info.context().epoch().as_u64() != 0 || !info.context().confirmed_transcript_hash().is_empty() {
            return Err(Refused::BadGroupInfo("a group begins at epoch 0"));
        }
        context::check(info.context())?;
        if Nodes::of(info.tree())?.len() != 1 || info.signer().u32() != 0 {
            return Err(Refused::BadGroupInfo("a group begins with its creator's leaf and no other"));
        }
        let state = PublicState::verify(&info, Lifetimes::MustHold)?;
        let (_, _, node) = state.leaves().next().ok_or(Refused::BadGroupInfo("its tree is empty"))?;
        if !creator.owns(node, device_key) {
            return Err(Refused::NotSender);
        }
        if !leaf::is_fit(node) {
            return Err(Refused::BadGroupInfo("its leaf is too large or lacks a capability that groups here need"));
        }
        if let Some(lifetime) = leaf::lifetime(node) {
            leaf::check_range(lifetime)?;
        }
        Ok(state)
    })
}
