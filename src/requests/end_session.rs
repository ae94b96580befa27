//! `EndSession`: closes one connection. Its device may sign in again.

use std::sync::Arc;

use sovereign_proto::v1::{EndSessionRequest, EndSessionResponse, FailureCode};

use super::Handle;
use crate::{
    caller::Operator,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for EndSessionRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<EndSessionResponse, Refusal> {
        let ended = server.hub.close_session(self.id, CloseCode::SessionEnded);
        let device = ended
            .ok_or_else(|| Refusal::new(FailureCode::NotFound, "no such session is live: `session list` shows those that are"))?;
        server.store.note_operation("end session", device.0.to_vec(), server.clock.now_ms()).await?;
        Ok(EndSessionResponse {})
    }
}
