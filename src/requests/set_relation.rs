//! `SetRelation`: the caller's account accepts, blocks or forgets another one, or accepts a group.

use std::sync::Arc;

use sovereign_proto::v1::{self, FailureCode, SetRelationRequest, SetRelationResponse, push, set_relation_request::Target};

use super::{Handle, answers, parse, presence};
use crate::{
    caller::Device,
    ids::GroupId,
    refusal::Refusal,
    server::Server,
    store::{RelationChange, SetRelationOutcome},
};

impl Handle for SetRelationRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<SetRelationResponse, Refusal> {
        let change = match self.change() {
            v1::RelationChange::Accept => RelationChange::Accept,
            v1::RelationChange::Block => RelationChange::Block,
            v1::RelationChange::Remove => RelationChange::Remove,
            v1::RelationChange::Unspecified => return Err(Refusal::invalid("change is not set, or is unknown here")),
        };
        let other = match self.target {
            Some(Target::AccountId(id)) => parse::account_id(&id)?,
            Some(Target::GroupId(id)) => return accept_group(device, parse::group_id(&id)?, change, server).await,
            None => return Err(Refusal::invalid("neither account_id nor group_id is set")),
        };
        if other == device.account {
            return Err(Refusal::invalid("an account has no relation to itself"));
        }
        match server.store.set_relation(device.account, other, change, server.clock.now_ms()).await? {
            SetRelationOutcome::Set { relation, changed } => {
                answers::tell_relations(server, changed);
                if change != RelationChange::Accept {
                    presence::parted(server, &[device.account, other]);
                }
                Ok(SetRelationResponse { relation: answers::relation(relation).into() })
            }
            SetRelationOutcome::NotFound => Err(Refusal::not_found()),
            SetRelationOutcome::TooMany => {
                Err(Refusal::new(FailureCode::QuotaExceeded, "this account has as many relations as it may: remove some first"))
            }
        }
    }
}

async fn accept_group(
    device: Device,
    group: GroupId,
    change: RelationChange,
    server: &Arc<Server>,
) -> Result<SetRelationResponse, Refusal> {
    if change != RelationChange::Accept {
        return Err(Refusal::invalid("a group is accepted or left; it is its members that are blocked"));
    }
    if !server.store.accept_group(device.account, group).await? {
        return Err(Refusal::not_found());
    }
    let own = device.account;
    server.hub.push_accounts(|account| {
        (account == own).then(|| push::Body::RelationChanged(v1::RelationChanged { contacts: Vec::new(), more: true }))
    });
    Ok(SetRelationResponse { relation: v1::Relation::Accepted.into() })
}
