//! `ListDevices`: the own account's, pending ones included.

use std::sync::Arc;

use sovereign_proto::v1::{self, ListDevicesRequest, ListDevicesResponse};

use super::{Handle, answers::bytes};
use crate::{caller::Device, refusal::Refusal, server::Server, store::DeviceState};

impl Handle for ListDevicesRequest {
    type Caller = Device;

    async fn handle(self, caller: Device, server: &Arc<Server>) -> Result<ListDevicesResponse, Refusal> {
        let devices = server.store.devices(caller.account).await?;
        let told = devices.into_iter().map(|device| {
            let state = match device.state {
                DeviceState::Pending => v1::DeviceState::Pending,
                DeviceState::Active => v1::DeviceState::Active,
                DeviceState::Revoked => v1::DeviceState::Revoked,
            };
            v1::Device {
                device_id: bytes(device.device_id.as_bytes()),
                device_key: bytes(device.device_key),
                state: state.into(),
                created_at_ms: device.created_at,
                last_seen_ms: device.last_seen,
            }
        });
        Ok(ListDevicesResponse { devices: told.collect() })
    }
}
