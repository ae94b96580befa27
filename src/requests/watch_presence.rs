//! `WatchPresence`: whose presence this connection is told.

use std::{collections::HashSet, sync::Arc};

use sovereign_proto::v1::{WatchPresenceRequest, WatchPresenceResponse};

use super::{Handle, parse, presence::watched};
use crate::{caller::Connected, hub::Shown, limits::WATCHED_ACCOUNTS, refusal::Refusal, server::Server, wire};

impl Handle for WatchPresenceRequest {
    type Caller = Connected;

    async fn handle(self, Connected(device, inbox): Connected, server: &Arc<Server>) -> Result<WatchPresenceResponse, Refusal> {
        if self.account_ids.len() > WATCHED_ACCOUNTS {
            return Err(Refusal::too_large("at most 512 accounts a watch list"));
        }
        let mut named = HashSet::new();
        let mut accounts = Vec::with_capacity(self.account_ids.len());
        for id in &self.account_ids {
            let account = parse::account_id(id)?;
            if named.insert(account) {
                accounts.push(account);
            }
        }
        let version = server.hub.presences().version();
        let known: Vec<_> = server.store.visible(device.account, &accounts).await?.into_iter().map(watched).collect();
        let (number, mut seen) = server.hub.watch(device.device, device.account, &inbox, &known, version);
        // Of those who may be seen no more is said than of those who may not.
        seen.retain(|(_, shown)| *shown != Shown::Offline { last_seen: 0 });
        Ok(WatchPresenceResponse { accounts: wire::presences(seen), number })
    }
}
