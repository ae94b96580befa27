//! What commands tell: the objects of `--json`, which are also what is rendered for people and what travels between
//! two `sov` processes on one home.

use serde::{Deserialize, Serialize};

/// One line of output. Ids are lower-case hex, times milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A message was received, or stands in the history.
    Message {
        group: String,
        /// What the group is called here: its name, or its other members.
        title: String,
        seq: u64,
        from: String,
        text: String,
        time_ms: u64,
        /// Of an own message in the history: the usernames of those who have it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        delivered: Vec<String>,
        /// The same of those who say to have read it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        read: Vec<String>,
        /// Somebody who is not accepted has added this account to the group.
        #[serde(skip_serializing_if = "is_false", default)]
        request: bool,
        /// The sender says that it is.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        urgent: bool,
        /// When the server gives it to nobody any more.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expires_at_ms: Option<u64>,
    },
    /// A message was durably accepted by the server.
    Sent { group: String, seq: u64 },
    /// A text stands in the outbox, durably, and the server has not accepted it yet.
    Queued { group: String, client_id: String, text: String },
    /// The server has durably accepted a message of this device.
    Accepted { group: String, client_id: String, seq: u64, text: String, time_ms: u64 },
    /// So many messages of others were neither listened to nor shown.
    Unread { group: String, count: u64 },
    /// A message that was accepted here will not be sent.
    SendFailed { group: String, client_id: String, reason: String },
    /// The server does not take what waits in a group now; it is tried again by itself.
    Delayed { group: String, reason: String, retry_after_ms: u64 },
    /// The account of this home.
    Account {
        username: String,
        account_id: String,
        device_id: String,
        /// Another device has to approve this one.
        pending: bool,
    },
    /// A group of this account.
    Group {
        group: String,
        name: Option<String>,
        title: String,
        members: Vec<Member>,
        epoch: u64,
        /// The one group of exactly these people.
        direct: bool,
        state: String,
        /// Somebody who is not accepted has added this account to it.
        #[serde(skip_serializing_if = "is_false", default)]
        request: bool,
    },
    /// A device of this account.
    Device {
        device: String,
        state: String,
        /// The one that answers.
        current: bool,
        created_at_ms: u64,
        /// 0: never.
        last_seen_ms: u64,
    },
    /// Somebody's identity: fingerprints in lower-case hex. Changed: nothing is sent to them until it is accepted.
    Identity { username: String, known: String, offered: String, changed: bool },
    /// This device is in a group now.
    Joined { group: String },
    /// This device is in a group no more.
    Left { group: String },
    /// A group has another name.
    Renamed { group: String, name: String },
    /// The conversation of a frozen group goes on in another one.
    Reset { group: String, successor: String },
    /// People came or went.
    Members { group: String, epoch: u64, added: Vec<String>, removed: Vec<String> },
    /// This device was approved or revoked.
    DeviceState { state: String },
    /// The connection changed its state.
    State { state: String, cause: String },
    /// Something is wrong in a way that a person should know: a server that withholds, a changed identity.
    Alarm { group: Option<String>, text: String },
    /// Somebody types, or has stopped.
    Typing { group: String, from: String, active: bool },
    /// An ephemeral message of an application's own kind; `payload` in lower-case hex.
    Signal { group: String, from: String, kind: String, payload: String },
    /// A contact is `online`, `away` or `offline`.
    Presence {
        username: String,
        state: String,
        /// Coarse, and only where it is told.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last_seen_ms: Option<u64>,
    },
    /// A member has everything up to `delivered`, and says to have read up to `read`; 0: not known.
    Receipt { group: String, username: String, delivered: u64, read: u64 },
    /// How this account stands to another: `none`, `requested`, `request`, `accepted`, `blocked`.
    Contact {
        username: String,
        account_id: String,
        relation: String,
        /// Since when; in the list only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since_ms: Option<u64>,
    },
    /// Words of the server's operator. Not end-to-end encrypted.
    ServerNotice { text: String, time_ms: u64 },
    /// Messages that wait on the server: those of this account or, with `group`, those in it; and how many may.
    Usage {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        group: Option<String>,
        used_bytes: u64,
        limit_bytes: u64,
    },
    /// What was asked for is done.
    Done {
        verb: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        group: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        device: Option<String>,
    },
    /// A remark for people; always on stderr.
    Note { text: String },
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) devices: usize,
    pub(crate) leaving: bool,
}

impl Event {
    /// Done, with a group.
    pub(crate) fn done_in(verb: &str, group: String) -> Self {
        Self::Done { verb: verb.to_owned(), group: Some(group), device: None }
    }

    /// Whether it counts for `listen --count`.
    pub(crate) fn is_message(&self) -> bool {
        matches!(self, Self::Message { .. })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
