//! `ResetGroup`: a new MLS group in place of a frozen one, under the same conversation; whoever comes first makes it.

use std::sync::Arc;

use sovereign_proto::v1::{ResetGroupRequest, ResetGroupResponse};

use super::{Handle, answers::bytes, parse};
use crate::{
    caller::Device,
    mls,
    refusal::Refusal,
    server::Server,
    store::{NewGroup, ResetOutcome},
};

impl Handle for ResetGroupRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ResetGroupResponse, Refusal> {
        let (old, group) = (parse::group_id(&self.group_id)?, parse::group_id(&self.new_group_id)?);
        let creator = device.leaf();
        let group_info = self.group_info.clone();
        let state = server.groups.work(move || mls::check_new_group(group, creator, &device.key, &group_info)).await?;
        let new = NewGroup { group, creator, group_info: self.group_info, direct_key: None, now: server.clock.now_ms() };
        match server.store.reset(old, self.epoch, new).await? {
            ResetOutcome::Successor(successor) => {
                if successor == group {
                    server.groups.lock(group).await.begin(state);
                    server.hub.subscribe(device.device, [group]);
                }
                Ok(ResetGroupResponse { successor: bytes(successor.as_bytes()) })
            }
            ResetOutcome::NotFrozen => Err(Refusal::conflict("the group is not frozen at this epoch")),
            ResetOutcome::NotReserved => Err(Refusal::conflict("the new group id was not reserved by this device, or is used")),
            ResetOutcome::NotFound => Err(Refusal::not_found()),
        }
    }
}
