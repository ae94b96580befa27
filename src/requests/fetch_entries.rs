//! `FetchEntries`: a range of a log, through the same window filter as delivery.

use std::sync::Arc;

use sovereign_proto::v1::{FetchEntriesRequest, FetchEntriesResponse};

use super::Handle;
use crate::{
    caller::Device,
    limits::{BYTES_PER_PAGE, ENTRIES_PER_PAGE},
    refusal::Refusal,
    server::Server,
    wire,
};

impl Handle for FetchEntriesRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<FetchEntriesResponse, Refusal> {
        let log =
            wire::log(&self.group_id, device.device).ok_or_else(|| Refusal::invalid("group_id is neither empty nor 32 bytes"))?;
        let limit = match self.limit as usize {
            0 => ENTRIES_PER_PAGE,
            limit => limit.min(ENTRIES_PER_PAGE),
        };
        let page = if self.backward {
            server.store.page_back(log, device.device, self.from_seq, limit).await?
        } else {
            server.store.page(log, device.device, self.from_seq, limit, BYTES_PER_PAGE).await?
        };
        let page = page.ok_or_else(Refusal::not_found)?;
        let entries = page.items.iter().map(|item| wire::entry(item, device.device)).collect();
        Ok(FetchEntriesResponse { entries, head: page.head, more: page.more })
    }
}
