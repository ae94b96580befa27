//! `RevokeInvite`: nobody joins by it any more.

use std::sync::Arc;

use sovereign_proto::v1::{RevokeInviteRequest, RevokeInviteResponse};

use super::Handle;
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for RevokeInviteRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<RevokeInviteResponse, Refusal> {
        if self.id.len() < 8 || !self.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Refusal::invalid("an invite's id is at least 8 hex digits, as `invite list` shows it"));
        }
        let id = self.id.to_ascii_lowercase();
        if server.store.revoke_invite(id, server.clock.now_ms()).await? {
            Ok(RevokeInviteResponse {})
        } else {
            Err(Refusal::not_found())
        }
    }
}
