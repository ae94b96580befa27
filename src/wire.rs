//! How logs and their entries stand on the wire.

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::{
    log::Kind,
    v1::{self, entry::Body, own::What},
};

use crate::{
    hub::{Progress, Shown},
    ids::{AccountId, DeviceId, GroupId, LogId},
    store::{Item, SenderRef, SkipReason, StoredEntry},
};

/// The log that a wire id names for `device`, or `None`.
#[must_use]
pub fn log(group_id: &[u8], device: DeviceId) -> Option<LogId> {
    if group_id.is_empty() { Some(LogId::Device(device)) } else { GroupId::try_from(group_id).ok().map(LogId::Group) }
}

/// How a log is named on the wire.
#[must_use]
pub fn group_id(log: LogId) -> Bytes {
    match log {
        LogId::Group(group) => Bytes::copy_from_slice(group.as_bytes()),
        LogId::Device(_) => Bytes::new(),
    }
}

/// An item as it travels to `device`: its own entries as `Own`.
#[must_use]
pub fn entry(item: &Item, device: DeviceId) -> v1::Entry {
    match item {
        Item::Skipped { from, to, reason, time, running_hash } => {
            let reason = match reason {
                SkipReason::BeforeJoin => v1::SkippedReason::BeforeJoin,
                SkipReason::Retention => v1::SkippedReason::Retention,
                SkipReason::Restored => v1::SkippedReason::Restored,
                SkipReason::Expired => v1::SkippedReason::Expired,
            };
            let skipped = v1::Skipped { to: *to, reason: reason.into(), running_hash: Bytes::copy_from_slice(running_hash) };
            v1::Entry { seq: *from, time_ms: *time, body: Some(Body::Skipped(skipped)), ..v1::Entry::default() }
        }
        Item::Entry(entry) => {
            let body = own(entry, device).map_or_else(|| stored_body(entry), |own| Some(Body::Own(own)));
            let (urgent, expires_at_ms) = (entry.urgent, entry.expires_at.unwrap_or(0));
            v1::Entry { seq: entry.seq, time_ms: entry.time, body, urgent, expires_at_ms }
        }
    }
}

/// What is seen of accounts.
#[must_use]
pub fn presences(seen: impl IntoIterator<Item = (AccountId, Shown)>) -> Vec<v1::AccountPresence> {
    let presence = |(account, shown): (AccountId, Shown)| {
        let (state, last_seen_ms) = match shown {
            Shown::Online => (v1::PresenceState::Online, 0),
            Shown::Away => (v1::PresenceState::Away, 0),
            Shown::Offline { last_seen } => (v1::PresenceState::Offline, last_seen),
        };
        v1::AccountPresence { account_id: Bytes::copy_from_slice(account.as_bytes()), state: state.into(), last_seen_ms }
    };
    seen.into_iter().map(presence).collect()
}

/// How far a member has got.
#[must_use]
pub fn receipt(account: AccountId, progress: Progress) -> v1::Receipt {
    let account_id = Bytes::copy_from_slice(account.as_bytes());
    v1::Receipt { account_id, delivered_seq: progress.delivered, read_seq: progress.read }
}

fn own(entry: &StoredEntry, device: DeviceId) -> Option<v1::Own> {
    if entry.sender != Some(device) {
        return None;
    }
    let what = match &entry.sender_ref {
        SenderRef::Message(client_id) => What::ClientId(Bytes::copy_from_slice(client_id.as_bytes())),
        SenderRef::Handshake(hash) => What::HandshakeHash(Bytes::copy_from_slice(hash)),
        SenderRef::None => return None,
    };
    Some(v1::Own { what: Some(what), entry_hash: Bytes::copy_from_slice(&entry.entry_hash) })
}

/// `None` only where a device-log entry does not decode, which the store made itself: it then travels without a body.
fn stored_body(entry: &StoredEntry) -> Option<v1::entry::Body> {
    let body = entry.body.clone();
    match entry.kind {
        Kind::Message => Some(Body::Message(body)),
        Kind::Commit => Some(Body::Commit(body)),
        Kind::Proposal => Some(Body::Proposal(body)),
        Kind::Welcome => v1::WelcomeEntry::decode(body).ok().map(Body::Welcome),
        Kind::Removed => v1::RemovedEntry::decode(body).ok().map(Body::Removed),
        Kind::Notice => v1::ServerNotice::decode(body).ok().map(Body::ServerNotice),
    }
}
