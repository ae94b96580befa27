//! `ReserveGroup`: a fresh random id, so that nobody can squat on one.

use std::sync::Arc;

use sovereign_proto::v1::{ReserveGroupRequest, ReserveGroupResponse};

use super::{Handle, answers::bytes};
use crate::{caller::Device, entropy, ids::GroupId, refusal::Refusal, server::Server};

impl Handle for ReserveGroupRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ReserveGroupResponse, Refusal> {
        let group = GroupId(entropy::random());
        server.store.reserve_group(device.device, group, server.clock.now_ms()).await?;
        Ok(ReserveGroupResponse { group_id: bytes(group.as_bytes()) })
    }
}
