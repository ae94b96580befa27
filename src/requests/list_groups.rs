//! `ListGroups`: the caller's account's groups, also those this device is no leaf of.

use std::sync::Arc;

use sovereign_proto::v1::{GroupSummary, ListGroupsRequest, ListGroupsResponse};

use super::{Handle, answers::bytes, parse};
use crate::{caller::Device, limits::GROUPS_PER_PAGE, refusal::Refusal, server::Server};

impl Handle for ListGroupsRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ListGroupsResponse, Refusal> {
        let after = match self.after_group_id.len() {
            0 => None,
            _ => Some(parse::group_id(&self.after_group_id)?),
        };
        let mut groups = server.store.groups_of(device.account, device.device, after, GROUPS_PER_PAGE + 1).await?;
        let more = groups.len() > GROUPS_PER_PAGE;
        groups.truncate(GROUPS_PER_PAGE);
        let groups = groups.into_iter().map(|group| GroupSummary {
            group_id: bytes(group.group.as_bytes()),
            epoch: group.epoch,
            joined: group.joined,
            leaving: group.leaving,
            frozen: group.frozen,
            suspended: group.suspended,
            welcome_lost: group.welcome_lost,
            successor: group.successor.map(|successor| bytes(successor.as_bytes())).unwrap_or_default(),
            request: group.request_of.is_some(),
            added_by: group.request_of.map(|adder| bytes(adder.as_bytes())).unwrap_or_default(),
        });
        Ok(ListGroupsResponse { groups: groups.collect(), more })
    }
}
