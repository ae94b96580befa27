//! Propose: a proposal of the caller's own leaf, stored as an entry and cleared by the next commit.

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::v1::{ProposeRequest, ProposeResponse};

use super::{
    Handle, answers, parse,
    submit_commit::{frozen, server_behind, suspended},
};
use crate::{
    caller::Device,
    ids::{Epoch, GroupId, LogId},
    limits::PROPOSAL,
    mls,
    refusal::Refusal,
    server::Server,
    store::{Membership, ProposeOutcome},
};

impl Handle for ProposeRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ProposeResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        if self.proposal.len() > PROPOSAL {
            return Err(Refusal::too_large("a proposal has at most 8 KiB"));
        }
        // Whoever is leaving may still propose its own removal. Asked before the lock: a stranger takes no place among the
        // groups at work. The store asks again.
        if !matches!(server.store.membership(group, device.device).await?, Membership::Member | Membership::Leaving) {
            return Err(Refusal::not_found());
        }
        let proposal = parse::detached(&self.proposal);
        let mut slot = server.groups.lock(group).await;
        let stored = server.store.group_state(group).await?.ok_or_else(Refusal::not_found)?;
        let header = mls::inspect_handshake(&proposal)?;
        if header.group != group {
            return Err(Refusal::invalid("the proposal is of another group"));
        }
        if stored.suspended {
            return Err(suspended());
        }
        if header.epoch < stored.epoch {
            return Err(Refusal::stale_epoch(answers::stale(server, group, device.device, stored.epoch).await?));
        }
        if stored.proposals.contains(&proposal) {
            // Sent again because its answer was lost: the store knows where it stands.
            return known(server, group, &device, stored.epoch, proposal).await;
        }
        let (judged, sender) = (proposal.clone(), device.leaf());
        let checked = server.groups.judge(&mut slot, &stored, move |state| mls::check_proposal(state, sender, &judged)).await?;
        let outcome = server.store.propose(group, device.device, checked.epoch, proposal, server.clock.now_ms()).await?;
        match outcome {
            ProposeOutcome::Accepted { seq } => {
                slot.add_proposal(checked.pending);
                server.hub.wake(LogId::Group(group));
                Ok(ProposeResponse { seq })
            }
            ProposeOutcome::Duplicate { seq } => Ok(ProposeResponse { seq }),
            ProposeOutcome::Stale { current_epoch } if current_epoch < header.epoch => Err(server_behind()),
            ProposeOutcome::Stale { current_epoch } => {
                Err(Refusal::stale_epoch(answers::stale(server, group, device.device, current_epoch).await?))
            }
            ProposeOutcome::NotFound => Err(Refusal::not_found()),
            ProposeOutcome::Frozen => Err(frozen()),
            ProposeOutcome::Suspended => Err(suspended()),
            ProposeOutcome::TooMany => Err(Refusal::new(
                sovereign_proto::v1::FailureCode::QuotaExceeded,
                "the epoch has all the proposals it may have: wait for the next commit",
            )),
        }
    }
}

async fn known(
    server: &Arc<Server>,
    group: GroupId,
    device: &Device,
    epoch: Epoch,
    proposal: Bytes,
) -> Result<ProposeResponse, Refusal> {
    match server.store.propose(group, device.device, epoch, proposal, server.clock.now_ms()).await? {
        ProposeOutcome::Accepted { seq } | ProposeOutcome::Duplicate { seq } => Ok(ProposeResponse { seq }),
        _ => Err(Refusal::conflict("the group moved on meanwhile")),
    }
}
