//! `ListInvites`: what is out there, without the codes, which nobody keeps.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use sovereign_proto::v1::{Invite, ListInvitesRequest, ListInvitesResponse};

use super::Handle;
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for ListInvitesRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ListInvitesResponse, Refusal> {
        let invites = server.store.invites().await?.into_iter().map(|invite| Invite {
            id: HEXLOWER.encode(&invite.hash[..8]),
            uses_left: invite.uses_left,
            expires_at_ms: invite.expires_at,
            administrator: invite.administrator,
            created_at_ms: invite.created_at,
            revoked: invite.revoked,
        });
        Ok(ListInvitesResponse { invites: invites.collect() })
    }
}
