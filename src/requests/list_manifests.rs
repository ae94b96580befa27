//! `ListManifests`: an account's chain, from which anybody can check its devices for themselves.

use std::sync::Arc;

use prost::Message as _;
use sovereign_proto::v1::{ListManifestsRequest, ListManifestsResponse, Manifest};

use super::{Handle, parse};
use crate::{caller::Enrolled, limits::MANIFESTS_PER_PAGE, refusal::Refusal, server::Server};

impl Handle for ListManifestsRequest {
    type Caller = Enrolled;

    async fn handle(self, Enrolled(caller): Enrolled, server: &Arc<Server>) -> Result<ListManifestsResponse, Refusal> {
        let account = parse::account_id(&self.account_id)?;
        server.store.visible_account(caller.account, account).await?.ok_or_else(Refusal::not_found)?;
        let mut chain = server.store.manifests(account, self.after_version, MANIFESTS_PER_PAGE + 1).await?;
        let more = chain.len() > MANIFESTS_PER_PAGE;
        chain.truncate(MANIFESTS_PER_PAGE);
        let manifests = chain.iter().filter_map(|bytes| Manifest::decode(bytes.as_slice()).ok()).collect();
        Ok(ListManifestsResponse { manifests, more })
    }
}
