//! `SignOut`: ends this connection, and the device's tokens where asked.

use std::sync::Arc;

use sovereign_proto::v1::{SignOutRequest, SignOutResponse};

use super::Handle;
use crate::{
    caller::Enrolled,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for SignOutRequest {
    type Caller = Enrolled;

    async fn handle(self, Enrolled(device): Enrolled, server: &Arc<Server>) -> Result<SignOutResponse, Refusal> {
        if self.forget_tokens {
            server.store.revoke_tokens(device.device).await?;
        }
        server.hub.close(device.device, CloseCode::Normal);
        Ok(SignOutResponse {})
    }
}
