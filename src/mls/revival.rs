//! A group's state as a member brings it to a server that was restored from a backup (ADR 0026).

use openmls::prelude::{LeafNodeIndex, tls_codec::Serialize as _};
use sovereign_proto::mls;

use super::{Leaf, Member, PublicState, Refused, group_info::GroupInfo, guarded, state::Lifetimes};
use crate::ids::{Epoch, GroupId};

/// Checks that `group_info` is of this group and epoch, has that tag, and is signed by the leaf of the device that brings
/// it; gives the leaves. That it is the group's true state only members can say.
pub fn check_revival(
    group: GroupId,
    epoch: Epoch,
    tag: &[u8; 32],
    bringer: Leaf,
    device_key: &[u8; 32],
    group_info: &[u8],
) -> Result<Vec<Member>, Refused> {
    guarded(|| {
        let info = GroupInfo::decode(group_info)?;
        if info.context().group_id().as_slice() != group.as_bytes() {
            return Err(Refused::WrongGroup);
        }
        let found = info.context().epoch().as_u64();
        if found != epoch {
            return Err(Refused::WrongEpoch { current: found, got: epoch });
        }
        if tag_of(&info)? != *tag {
            return Err(Refused::BadGroupInfo("its tag is that of another state"));
        }
        let state = PublicState::verify(&info, Lifetimes::MayHaveEnded)?;
        let signer = LeafNodeIndex::new(info.signer().u32());
        match state.leaf(signer) {
            Some((leaf, node)) if leaf == bringer && bringer.owns(node, device_key) => Ok(state.members()),
            _ => Err(Refused::NotSender),
        }
    })
}

/// The tag of a state that was accepted before.
pub fn state_tag(group_info: &[u8]) -> Result<[u8; 32], Refused> {
    guarded(|| tag_of(&GroupInfo::decode(group_info)?))
}

fn tag_of(info: &GroupInfo) -> Result<[u8; 32], Refused> {
    let context = info.context().tls_serialize_detached().map_err(|error| Refused::invalid(&error))?;
    let tag = info.confirmation_tag().tls_serialize_detached().map_err(|error| Refused::invalid(&error))?;
    Ok(mls::state_tag(&context, &tag))
}
