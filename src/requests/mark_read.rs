//! `MarkRead`: how far the account says to have read.

use std::sync::Arc;

use sovereign_proto::v1::{MarkReadRequest, MarkReadResponse};

use super::{Handle, parse};
use crate::{caller::Device, refusal::Refusal, server::Server};

impl Handle for MarkReadRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<MarkReadResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let seq = server.store.mark_read(group, device.device, self.seq).await?.ok_or_else(Refusal::not_found)?;
        Ok(MarkReadResponse { seq })
    }
}
