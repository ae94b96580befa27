//! `ShowAccount`: one account with its devices.

use std::sync::Arc;

use sovereign_proto::v1::{ShowAccountRequest, ShowAccountResponse};

use super::{
    Handle,
    overviews::{account_summary, device_summaries, unknown_account},
    parse,
};
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for ShowAccountRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ShowAccountResponse, Refusal> {
        let username = parse::username(&self.username)?;
        let Some(account) = server.store.account_overview(username.clone()).await? else {
            return Err(unknown_account(server, &username).await?);
        };
        let devices = server.store.newest_devices(account.account_id).await?;
        let groups = server.store.group_count(account.account_id).await?;
        let devices = device_summaries(server, devices);
        Ok(ShowAccountResponse { account: Some(account_summary(account, &server.hub.live_by_account())), devices, groups })
    }
}
