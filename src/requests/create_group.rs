//! `CreateGroup`: epoch 0 with exactly the caller's leaf.

use std::sync::Arc;

use sovereign_proto::v1::{CreateGroupRequest, CreateGroupResponse};

use super::{Handle, answers::bytes, parse};
use crate::{
    caller::Device,
    mls,
    refusal::Refusal,
    server::Server,
    store::{CreateOutcome, NewGroup},
};

impl Handle for CreateGroupRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<CreateGroupResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let direct_key = match self.direct_key.len() {
            0 => None,
            _ => Some(parse::key(&self.direct_key, "direct_key is not 32 bytes")?),
        };
        let creator = device.leaf();
        let group_info = self.group_info.clone();
        let state = server.groups.work(move || mls::check_new_group(group, creator, &device.key, &group_info)).await?;
        let new = NewGroup { group, creator, group_info: self.group_info, direct_key, now: server.clock.now_ms() };
        match server.store.create_group(new).await? {
            CreateOutcome::Created => {
                server.groups.lock(group).await.begin(state);
                server.hub.subscribe(device.device, [group]);
                Ok(CreateGroupResponse { existing_group_id: bytes([]) })
            }
            CreateOutcome::Exists(existing) => Ok(CreateGroupResponse { existing_group_id: bytes(existing.as_bytes()) }),
            CreateOutcome::NotReserved => Err(Refusal::conflict("the group id was not reserved by this device, or is used")),
        }
    }
}
