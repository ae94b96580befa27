//! Parts of what operators are told that several requests share.

use std::{collections::HashMap, sync::Arc};

use sovereign_proto::v1::{self, AccountState, FailureCode};

use super::{answers::bytes, parse};
use crate::{
    ids::AccountId,
    limits::OPERATOR_PAGE,
    refusal::Refusal,
    server::Server,
    store::{AccountOverview, DeviceOverview, DeviceState, StoreError},
};

/// Mistyped letters up to which a name is suggested.
const TYPOS_MAX: usize = 2;

/// The limit of a page: 0 and everything above is the largest.
pub fn page_limit(asked: u32) -> usize {
    match asked as usize {
        0 => OPERATOR_PAGE,
        asked => asked.min(OPERATOR_PAGE),
    }
}

/// The account of that name; `None` for an empty one, which means all.
pub async fn account_named(server: &Arc<Server>, username: &str) -> Result<Option<AccountId>, Refusal> {
    if username.is_empty() {
        return Ok(None);
    }
    let username = parse::username(username)?;
    match server.store.account_by_name(username.clone()).await? {
        Some(account) => Ok(Some(account.account_id)),
        None => Err(unknown_account(server, &username).await?),
    }
}

/// What is said of a name that nothing can be done with. Operators may know everything: what exists is told.
pub async fn unknown_account(server: &Arc<Server>, username: &str) -> Result<Refusal, StoreError> {
    if server.store.account_by_name(username.to_owned()).await?.is_some() {
        return Ok(Refusal::conflict("this account was deleted for good"));
    }
    let similar = server.store.similar_usernames(username.to_owned()).await?;
    let nearest = similar.into_iter().map(|name| (strsim::osa_distance(username, &name), name)).min();
    let message = match nearest.filter(|(typos, _)| *typos <= TYPOS_MAX) {
        Some((_, name)) => format!("no account is called {username}: did you mean {name}?"),
        None => format!("no account is called {username}: `user list` shows them"),
    };
    Ok(Refusal::new(FailureCode::NotFound, message))
}

/// An account as it travels.
pub fn account_summary(account: AccountOverview, live: &HashMap<AccountId, u32>) -> v1::AccountSummary {
    let state = match (account.deleted, account.enabled) {
        (true, _) => AccountState::Deleted,
        (false, true) => AccountState::Enabled,
        (false, false) => AccountState::Disabled,
    };
    v1::AccountSummary {
        account_id: bytes(account.account_id.as_bytes()),
        username: account.username,
        state: state.into(),
        administrator: account.administrator,
        has_password: account.has_password,
        created_at_ms: account.created_at,
        last_seen_ms: account.last_seen,
        devices_active: account.active,
        devices_pending: account.pending,
        stored_bytes: account.stored_bytes,
        connections: live.get(&account.account_id).copied().unwrap_or(0),
    }
}

/// Devices as they travel.
pub fn device_summaries(server: &Server, devices: Vec<DeviceOverview>) -> Vec<v1::DeviceSummary> {
    let live = server.hub.live_among(devices.iter().map(|device| device.device_id));
    let summary = |device: DeviceOverview| {
        let state = match device.state {
            DeviceState::Pending => v1::DeviceState::Pending,
            DeviceState::Active => v1::DeviceState::Active,
            DeviceState::Revoked => v1::DeviceState::Revoked,
        };
        v1::DeviceSummary {
            device_id: bytes(device.device_id.as_bytes()),
            username: device.username,
            state: state.into(),
            created_at_ms: device.created_at,
            last_seen_ms: device.last_seen,
            connected: live.contains(&device.device_id),
            key_packages: device.key_packages,
            undelivered: device.undelivered,
        }
    };
    devices.into_iter().map(summary).collect()
}
