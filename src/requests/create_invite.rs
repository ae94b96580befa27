//! `CreateInvite`: a link for people. Only its hash is kept.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use sovereign_proto::v1::{CreateInviteRequest, CreateInviteResponse};

use super::Handle;
use crate::{
    auth::secret,
    caller::Operator,
    limits::{INVITE_SECONDS, INVITE_USES},
    refusal::Refusal,
    server::Server,
};

impl Handle for CreateInviteRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<CreateInviteResponse, Refusal> {
        new_invite(server, &self).await
    }
}

/// Makes an invite; `serve` does so too on its first start.
pub async fn new_invite(server: &Server, request: &CreateInviteRequest) -> Result<CreateInviteResponse, Refusal> {
    let uses = if request.administrator { 1 } else { request.uses };
    if !INVITE_USES.contains(&uses) || !INVITE_SECONDS.contains(&request.expires_in_seconds) {
        return Err(Refusal::invalid("an invite has 1 to 10,000 uses and lives for 60 seconds to 365 days"));
    }
    let code = secret::invite_code();
    let now = server.clock.now_ms();
    let expires_at_ms = now + request.expires_in_seconds * 1000;
    server.store.create_invite(secret::hash(&code), uses, expires_at_ms, request.administrator, now).await?;
    Ok(CreateInviteResponse { link: link(server, &code), code: code.to_string(), expires_at_ms })
}

fn link(server: &Server, code: &str) -> String {
    let address = &server.settings.invites;
    let server_id = BASE64URL_NOPAD.encode(&server.auth.key.server_id().0);
    let pin = address.authority_pin.as_ref().map(|pin| format!("&p={pin}")).unwrap_or_default();
    format!("{}/join#v=1&c={code}&s={server_id}{pin}", address.base_url)
}
