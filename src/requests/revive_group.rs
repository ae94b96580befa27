//! `ReviveGroup`: after a restore, members say where their group stands; it goes on where enough of them agree.

use std::sync::Arc;

use sovereign_proto::v1::{Revival as Told, ReviveGroupRequest, ReviveGroupResponse};

use super::{Handle, answers, nomination, parse, presence};
use crate::{
    caller::Device,
    ids::{Epoch, GroupId, LogId},
    limits::{REVIVAL_EPOCHS, REVIVAL_RETRY},
    mls,
    refusal::Refusal,
    server::Server,
    store::{GroupState, Hash, Membership, Revival, ReviveOutcome, Revived},
};

impl Handle for ReviveGroupRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ReviveGroupResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let tag = parse::key(&self.tag, "the tag of a state has 32 bytes")?;
        // Before the lock: a stranger takes no place among the groups at work.
        if !matches!(server.store.membership(group, device.device).await?, Membership::Member | Membership::Leaving) {
            return Err(Refusal::not_found());
        }
        let mut slot = server.groups.lock(group).await;
        let stored = server.store.group_state(group).await?.ok_or_else(Refusal::not_found)?;
        if self.epoch > stored.epoch.saturating_add(REVIVAL_EPOCHS) {
            return Err(Refusal::invalid("no group gets so far between a backup and its restore"));
        }
        if let Some(told) = settled(server, &stored, self.epoch, tag).await? {
            return Ok(answer(told, stored.epoch, stored.revived_epoch));
        }
        let (leaf, key, epoch, group_info) = (device.leaf(), device.key, self.epoch, self.group_info.clone());
        let check = move || mls::check_revival(group, epoch, &tag, leaf, &key, &group_info);
        let members = server.groups.work(check).await?;
        let leaves = members.into_iter().map(|member| (member.leaf, member.signature_key)).collect();
        let now = server.clock.now_ms();
        let revival = Revival { group, from: leaf, epoch, tag, group_info: self.group_info, leaves, now };
        match server.store.revive(revival).await? {
            ReviveOutcome::Revived(revived) => {
                slot.forget();
                drop(slot);
                let (now_epoch, same) = (revived.epoch, revived.tag == tag);
                tell(server, group, revived).await?;
                let told = if same || epoch < now_epoch { Told::GoOn } else { Told::Rejoin };
                Ok(answer(told, now_epoch, Some(now_epoch)))
            }
            ReviveOutcome::Waiting => Ok(answer(Told::Waiting, stored.epoch, None)),
            ReviveOutcome::Elsewhere => Ok(answer(Told::Rejoin, stored.epoch, stored.revived_epoch)),
            ReviveOutcome::Frozen => Ok(answer(Told::Reset, stored.epoch, None)),
            ReviveOutcome::NotFound => Err(Refusal::not_found()),
        }
    }
}

/// What needs nobody's word: the group is not suspended, and this device's state is the one it has, or an older one.
async fn settled(server: &Server, stored: &GroupState, epoch: Epoch, tag: Hash) -> Result<Option<Told>, Refusal> {
    if stored.frozen {
        return Ok(Some(Told::Reset));
    }
    // As long as no commit followed, a newer state may take its place.
    if stored.suspended || (stored.revived_epoch == Some(stored.epoch) && epoch > stored.epoch) {
        return Ok(None);
    }
    if epoch != stored.epoch {
        return Ok(Some(if epoch < stored.epoch { Told::GoOn } else { Told::Rejoin }));
    }
    let group_info = stored.group_info.clone();
    let standing = server.groups.work(move || mls::state_tag(&group_info)).await?;
    Ok(Some(if standing == tag { Told::GoOn } else { Told::Rejoin }))
}

/// Whom it concerns that the group goes on.
async fn tell(server: &Arc<Server>, group: GroupId, revived: Revived) -> Result<(), Refusal> {
    server.hub.unsettle(group);
    if !revived.relations.is_empty() {
        answers::tell_relations(server, revived.relations);
    }
    for device in revived.added {
        server.hub.reopen(device, group);
    }
    for leaf in &revived.removed {
        server.hub.wake(LogId::Device(leaf.device_id));
        server.hub.wake(LogId::Group(group));
        server.hub.unsubscribe(leaf.device_id, group);
    }
    server.hub.wake(LogId::Group(group));
    presence::parted(server, &revived.removed.iter().map(|leaf| leaf.account_id).collect::<Vec<_>>());
    Ok(nomination::raise(server, group).await?)
}

fn answer(told: Told, epoch: Epoch, revived_epoch: Option<Epoch>) -> ReviveGroupResponse {
    let retry_after_ms = match told {
        Told::Waiting => u32::try_from(REVIVAL_RETRY.as_millis()).unwrap_or(u32::MAX),
        _ => 0,
    };
    ReviveGroupResponse { revival: told.into(), epoch, retry_after_ms, revived_epoch }
}
