//! `DeleteAccount`: for good. The name stays taken, so that nobody can pass for whoever had it.

use std::sync::Arc;

use sovereign_proto::v1::{DeleteAccountRequest, DeleteAccountResponse};

use super::{Handle, nomination, overviews::unknown_account, parse, presence};
use crate::{
    caller::Operator,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for DeleteAccountRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<DeleteAccountResponse, Refusal> {
        let username = parse::username(&self.username)?;
        let Some(deleted) = server.store.delete_account(username.clone(), server.clock.now_ms()).await? else {
            return Err(unknown_account(server, &username).await?);
        };
        server.hub.close_account(deleted.account, CloseCode::AccountDisabled);
        presence::parted(server, &[deleted.account]);
        let groups = u32::try_from(deleted.groups.len()).unwrap_or(u32::MAX);
        for group in deleted.groups {
            nomination::raise(server, group).await?;
        }
        Ok(DeleteAccountResponse { devices: deleted.devices, groups })
    }
}
