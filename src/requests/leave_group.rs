//! `LeaveGroup`: no more sends from now on; a live member is asked to commit the removal.

use std::sync::Arc;

use sovereign_proto::v1::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Handle, nomination, parse, presence};
use crate::{caller::Device, refusal::Refusal, server::Server};

impl Handle for LeaveGroupRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<LeaveGroupResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        if !server.store.leave(group, device.device).await? {
            return Err(Refusal::not_found());
        }
        server.hub.unsettle(group);
        presence::parted(server, &[device.account]);
        nomination::raise(server, group).await?;
        Ok(LeaveGroupResponse {})
    }
}
