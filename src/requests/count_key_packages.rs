//! `CountKeyPackages`: the own device's stock.

use std::sync::Arc;

use sovereign_proto::v1::{CountKeyPackagesRequest, CountKeyPackagesResponse};

use super::{Handle, answers};
use crate::{caller::Device, refusal::Refusal, server::Server};

impl Handle for CountKeyPackagesRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<CountKeyPackagesResponse, Refusal> {
        let stock = server.store.stock(device.device).await?;
        Ok(CountKeyPackagesResponse { stock: Some(answers::stock(server, stock)) })
    }
}
