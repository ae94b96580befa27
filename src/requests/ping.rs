//! Ping: for clients that see no WebSocket pongs, and to compare clocks.

use std::sync::Arc;

use sovereign_proto::v1::{PingRequest, PingResponse};

use super::Handle;
use crate::{caller::Anyone, refusal::Refusal, server::Server};

impl Handle for PingRequest {
    type Caller = Anyone;

    async fn handle(self, _: Anyone, server: &Arc<Server>) -> Result<PingResponse, Refusal> {
        Ok(PingResponse { client_time_ms: self.client_time_ms, server_time_ms: server.clock.now_ms() })
    }
}
