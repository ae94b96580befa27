//! `ListAccounts`: who is here, in pages by name.

use std::sync::Arc;

use sovereign_proto::v1::{ListAccountsRequest, ListAccountsResponse};

use super::{
    Handle,
    overviews::{account_summary, page_limit},
};
use crate::{caller::Operator, refusal::Refusal, server::Server};

impl Handle for ListAccountsRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ListAccountsResponse, Refusal> {
        let limit = page_limit(self.limit);
        // One more says whether there is more.
        let mut accounts = server.store.account_overviews(self.after, limit + 1).await?;
        let more = accounts.len() > limit;
        accounts.truncate(limit);
        let live = server.hub.live_by_account();
        let accounts = accounts.into_iter().map(|account| account_summary(account, &live));
        Ok(ListAccountsResponse { accounts: accounts.collect(), more })
    }
}
