//! `ListSessions`: who is connected now, in pages.

use std::{collections::HashMap, sync::Arc};

use sovereign_proto::v1::{ListSessionsRequest, ListSessionsResponse, SessionSummary};

use super::{
    Handle,
    answers::bytes,
    overviews::{account_named, page_limit},
};
use crate::{caller::Operator, ids::AccountId, refusal::Refusal, server::Server};

impl Handle for ListSessionsRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ListSessionsResponse, Refusal> {
        let account = account_named(server, &self.username).await?;
        let limit = page_limit(self.limit);
        let mut sessions = server.hub.sessions(account, self.after, limit + 1);
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let accounts = sessions.iter().map(|session| session.account).collect();
        let names: HashMap<AccountId, String> = server.store.usernames(accounts).await?.into_iter().collect();
        let now = server.clock.now_ms();
        let summary = |session: crate::hub::LiveSession| SessionSummary {
            id: session.number,
            device_id: bytes(session.device.as_bytes()),
            username: names.get(&session.account).cloned().unwrap_or_default(),
            since_ms: now.saturating_sub(u64::try_from(session.since.elapsed().as_millis()).unwrap_or(u64::MAX)),
        };
        Ok(ListSessionsResponse { sessions: sessions.into_iter().map(summary).collect(), more })
    }
}
