//! `GetUsage`: how much room is left for messages, of the account and in a group.

use std::sync::Arc;

use sovereign_proto::v1::{self, GetUsageRequest, GetUsageResponse};

use super::{Handle, parse};
use crate::{
    caller::Device,
    refusal::Refusal,
    server::Server,
    store::{Membership, Quota},
};

impl Handle for GetUsageRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<GetUsageResponse, Refusal> {
        let group = if self.group_id.is_empty() { None } else { Some(parse::group_id(&self.group_id)?) };
        if let Some(group) = group
            && server.store.membership(group, device.device).await? == Membership::None
        {
            return Err(Refusal::not_found());
        }
        let (account, group) = server.store.usage(device.account, group).await?;
        Ok(GetUsageResponse { account: Some(told(account)), group: group.map(told) })
    }
}

fn told(quota: Quota) -> v1::Quota {
    v1::Quota { used_bytes: quota.used, limit_bytes: quota.limit }
}
