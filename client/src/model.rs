//! What a caller of this library sees: people, groups, messages, events.

/// How a client is started.
#[derive(Clone, Default)]
pub struct Options {
    /// Opens, or at first closes, the vault.
    pub passphrase: Option<zeroize::Zeroizing<String>>,
    /// The time, which tests move.
    pub clock: crate::clock::Clock,
    /// What connections run over in place of the network: for a client that lives in one process with its server.
    pub pipes: Option<crate::connection::Pipes>,
}

/// Who this client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// As the server normalised it.
    pub username: String,
    /// 16 bytes.
    pub account_id: [u8; 16],
    /// 16 bytes, of this installation.
    pub device_id: [u8; 16],
}

/// A message that the server has accepted durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it stands.
    pub group: [u8; 32],
    /// Its place in the group's log.
    pub seq: u64,
    /// The id it was sent under.
    pub client_id: [u8; 16],
}

/// Messages that wait on the server for others, and how many may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes, about a second ago.
    pub used_bytes: u64,
    /// Bytes.
    pub limit_bytes: u64,
}

/// How much room is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// For this account's messages.
    pub account: Room,
    /// In the group that was named.
    pub group: Option<Room>,
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SendOptions {
    /// The server gives it to nobody any more so many seconds after it accepted it: 60 to what the server keeps messages
    /// for. 0: no end.
    pub ttl_seconds: u64,
    /// Worth waking somebody for.
    pub urgent: bool,
}

/// A text that waits for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Where it goes.
    pub group: [u8; 32],
    /// The id it is sent under.
    pub client_id: [u8; 16],
    /// What is said.
    pub text: String,
}

/// Something that was said in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// In which group.
    pub group: [u8; 32],
    /// Its place in the group's log.
    pub seq: u64,
    /// The sender's username; the account id in hex where it could not be learned.
    pub from: String,
    /// The sender's device.
    pub from_device: [u8; 16],
    /// What was said.
    pub text: String,
    /// When the server accepted it, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its number in this device's inbox, ascending; 0 for what this device itself sent.
    pub local_no: u64,
    /// It stands in a group that is a request: somebody whom this account has not accepted has added it there.
    pub request: bool,
    /// The sender says that it is.
    pub urgent: bool,
    /// When the server gives it to nobody any more, in milliseconds since the Unix epoch; `None`: it has no end.
    pub expires_at_ms: Option<u64>,
}

/// Words of the server's operator. Not end-to-end encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is said.
    pub text: String,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its number in this device's inbox, ascending, among those of messages.
    pub local_no: u64,
}

/// What waits in the inbox until a listener has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxItem {
    /// Somebody said something.
    Message(Message),
    /// The server's operator did.
    Notice(Notice),
}

impl InboxItem {
    /// Its place in the inbox.
    #[must_use]
    pub fn local_no(&self) -> u64 {
        match self {
            Self::Message(message) => message.local_no,
            Self::Notice(notice) => notice.local_no,
        }
    }
}

/// A group as this device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// 32 bytes.
    pub id: [u8; 32],
    /// Given by a member; groups of `send_to` have none.
    pub name: Option<String>,
    /// Everybody, by account.
    pub members: Vec<Member>,
    /// The MLS epoch.
    pub epoch: u64,
    /// Made by `send_to`, for a conversation of exactly its first members.
    pub direct: bool,
    /// What this device can do there.
    pub state: GroupState,
    /// Somebody whom this account has not accepted has added it: nobody there sees its presence or receipts, until it
    /// accepts that one, or says something.
    pub request: bool,
    /// The groups that resets have replaced by this one, the latest first: their messages are its history.
    pub former: Vec<[u8; 32]>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The username; the account id in hex where it could not be learned.
    pub username: String,
    /// 16 bytes.
    pub account_id: [u8; 16],
    /// How many of its devices are in the group.
    pub devices: usize,
    /// It has asked to leave, or the device's leaf is being removed.
    pub leaving: bool,
}

/// What this device can do in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// On its way: being created, or waiting for its Welcome or an external join.
    Joining,
    /// Reading and sending.
    Active,
    /// This account has asked to leave; reading goes on until the removal.
    Leaving,
    /// Its members disagree about the state; sends are refused until a member resets it.
    Frozen,
    /// This device is not a member any more; what was said stays readable.
    Left,
}

/// Who may do what in a new group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// All members are equal.
    #[default]
    Equal,
    /// The creator administers: only administrators remove others.
    Administered,
}

/// A device of the own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// 16 bytes.
    pub device_id: [u8; 16],
    /// What the server says of it.
    pub state: DeviceState,
    /// Whether the own manifest lists it.
    pub listed: bool,
    /// It is this one.
    pub this: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the Unix epoch; 0: never.
    pub last_seen_ms: u64,
}

/// An account's identity as it is pinned here, and as the server shows it now. A fingerprint is the SHA-256 of the
/// account's identity key; two people compare what each sees of the other, over another way than this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityInfo {
    /// Whose.
    pub username: String,
    /// The pinned fingerprint.
    pub known: [u8; 32],
    /// The fingerprint that the server shows now.
    pub offered: [u8; 32],
    /// Nothing is sent to them until the offered one is accepted. Equal fingerprints: the server had shown another one.
    pub changed: bool,
}

/// Whether a device may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Waits for another device's approval.
    Pending,
    /// Takes part.
    Active,
    /// Is out for good.
    Revoked,
}

/// What is known of somebody's presence. It follows all devices of the account: the most present one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// There.
    Online,
    /// Connected and not looking.
    Away,
    /// Not connected, or hidden: the two look alike.
    Offline {
        /// Coarse, in milliseconds since the Unix epoch; `None` where it is not told.
        last_seen_ms: Option<u64>,
    },
}

/// What this account shows of its own presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Availability {
    /// There.
    #[default]
    Online,
    /// Connected and not looking.
    Away,
    /// Nothing is shown to anybody.
    Hidden,
}

/// How far a member has got in a group. Both numbers are seqs, only grow, and are 0 where nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose: 16 bytes.
    pub account: [u8; 16],
    /// The username; the account id in hex where it could not be learned.
    pub username: String,
    /// A device of the member has everything up to here, durably.
    pub delivered: u64,
    /// The member says to have read up to here.
    pub read: u64,
}

/// An account that this one has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The username; the account id in hex where it could not be learned.
    pub username: String,
    /// 16 bytes.
    pub account_id: [u8; 16],
    /// How the two stand.
    pub relation: Relation,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// How this account stands to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Relation {
    /// Nothing: strangers.
    None,
    /// This account has written first, and was not answered yet.
    Requested,
    /// The other one has written first: its messages are requests until it is accepted.
    Request,
    /// This account wants to hear from the other one. Where both have accepted, both may see presence and receipts.
    Accepted,
    /// This account does not want to hear from the other one, to whom it looks unknown.
    Blocked,
}
