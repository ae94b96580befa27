//! What goes into the store's verbs and what comes out: plain values, no rows, no SQL.

use std::sync::OnceLock;

use bytes::Bytes;
use sovereign_proto::log::Kind;

use crate::{
    clock::UnixMs,
    ids::{AccountId, ClaimId, ClientId, DeviceId, Epoch, GroupId, LogId, Seq},
};

/// Why a verb was not carried out although nothing was wrong with what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Too much waits to be written; nothing was written. Try again shortly.
    Busy,
    /// The disk is nearly full; only acknowledgements and deletions are taken. Nothing was written.
    DiskLow,
    /// The engine failed; the process is about to end (exit 74) and nothing more is acknowledged.
    Failed,
}

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];

// ---- accounts, devices, manifests ----

/// A new account with its first device.
pub struct NewAccount {
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    pub identity_key: [u8; 32],
    /// The encoded `Manifest` message, version 1, verified by the caller.
    pub manifest: Vec<u8>,
    pub manifest_hash: Hash,
    pub device: NewDevice,
    /// PHC string; `None`: no password.
    pub password_hash: Option<String>,
    /// SHA-256 of the invite code; checked and used up in the same transaction.
    pub invite: InviteUse,
    pub now: UnixMs,
}

/// How an invite enters a sign-up.
#[derive(Clone, Copy)]
pub enum InviteUse {
    /// Registration is open and no code was given.
    None,
    /// A code was given: it must be valid.
    Code(Hash),
}

/// A device as it is enrolled.
#[derive(Clone, Copy)]
pub struct NewDevice {
    pub device_id: DeviceId,
    pub device_key: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpOutcome {
    Created {
        administrator: bool,
    },
    UsernameTaken,
    /// Account id, device id or identity key is known already.
    IdTaken,
    /// Unknown, expired, revoked or used up: the caller is not told which.
    InviteInvalid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub account_id: AccountId,
    pub username: String,
    pub identity_key: [u8; 32],
    pub enabled: bool,
    pub administrator: bool,
    pub manifest_version: u64,
    /// PHC string.
    pub password_hash: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    Pending,
    Active,
    Revoked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub device_id: DeviceId,
    pub account_id: AccountId,
    pub device_key: [u8; 32],
    pub state: DeviceState,
    pub created_at: UnixMs,
    /// 0: never.
    pub last_seen: UnixMs,
    pub incarnation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    Enrolled,
    /// The id or the key is known, or the account has 64 devices that are not revoked.
    Refused,
}

/// What a device is told when it signs in.
pub struct SignedIn {
    pub stock: Stock,
    /// Logs with entries behind the cursor, at most 256, the device's own log first.
    pub news: Vec<LogPosition>,
    /// Every group the device has an open or draining window in whose Welcome it has acknowledged.
    pub groups: Vec<GroupId>,
}

pub enum SignInOutcome {
    SignedIn(SignedIn),
    /// The stated incarnation is below the known one: the device's store was rolled back.
    RolledBack,
    /// The device is revoked or its account disabled by now.
    Refused,
}

/// Where a log stands for one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub log: LogId,
    pub first_available: Seq,
    /// The newest seq the device may read.
    pub head: Seq,
    pub cursor: Seq,
}

/// A verified next manifest.
pub struct NewManifest {
    pub account_id: AccountId,
    pub version: u64,
    pub previous: Hash,
    pub hash: Hash,
    /// The encoded `Manifest` message.
    pub manifest: Vec<u8>,
    /// Every listed device with its key.
    pub devices: Vec<NewDevice>,
    pub now: UnixMs,
}

pub enum PublishOutcome {
    Published {
        activated: Vec<DeviceId>,
        revoked: Vec<DeviceId>,
        /// Groups in which a leaf has to be removed now.
        groups: Vec<GroupId>,
    },
    /// Another manifest of that version stands, or `previous` is not the hash of the one before.
    Conflict,
    /// A listed device is unknown, revoked or has another key.
    UnknownDevice,
}

/// A session token as it is kept: the hash of the secret and what it stands for.
#[derive(Clone, Copy)]
pub struct NewToken {
    pub hash: Hash,
    pub device_id: DeviceId,
    pub expires_at: UnixMs,
    /// The token it replaces; `None` starts a family.
    pub replaces: Option<Hash>,
    pub now: UnixMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    Issued,
    /// The replaced token is unknown, expired or belongs to another device.
    Unknown,
    /// The replaced token had been replaced and its successor used: the family is revoked now.
    Replayed,
}

/// A single invite as operators see it.
#[derive(Clone, Debug)]
pub struct Invite {
    /// SHA-256 of the code.
    pub hash: Hash,
    pub uses_left: u32,
    pub expires_at: UnixMs,
    pub administrator: bool,
    pub created_at: UnixMs,
    pub revoked: bool,
}

// ---- key packages ----

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub available: u32,
    pub has_last_resort: bool,
    pub last_resort_used: bool,
    /// Upload time of the oldest available one; 0: none.
    pub oldest_at: UnixMs,
}

/// A validated key package.
pub struct NewKeyPackage {
    /// The MLSMessage as it was uploaded.
    pub bytes: Vec<u8>,
    /// RFC 9420 `KeyPackageRef`.
    pub reference: Vec<u8>,
    /// SHA-256 of the init key: seen once, ever.
    pub init_key_hash: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKeyPackagesOutcome {
    Published(Stock),
    /// The init key of this item (last resort: the batch's length) was published before.
    Repeated {
        index: usize,
    },
    /// More than the limit would be held.
    TooMany,
}

pub struct NewClaim {
    pub claim_id: ClaimId,
    pub group: GroupId,
    pub claimer: DeviceId,
    pub accounts: Vec<AccountId>,
    /// Empty: all active devices of the accounts but the claimer.
    pub devices: Vec<DeviceId>,
    pub now: UnixMs,
}

pub struct ClaimedPackage {
    pub account_id: AccountId,
    pub device_id: DeviceId,
    pub bytes: Vec<u8>,
}

pub enum ClaimOutcome {
    Claimed {
        packages: Vec<ClaimedPackage>,
        exhausted: Vec<(AccountId, DeviceId)>,
        /// Devices whose stock fell below the wanted level or whose last resort was used.
        low: Vec<DeviceId>,
    },
    /// The claim id was used for something else.
    Conflict,
    /// An account does not exist or is disabled.
    NotFound,
}

// ---- groups ----

/// What validating a handshake message of a group needs. Loaded before the commit is checked; what it says is checked
/// again inside the writing transaction.
#[derive(Clone)]
pub struct GroupState {
    pub epoch: Epoch,
    /// MLSMessage (mls_group_info) of the current epoch, with the ratchet tree: the whole public state.
    pub group_info: Bytes,
    /// The log's head at that epoch's commit.
    pub epoch_seq: Seq,
    /// Pending proposals of this epoch (MLSMessage, mls_public_message), in log order.
    pub proposals: Vec<Bytes>,
    pub frozen: bool,
    /// Accounts asked to be removed (leaving), and devices asked to be removed (revoked).
    pub removals: Vec<Removal>,
}

/// A leaf that has to go at the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    pub account_id: AccountId,
    pub device_id: DeviceId,
}

/// How a device stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Has an open window: its device is a leaf.
    Member,
    /// Its account has asked to leave, or the device is being removed: may read, not send.
    Leaving,
    /// Another device of its account is a leaf; this one is not. May join by external commit.
    AccountOnly,
    /// Everything else, the group's non-existence included.
    None,
}

/// A device in a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    pub account_id: AccountId,
    pub device_id: DeviceId,
}

/// What a validated commit changes; everything here has been checked against [`GroupState`].
pub struct CommitPlan {
    pub group: GroupId,
    pub committer: Leaf,
    /// The committer is not a leaf of `from_epoch` (external commit).
    pub external: bool,
    pub from_epoch: Epoch,
    /// SHA-256 of the commit message, and of the whole bundle.
    pub commit_hash: Hash,
    pub bundle_hash: Hash,
    pub commit: Bytes,
    pub group_info: Bytes,
    /// Added leaves with the reference of the key package each redeems (none for an external joiner).
    pub added: Vec<(Leaf, Vec<u8>)>,
    /// Removed leaves, the joiner's own old leaf included.
    pub removed: Vec<Leaf>,
    /// Empty when nobody is added.
    pub welcome: Bytes,
    pub messages: Vec<NewMessage>,
    pub now: UnixMs,
}

/// An application message of a bundle, or on its own.
#[derive(Clone)]
pub struct NewMessage {
    pub client_id: ClientId,
    pub ciphertext: Bytes,
}

pub enum CommitOutcome {
    Accepted {
        seq: Seq,
        epoch: Epoch,
        duplicate: bool,
        /// New head of the group's log.
        head: Seq,
        /// Devices that got an entry on their own log (Welcome or removal).
        notified: Vec<DeviceId>,
    },
    /// Another commit of that epoch stands.
    Stale {
        current_epoch: Epoch,
    },
    /// `from_epoch` is above the group's: only a restored server sees that.
    ServerBehind,
    /// The same commit came in another bundle, or a client id is used otherwise.
    Conflict,
    /// The caller has no open window (or may not join).
    NotFound,
    /// An added device has no unredeemed claim for this group, is not active or not enabled, or is a member already.
    BadAdd(DeviceId),
    Frozen,
}

pub enum CreateOutcome {
    Created,
    /// Somebody's group stands under the direct key, with the caller's account a member.
    Exists(GroupId),
    /// Not reserved by this device, or used.
    NotReserved,
}

pub enum ProposeOutcome {
    Accepted {
        seq: Seq,
    },
    Duplicate {
        seq: Seq,
    },
    Stale {
        current_epoch: Epoch,
    },
    NotFound,
    Frozen,
    /// The epoch has its bounded number of proposals.
    TooMany,
}

pub struct NewGroup {
    pub group: GroupId,
    pub creator: Leaf,
    pub group_info: Bytes,
    pub direct_key: Option<Hash>,
    pub now: UnixMs,
}

pub struct GroupSummary {
    pub group: GroupId,
    pub epoch: Epoch,
    pub joined: bool,
    pub leaving: bool,
    pub frozen: bool,
    pub successor: Option<GroupId>,
}

pub enum Verdict {
    Tag(Hash),
    Nack,
}

pub enum ConfirmOutcome {
    Noted { frozen: bool },
    NotFound,
}

pub enum ResetOutcome {
    /// The successor: ours, or that of whoever came first.
    Successor(GroupId),
    NotFrozen,
    NotReserved,
    NotFound,
}

// ---- messages and logs ----

pub struct Append {
    pub group: GroupId,
    pub sender: DeviceId,
    pub epoch: Epoch,
    pub message: NewMessage,
    pub now: UnixMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    Accepted {
        seq: Seq,
        time: UnixMs,
    },
    Duplicate {
        seq: Seq,
        time: UnixMs,
    },
    /// No open window: a stranger, a removed or leaving member, or no such group.
    NotFound,
    /// The same ciphertext came from another device, or the client id was used for a handshake.
    Conflict,
    Stale {
        current_epoch: Epoch,
    },
    Frozen,
    /// The message's epoch is above the group's.
    ServerBehind,
}

/// An entry as it is stored. Held once in memory however many sessions send it.
pub struct StoredEntry {
    pub seq: Seq,
    pub time: UnixMs,
    pub kind: Kind,
    /// `None` on device logs.
    pub sender: Option<DeviceId>,
    /// Client id of a message; SHA-256 of a handshake.
    pub sender_ref: SenderRef,
    pub entry_hash: Hash,
    pub body: Bytes,
    /// Devices whose leaves this commit removes: their windows end here. Filled where the entry comes from memory;
    /// what is read from disk has passed the window filter already.
    pub removes: Box<[DeviceId]>,
    /// The encoded `Envelope` with an `Entries` push of this entry alone, made by the first session that needs it.
    pub frame: OnceLock<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderRef {
    None,
    Message(ClientId),
    Handshake(Hash),
}

/// One seq range of a window as a device gets it.
#[derive(Clone)]
pub enum Item {
    Entry(std::sync::Arc<StoredEntry>),
    /// `from..=to` are not given to this device.
    Skipped {
        from: Seq,
        to: Seq,
        reason: SkipReason,
        time: UnixMs,
        running_hash: Hash,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    BeforeJoin,
    Retention,
}

/// A page of a log.
pub struct Page {
    pub items: Vec<Item>,
    /// The newest seq the device may read in its current window.
    pub head: Seq,
    /// There is more behind the last item (or, backwards, before it).
    pub more: bool,
    /// The window is closed and this page reaches its end: nothing follows until the next window's Welcome is
    /// acknowledged.
    pub ended: bool,
}
