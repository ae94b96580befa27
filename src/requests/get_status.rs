//! `GetStatus`: the server in numbers.

use std::sync::Arc;

use sovereign_proto::v1::{GetStatusRequest, GetStatusResponse};

use super::Handle;
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for GetStatusRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<GetStatusResponse, Refusal> {
        let census = server.store.census().await?;
        let disk = server.store.disk();
        Ok(GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: u64::try_from(server.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            connections: server.hub.len() as u64,
            accounts: census.accounts,
            accounts_disabled: census.accounts_disabled,
            devices_active: census.devices_active,
            devices_pending: census.devices_pending,
            groups: census.groups,
            groups_behind: census.groups_behind,
            groups_frozen: census.groups_frozen,
            groups_suspended: census.groups_suspended,
            undelivered: census.undelivered,
            key_packages: census.key_packages,
            devices_low: census.devices_low,
            wal_bytes: disk.wal_bytes,
            disk_free_bytes: disk.free_bytes,
            disk_reserve_bytes: disk.reserve_bytes,
            notices_open: census.notices_open,
            stored_bytes: census.stored_bytes,
        })
    }
}
