//! Presence between the requests: what the hub has to be told of the store, and the other way round.

use std::sync::Arc;

use crate::{
    clock::monotonic,
    hub::Known,
    ids::AccountId,
    limits::{DOUBTS_PER_TURN, LAST_SEEN_PER_TURN, PRESENCE_GRACE},
    server::Server,
    store::{Seen, StoreError},
};

/// These accounts have lost a relation, perhaps: who watches them, and whom they watch, is looked at again by the next
/// [`tick`]. Whatever ends a relation calls this once that is durable.
pub fn parted(server: &Server, accounts: &[AccountId]) {
    if !accounts.is_empty() {
        server.hub.presences().doubt(accounts);
    }
}

/// What the account hides was changed, durably.
pub async fn privacy_changed(server: &Server, account: AccountId) -> Result<(), StoreError> {
    server.hub.presences().privacy_changed();
    loop {
        let version = server.hub.presences().version();
        let known = known(server, account).await?;
        if server.hub.presences().hide(known, version) {
            return Ok(());
        }
    }
}

/// An account as the store knows it.
pub async fn known(server: &Server, account: AccountId) -> Result<Known, StoreError> {
    let privacy = server.store.privacy(account).await?.unwrap_or_default();
    Ok(Known { account, hidden: privacy.hide_presence, last_there: privacy.last_there })
}

/// An account that may be watched, in the hub's words.
#[must_use]
pub fn watched(seen: Seen) -> Known {
    Known { account: seen.account, hidden: seen.hidden, last_there: seen.last_there }
}

/// Several times a second: who is gone for good goes, watchers are told what changed, relations in doubt are looked at, and
/// who was there is noted.
pub async fn tick(server: &Arc<Server>) -> Result<(), StoreError> {
    server.hub.presences().settle(monotonic(), server.clock.now_ms());
    let doubts = server.hub.presences().doubts(DOUBTS_PER_TURN);
    for (device, account, asked) in doubts {
        let version = server.hub.presences().version();
        let seen = server.store.visible(account, &asked).await;
        // What cannot be read now is not to be seen: the client's next list brings it back.
        let known: Vec<Known> = seen.unwrap_or_default().into_iter().map(watched).collect();
        server.hub.presences().resolve(device, &asked, &known, version);
    }
    note_there(server).await
}

/// At the end of the server, when nobody is connected any more: when everybody was there is noted.
pub async fn last_tick(server: &Arc<Server>) -> Result<(), StoreError> {
    server.hub.presences().settle(monotonic() + PRESENCE_GRACE, server.clock.now_ms());
    note_there(server).await
}

async fn note_there(server: &Server) -> Result<(), StoreError> {
    let there = server.hub.presences().there(LAST_SEEN_PER_TURN);
    server.store.note_there(there).await
}
