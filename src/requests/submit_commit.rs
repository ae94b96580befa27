//! `SubmitCommit`: everything a commit brings, validated off the writer and stored in one transaction, or refused whole.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sovereign_proto::v1::{
    CommitAccepted, CommitRejected, SubmitCommitRequest, SubmitCommitResponse, submit_commit_response::Outcome,
};

use super::{Handle, answers, nomination, parse, presence};
use crate::{
    caller::Device,
    groups::Slot,
    ids::{DeviceId, Epoch, GroupId, LogId, Seq},
    limits::MESSAGES_PER_BUNDLE,
    mls::{self, AddedLeaf, CommitChecked, CommitInput, Next},
    refusal::Refusal,
    server::Server,
    store::{CommitOutcome, CommitPlan, GroupState, Hash, Membership},
};

impl Handle for SubmitCommitRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<SubmitCommitResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let bundle_hash = bundle_hash(&self);
        // Before the lock: a stranger takes no place among the groups at work.
        if server.store.membership(group, device.device).await? == Membership::None {
            return Err(Refusal::not_found());
        }
        let mut slot = server.groups.lock(group).await;
        let membership = server.store.membership(group, device.device).await?;
        if membership == Membership::None {
            return Err(Refusal::not_found());
        }
        if let Some((seq, epoch)) = server.store.known_commit(group, device.device, bundle_hash).await? {
            return accepted(server, group, device.device, seq, epoch, true).await;
        }
        if membership == Membership::Leaving {
            return Err(Refusal::not_found());
        }
        let header = mls::inspect_handshake(&self.commit)?;
        if header.group != group {
            return Err(Refusal::invalid("the commit is of another group"));
        }
        let stored = server.store.group_state(group).await?.ok_or_else(Refusal::not_found)?;
        if stored.suspended {
            return Err(suspended());
        }
        if stored.frozen {
            return Err(frozen());
        }
        if header.epoch < stored.epoch {
            return rejected(server, group, device.device, stored.epoch).await;
        }
        if header.epoch > stored.epoch {
            return Err(server_behind());
        }
        let (plan, next) = check(self, &device, bundle_hash, &stored, &mut slot, server).await?;
        store(server, group, &device, plan, next, slot).await
    }
}

/// Validates the bundle against the group's public state.
async fn check(
    request: SubmitCommitRequest,
    device: &Device,
    bundle_hash: Hash,
    stored: &GroupState,
    slot: &mut Slot,
    server: &Arc<Server>,
) -> Result<(CommitPlan, Next), Refusal> {
    let group = parse::group_id(&request.group_id)?;
    if request.messages.len() > MESSAGES_PER_BUNDLE {
        return Err(Refusal::too_large("at most 8 messages a bundle"));
    }
    let limits = &server.settings.limits;
    let messages = request.messages.iter().map(|message| parse::outgoing(message, limits)).collect::<Result<Vec<_>, _>>()?;
    for message in &messages {
        let header = mls::inspect_message(&message.ciphertext)?;
        if header.group != group || header.epoch != stored.epoch + 1 {
            return Err(Refusal::invalid("a message of a bundle belongs to the epoch that its commit makes"));
        }
    }
    let committer = device.leaf();
    let (commit, welcome, group_info) = (request.commit.clone(), request.welcome.clone(), request.group_info.clone());
    let removals = stored.removals.clone();
    let (key, now) = (device.key, server.clock.now_ms());
    let checked = server
        .groups
        .judge(slot, stored, move |state| {
            let input = CommitInput {
                group,
                committer,
                device_key: &key,
                commit: &commit,
                welcome: &welcome,
                group_info: &group_info,
                removals: &removals,
            };
            mls::check_commit(state, &input, now)
        })
        .await?;
    let CommitChecked { from_epoch, external, added, removed, next } = checked;
    for AddedLeaf { leaf, signature_key, .. } in &added {
        let known = server.store.device(leaf.device_id).await?;
        if known.is_none_or(|known| known.account_id != leaf.account_id || known.device_key != *signature_key) {
            return Err(Refusal::invalid("an added leaf has another key than its device"));
        }
    }
    // An external joiner redeems no key package: it is the plan's committer.
    let joined = added.into_iter().filter(|added| !(external && added.leaf == committer));
    let plan = CommitPlan {
        group,
        committer,
        external,
        from_epoch,
        commit_hash: Sha256::digest(&request.commit).into(),
        bundle_hash,
        commit: parse::detached(&request.commit),
        group_info: request.group_info,
        added: joined.map(|added| (added.leaf, added.reference)).collect(),
        removed,
        welcome: request.welcome,
        messages,
        now,
    };
    Ok((plan, next))
}

/// Writes what was validated, and wakes whom it concerns.
async fn store(
    server: &Arc<Server>,
    group: GroupId,
    device: &Device,
    plan: CommitPlan,
    next: Next,
    mut slot: tokio::sync::OwnedMutexGuard<Slot>,
) -> Result<SubmitCommitResponse, Refusal> {
    let (external, removed) = (plan.external, plan.removed.clone());
    match server.store.accept_commit(plan).await? {
        CommitOutcome::Accepted { seq, epoch, duplicate, notified, relations, .. } => {
            if !duplicate {
                slot.advance(next);
            }
            drop(slot);
            if external {
                server.hub.reopen(device.device, group);
            }
            server.hub.unsettle(group);
            server.hub.wake(LogId::Group(group));
            // Before the Welcomes, so that who is added knows by whom.
            if !relations.is_empty() {
                answers::tell_relations(server, relations);
            }
            notified.into_iter().for_each(|device| server.hub.wake(LogId::Device(device)));
            #[cfg(feature = "sabotage")]
            let removed: Vec<_> = removed.into_iter().filter(|_| !crate::sabotage::breaks("leak")).collect();
            for leaf in removed.iter().filter(|leaf| leaf.device_id != device.device) {
                server.hub.unsubscribe(leaf.device_id, group);
            }
            presence::parted(server, &removed.iter().map(|leaf| leaf.account_id).collect::<Vec<_>>());
            nomination::settled(server, group).await?;
            accepted(server, group, device.device, seq, epoch, duplicate).await
        }
        CommitOutcome::Stale { current_epoch } => {
            slot.forget();
            rejected(server, group, device.device, current_epoch).await
        }
        CommitOutcome::ServerBehind => Err(server_behind()),
        CommitOutcome::Conflict => Err(Refusal::conflict("this commit, or one of its client ids, came before in another bundle")),
        CommitOutcome::NotFound => Err(Refusal::not_found()),
        CommitOutcome::Full { of_group, quota } => Err(Refusal::over_quota(of_group, quota.used, quota.limit)),
        CommitOutcome::BadAdd(_) => {
            Err(Refusal::invalid("an added device has no open claim for this group, is not active, or is in it already"))
        }
        CommitOutcome::Frozen => Err(frozen()),
        CommitOutcome::Suspended => Err(suspended()),
    }
}

fn bundle_hash(request: &SubmitCommitRequest) -> Hash {
    let mut hash = Sha256::new();
    let parts = [&request.group_id, &request.commit, &request.welcome, &request.group_info];
    let messages = request.messages.iter().flat_map(|message| [&message.client_id, &message.ciphertext]);
    for part in parts.into_iter().chain(messages) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    for message in &request.messages {
        hash.update(message.ttl_seconds.to_be_bytes());
        hash.update([u8::from(message.urgent)]);
    }
    hash.finalize().into()
}

async fn accepted(
    server: &Arc<Server>,
    group: GroupId,
    device: DeviceId,
    seq: Seq,
    epoch: Epoch,
    duplicate: bool,
) -> Result<SubmitCommitResponse, Refusal> {
    let start = server.store.window_start(group, device).await?;
    let running_hash = start.filter(|(start, _)| *start == seq).map(|(_, hash)| answers::bytes(hash)).unwrap_or_default();
    let accepted = CommitAccepted { seq, epoch, duplicate, running_hash };
    Ok(SubmitCommitResponse { outcome: Some(Outcome::Accepted(accepted)) })
}

async fn rejected(
    server: &Arc<Server>,
    group: GroupId,
    device: DeviceId,
    current_epoch: u64,
) -> Result<SubmitCommitResponse, Refusal> {
    // Not while everybody is only coming in.
    #[cfg(feature = "sabotage")]
    if current_epoch > 3 && crate::sabotage::breaks("fork") {
        let won = CommitAccepted { seq: 1, epoch: current_epoch, ..CommitAccepted::default() };
        return Ok(SubmitCommitResponse { outcome: Some(Outcome::Accepted(won)) });
    }
    server.metrics.race_lost();
    let stale = answers::stale(server, group, device, current_epoch).await?;
    Ok(SubmitCommitResponse { outcome: Some(Outcome::Rejected(CommitRejected { stale: Some(stale) })) })
}

/// The group's members could not process a commit: only a reset helps.
pub fn frozen() -> Refusal {
    Refusal::forbidden("the group is frozen: its last commit could not be processed by its members, so it has to be reset")
}

/// The store was restored: where the group stands is known by its members only.
pub fn suspended() -> Refusal {
    Refusal::unavailable("the server was restored from a backup: the group waits until its members are there", 1000)
}

/// Only a restored server sees an epoch above its own.
pub fn server_behind() -> Refusal {
    Refusal::conflict("the server is behind this epoch (it was restored): keep your state")
}
