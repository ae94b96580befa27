//! `ListAccountDevices`: devices of one account or of all, in pages.

use std::sync::Arc;

use sovereign_proto::v1::{ListAccountDevicesRequest, ListAccountDevicesResponse};

use super::{
    Handle,
    overviews::{account_named, device_summaries, page_limit},
};
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for ListAccountDevicesRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ListAccountDevicesResponse, Refusal> {
        let account = account_named(server, &self.username).await?;
        let limit = page_limit(self.limit);
        let mut devices = server.store.device_overviews(account, self.after, limit + 1).await?;
        let more = devices.len() > limit;
        devices.truncate(limit);
        let next = devices.last().filter(|_| more).map_or(0, |device| device.place);
        Ok(ListAccountDevicesResponse { devices: device_summaries(server, devices), next })
    }
}
