//! `GetGroupInfo`: for an external commit, so only for devices of a member account.

use std::sync::Arc;

use sovereign_proto::v1::{GetGroupInfoRequest, GetGroupInfoResponse};

use super::{Handle, parse, submit_commit::suspended};
use crate::{caller::Device, refusal::Refusal, server::Server, store::Membership};

impl Handle for GetGroupInfoRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<GetGroupInfoResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let membership = server.store.membership(group, device.device).await?;
        if !matches!(membership, Membership::Member | Membership::AccountOnly) {
            return Err(Refusal::not_found());
        }
        let state = server.store.group_state(group).await?.ok_or_else(Refusal::not_found)?;
        if state.suspended {
            return Err(suspended());
        }
        Ok(GetGroupInfoResponse { group_info: state.group_info, epoch: state.epoch, seq: state.epoch_seq })
    }
}
