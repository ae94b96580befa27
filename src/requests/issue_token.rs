//! `IssueToken`: a session token for runtimes that reconnect without the key at hand, or its rotation.

use std::sync::Arc;

use sovereign_proto::{
    signed::PURPOSE_ISSUE_TOKEN,
    v1::{IssueTokenRequest, IssueTokenResponse},
};
use zeroize::Zeroizing;

use super::Handle;
use crate::{
    auth::{proof, secret},
    caller::Device,
    refusal::{CloseCode, Refusal},
    server::Server,
    store::{NewToken, RotateOutcome},
};

impl Handle for IssueTokenRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<IssueTokenResponse, Refusal> {
        let old = Zeroizing::new(self.token);
        if old.is_empty() {
            proof::check(&server.auth.key.server_id(), &device, PURPOSE_ISSUE_TOKEN, self.proof.as_ref())?;
        }
        // A rotation derives its successor from the token it replaces, so that a repeat gets the same answer.
        let token = if old.is_empty() { secret::token() } else { server.auth.key.successor_of(&old) };
        let now = server.clock.now_ms();
        let life = u64::try_from(server.settings.token_life.as_millis()).unwrap_or(u64::MAX);
        let expires_at_ms = now.saturating_add(life);
        let new = NewToken {
            hash: secret::hash(&token),
            device_id: device.device,
            expires_at: expires_at_ms,
            replaces: (!old.is_empty()).then(|| secret::hash(&old)),
            now,
        };
        match server.store.issue_token(new).await? {
            RotateOutcome::Issued => Ok(IssueTokenResponse { token: token.to_string(), expires_at_ms }),
            RotateOutcome::Unknown => Err(Refusal::unauthenticated("the token is not good (any more)")),
            RotateOutcome::Replayed => {
                server.hub.close(device.device, CloseCode::SessionEnded);
                Err(Refusal::unauthenticated("the token was replaced and its successor used: all of its family are revoked"))
            }
        }
    }
}
