//! `SetAccountEnabled`: a disabled account is cut off at once and may not sign in.

use std::sync::Arc;

use sovereign_proto::v1::{SetAccountEnabledRequest, SetAccountEnabledResponse};

use super::{Handle, overviews::unknown_account, parse, presence};
use crate::{
    caller::Operator,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for SetAccountEnabledRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<SetAccountEnabledResponse, Refusal> {
        let username = parse::username(&self.username)?;
        let changed = server.store.set_enabled(username.clone(), self.enabled, server.clock.now_ms()).await?;
        let Some((account, _)) = changed else { return Err(unknown_account(server, &username).await?) };
        if !self.enabled {
            server.hub.close_account(account, CloseCode::AccountDisabled);
            presence::parted(server, &[account]);
        }
        Ok(SetAccountEnabledResponse {})
    }
}
