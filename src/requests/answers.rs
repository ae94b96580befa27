//! Parts of answers that several requests share.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use sovereign_proto::v1::{self, push};

use crate::{
    auth::{attempts::TooMany, password::Busy, proof::InvalidProof},
    ids::{AccountId, DeviceId, Epoch, GroupId, LogId},
    limits::{BYTES_PER_STALE_ANSWER, ENTRIES_PER_STALE_ANSWER, RELATIONS_PER_PUSH},
    refusal::Refusal,
    server::Server,
    store::{Contact, Relation, RelationChanged, Stock, StoreError},
    wire::entry,
};

/// What the loser of a race, or a sender of an old epoch, needs to go on: what it has not acknowledged, bounded, through
/// the same window filter as delivery.
pub async fn stale(
    server: &Arc<Server>,
    group: GroupId,
    device: DeviceId,
    current_epoch: Epoch,
) -> Result<v1::StaleEpoch, Refusal> {
    let log = LogId::Group(group);
    let Some(position) = server.store.position(log, device).await? else {
        return Ok(v1::StaleEpoch { current_epoch, entries: Vec::new(), more: true });
    };
    let page = server.store.page(log, device, position.cursor, ENTRIES_PER_STALE_ANSWER, BYTES_PER_STALE_ANSWER).await?;
    let (items, more) = page.map_or((Vec::new(), true), |page| (page.items, page.more));
    Ok(v1::StaleEpoch { current_epoch, entries: items.iter().map(|item| entry(item, device)).collect(), more })
}

/// The stock as it is told to its device.
pub fn stock(server: &Server, stock: Stock) -> v1::KeyPackageStock {
    v1::KeyPackageStock {
        available: stock.available,
        has_last_resort: stock.has_last_resort,
        last_resort_used: stock.last_resort_used,
        wanted: server.settings.limits.key_packages_wanted,
        oldest_at_ms: stock.oldest_at,
    }
}

/// One side of a relation.
pub fn relation(relation: Option<Relation>) -> v1::Relation {
    match relation {
        None => v1::Relation::Unspecified,
        Some(Relation::Requested) => v1::Relation::Requested,
        Some(Relation::Request) => v1::Relation::Request,
        Some(Relation::Accepted) => v1::Relation::Accepted,
        Some(Relation::Blocked) => v1::Relation::Blocked,
    }
}

/// The other end of a relation.
pub fn contact(contact: Contact) -> v1::Contact {
    v1::Contact {
        account_id: bytes(contact.account_id.as_bytes()),
        username: contact.username,
        relation: relation(contact.relation).into(),
        since_ms: contact.since,
    }
}

/// Tells the live devices of each account what has become of its relations.
pub fn tell_relations(server: &Server, changed: Vec<RelationChanged>) {
    let mut pushes: HashMap<AccountId, v1::RelationChanged> = HashMap::new();
    for RelationChanged { of, contact } in changed {
        let push = pushes.entry(of).or_default();
        if push.contacts.len() < RELATIONS_PER_PUSH {
            push.contacts.push(self::contact(contact));
        } else {
            push.more = true;
        }
    }
    server.hub.push_accounts(|account| pushes.get(&account).cloned().map(push::Body::RelationChanged));
}

/// A device with its account.
pub fn device(account: AccountId, device: DeviceId) -> v1::DeviceRef {
    v1::DeviceRef { account_id: bytes(account.as_bytes()), device_id: bytes(device.as_bytes()) }
}

/// Bytes for the wire.
pub fn bytes(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::unavailable("too much waits to be written", 250),
            StoreError::LogLong => Self::unavailable("too much is written for what is read", 1000),
            StoreError::DiskLow => Self::no_room("the server's disk is nearly full: its operator has to make room"),
            StoreError::Unread => Self::unavailable("the server's storage could not be read: try again", 1000),
            StoreError::Failed => Self::unavailable("the server's storage failed: it restarts", 2000),
        }
    }
}

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Self {
        Self::unavailable("too many passwords wait to be checked", 1000)
    }
}

impl From<TooMany> for Refusal {
    fn from(too_many: TooMany) -> Self {
        Self::rate_limited("too many wrong guesses: wait", too_many.retry_after_ms)
    }
}

impl From<InvalidProof> for Refusal {
    fn from(_: InvalidProof) -> Self {
        super::admission::refused()
    }
}
