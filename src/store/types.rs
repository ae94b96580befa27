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
    /// The engine failed; the process is about to end (exit 74) and nothing more is acknowledged. Or, while
    /// [`super::Store::failed`] stays silent: this one verb met a contradiction and was taken back.
    Failed,
}

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];

// ---- accounts, devices, manifests ----

/// A new account with its first device.
pub struct NewAccount {
    /// Chosen by the client.
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    /// Ed25519 public key of the account.
    pub identity_key: [u8; 32],
    /// The encoded `Manifest` message, version 1, verified by the caller.
    pub manifest: Vec<u8>,
    /// SHA-256 of the manifest's body.
    pub manifest_hash: Hash,
    /// The one device that the manifest lists.
    pub device: NewDevice,
    /// PHC string; `None`: no password.
    pub password_hash: Option<String>,
    /// SHA-256 of the invite code; checked and used up in the same transaction.
    pub invite: InviteUse,
    /// When it is asked.
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
    /// Chosen by the client.
    pub device_id: DeviceId,
    /// Ed25519 public key: authenticates, and signs the device's MLS leaves.
    pub device_key: [u8; 32],
}

/// How a sign-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpOutcome {
    /// The account exists.
    Created {
        /// The invite made it an administrator's.
        administrator: bool,
    },
    /// Somebody has the username.
    UsernameTaken,
    /// Account id, device id or identity key is known already.
    IdTaken,
    /// Unknown, expired, revoked or used up: the caller is not told which.
    InviteInvalid,
}

/// An account as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    /// Ed25519 public key.
    pub identity_key: [u8; 32],
    /// Not shut out by an operator.
    pub enabled: bool,
    /// May use the panel.
    pub administrator: bool,
    /// The newest version, from 1.
    pub manifest_version: u64,
    /// PHC string.
    pub password_hash: Option<String>,
}

/// What a device may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Listed in no manifest: may link, recover and sign out.
    Pending,
    /// Listed in the newest manifest.
    Active,
    /// Struck from the manifest, for ever.
    Revoked,
}

/// A device as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: DeviceId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Ed25519 public key.
    pub device_key: [u8; 32],
    /// What it may do.
    pub state: DeviceState,
    /// When it was enrolled.
    pub created_at: UnixMs,
    /// 0: never.
    pub last_seen: UnixMs,
    /// The highest it stated at a sign-in; 0: none.
    pub incarnation: u64,
}

/// How an enrolment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// The device is known and pending.
    Enrolled,
    /// The id or the key is known, or the account has 64 devices that are not revoked.
    Refused,
}

/// What a device is told when it signs in.
pub struct SignedIn {
    /// Its key packages.
    pub stock: Stock,
    /// Logs with entries behind the cursor, at most 256, the device's own log first.
    pub news: Vec<LogPosition>,
    /// Every group the device has an open or draining window in whose Welcome it has acknowledged.
    pub groups: Vec<GroupId>,
}

/// How a sign-in ended.
pub enum SignInOutcome {
    /// It may go on.
    SignedIn(SignedIn),
    /// The stated incarnation is below the known one: the device's store was rolled back.
    RolledBack,
    /// The device is revoked or its account disabled by now.
    Refused,
}

/// Where a log stands for one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// Which.
    pub log: LogId,
    /// The oldest seq still held for it; head + 1 if none is.
    pub first_available: Seq,
    /// The newest seq the device may read.
    pub head: Seq,
    /// The newest seq it has acknowledged.
    pub cursor: Seq,
}

/// A verified next manifest.
pub struct NewManifest {
    /// Whose devices it lists.
    pub account_id: AccountId,
    /// Counts on from the newest.
    pub version: u64,
    /// SHA-256 of the body before.
    pub previous: Hash,
    /// SHA-256 of this body.
    pub hash: Hash,
    /// The encoded `Manifest` message.
    pub manifest: Vec<u8>,
    /// Every listed device with its key.
    pub devices: Vec<NewDevice>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How publishing a manifest ended.
pub enum PublishOutcome {
    /// It is the newest now.
    Published {
        /// Were pending, may take part now.
        activated: Vec<DeviceId>,
        /// Have to be cut off now.
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
    /// SHA-256 of the token.
    pub hash: Hash,
    /// The device it is bound to.
    pub device_id: DeviceId,
    /// When it ends.
    pub expires_at: UnixMs,
    /// The token it replaces; `None` starts a family.
    pub replaces: Option<Hash>,
    /// When it is asked.
    pub now: UnixMs,
}

/// How issuing a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// It is good.
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
    /// Sign-ups it still admits.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: UnixMs,
    /// Makes administrators.
    pub administrator: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// An operator took it back.
    pub revoked: bool,
}

// ---- key packages ----

/// What a device has published and nobody has claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Packages that can be claimed once.
    pub available: u32,
    /// There is one for when the others have run out.
    pub has_last_resort: bool,
    /// It was handed out: a fresh one is due.
    pub last_resort_used: bool,
    /// Upload time of the oldest available one; 0: none.
    pub oldest_at: UnixMs,
}

/// A validated key package.
pub struct NewKeyPackage {
    /// The `MLSMessage` as it was uploaded.
    pub bytes: Vec<u8>,
    /// RFC 9420 `KeyPackageRef`.
    pub reference: Vec<u8>,
    /// SHA-256 of the init key: seen once, ever.
    pub init_key_hash: Hash,
}

/// How publishing key packages ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKeyPackagesOutcome {
    /// All of them are in stock.
    Published(Stock),
    /// The init key of this item (last resort: the batch's length) was published before.
    Repeated {
        /// Counts from 0.
        index: usize,
    },
    /// More than the limit would be held.
    TooMany,
}

/// A request for key packages.
pub struct NewClaim {
    /// Chosen by the claimer: the same id gets the same answer.
    pub claim_id: ClaimId,
    /// The group they are to be added to.
    pub group: GroupId,
    /// Gets none of its own.
    pub claimer: DeviceId,
    /// Whose devices.
    pub accounts: Vec<AccountId>,
    /// Empty: all active devices of the accounts but the claimer.
    pub devices: Vec<DeviceId>,
    /// When it is asked.
    pub now: UnixMs,
}

/// A key package that was handed out.
pub struct ClaimedPackage {
    /// Of this account.
    pub account_id: AccountId,
    /// Of this device.
    pub device_id: DeviceId,
    /// The `MLSMessage` as it was uploaded.
    pub bytes: Vec<u8>,
}

/// How a claim ended.
pub enum ClaimOutcome {
    /// Handed out, in part or in full.
    Claimed {
        /// One for each device that had one.
        packages: Vec<ClaimedPackage>,
        /// Devices that had none.
        exhausted: Vec<(AccountId, DeviceId)>,
        /// Devices whose stock fell below the wanted level or whose last resort was used.
        low: Vec<DeviceId>,
    },
    /// The claim id was used for something else.
    Conflict,
    /// An account does not exist or is disabled.
    NotFound,
    /// More devices than one claim hands out for.
    TooLarge,
    /// The claimer has made as many claims as it may, or holds as many packages of one device as it may.
    TooMany,
}

// ---- groups ----

/// What validating a handshake message of a group needs. Loaded before the commit is checked; what it says is checked
/// again inside the writing transaction.
#[derive(Clone)]
pub struct GroupState {
    /// The current one.
    pub epoch: Epoch,
    /// `MLSMessage` (`mls_group_info`) of the current epoch, with the ratchet tree: the whole public state.
    pub group_info: Bytes,
    /// The log's head at that epoch's commit.
    pub epoch_seq: Seq,
    /// Pending proposals of this epoch (`MLSMessage`, `mls_public_message`), in log order.
    pub proposals: Vec<Bytes>,
    /// Sends and commits are refused; reading goes on, and it may be reset.
    pub frozen: bool,
    /// Accounts asked to be removed (leaving), and devices asked to be removed (revoked).
    pub removals: Vec<Removal>,
}

/// A leaf that has to go at the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Whose leaf.
    pub account_id: AccountId,
    /// Which.
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
    /// Whose it is.
    pub account_id: AccountId,
    /// Which.
    pub device_id: DeviceId,
}

/// What a validated commit changes; everything here has been checked against [`GroupState`].
pub struct CommitPlan {
    /// The group.
    pub group: GroupId,
    /// Who sends it: the leaf that signed it, or the one it adds (external commit).
    pub committer: Leaf,
    /// The committer is not a leaf of `from_epoch` (external commit).
    pub external: bool,
    /// The epoch it was made in.
    pub from_epoch: Epoch,
    /// SHA-256 of the commit message, and of the whole bundle.
    pub commit_hash: Hash,
    /// SHA-256 of the whole bundle.
    pub bundle_hash: Hash,
    /// The commit message.
    pub commit: Bytes,
    /// The public state that it makes.
    pub group_info: Bytes,
    /// Added leaves with the reference of the key package each redeems (none for an external joiner).
    pub added: Vec<(Leaf, Vec<u8>)>,
    /// Removed leaves, the joiner's own old leaf included.
    pub removed: Vec<Leaf>,
    /// Empty when nobody is added.
    pub welcome: Bytes,
    /// Application messages of the new epoch.
    pub messages: Vec<NewMessage>,
    /// When it is asked.
    pub now: UnixMs,
}

/// An application message of a bundle, or on its own.
#[derive(Clone)]
pub struct NewMessage {
    /// Chosen by the sender: the same id gets the same answer.
    pub client_id: ClientId,
    /// `MLSMessage` (`mls_private_message`).
    pub ciphertext: Bytes,
}

/// How a commit ended.
pub enum CommitOutcome {
    /// It made the new epoch.
    Accepted {
        /// Where it stands in the group's log.
        seq: Seq,
        /// The epoch it made.
        epoch: Epoch,
        /// It stood already; nothing was written.
        duplicate: bool,
        /// New head of the group's log.
        head: Seq,
        /// Devices that got an entry on their own log (Welcome or removal).
        notified: Vec<DeviceId>,
    },
    /// Another commit of that epoch stands.
    Stale {
        /// The group's.
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
    /// The group waits for its reset.
    Frozen,
}

/// How creating a group ended.
pub enum CreateOutcome {
    /// The group stands at epoch 0.
    Created,
    /// Somebody's group stands under the direct key, with the caller's account a member.
    Exists(GroupId),
    /// Not reserved by this device, or used.
    NotReserved,
}

/// How a proposal ended.
pub enum ProposeOutcome {
    /// It waits for the next commit.
    Accepted {
        /// Where it stands.
        seq: Seq,
    },
    /// It stood already.
    Duplicate {
        /// Where it stands.
        seq: Seq,
    },
    /// Its epoch has passed, or is not there yet.
    Stale {
        /// The group's.
        current_epoch: Epoch,
    },
    /// No open window, or no such group.
    NotFound,
    /// The group waits for its reset.
    Frozen,
    /// The epoch has its bounded number of proposals.
    TooMany,
}

/// A group as it begins.
pub struct NewGroup {
    /// Reserved before.
    pub group: GroupId,
    /// Its only leaf.
    pub creator: Leaf,
    /// The public state of epoch 0.
    pub group_info: Bytes,
    /// The key of the one group of exactly these people; `None`: none.
    pub direct_key: Option<Hash>,
    /// When it is asked.
    pub now: UnixMs,
}

/// A group as its members' devices list it.
pub struct GroupSummary {
    /// Its id.
    pub group: GroupId,
    /// The current one.
    pub epoch: Epoch,
    /// The asking device is a leaf.
    pub joined: bool,
    /// The account has asked to leave.
    pub leaving: bool,
    /// It waits for its reset.
    pub frozen: bool,
    /// The group that replaced it.
    pub successor: Option<GroupId>,
}

/// What a device says of an epoch.
pub enum Verdict {
    /// Its confirmation tag: equal states give equal tags.
    Tag(Hash),
    /// The commit cannot be processed.
    Nack,
}

/// How a confirmation ended.
pub enum ConfirmOutcome {
    /// It counts, unless it was about another epoch.
    Noted {
        /// How the group stands now.
        frozen: bool,
    },
    /// No open window, or no such group.
    NotFound,
}

/// How a reset ended.
pub enum ResetOutcome {
    /// The successor: ours, or that of whoever came first.
    Successor(GroupId),
    /// The group is not frozen, or its epoch is another.
    NotFrozen,
    /// The new id is not reserved by this device.
    NotReserved,
    /// No open window, or no such group.
    NotFound,
}

// ---- messages and logs ----

/// A message on its way into a log.
pub struct Append {
    /// The group.
    pub group: GroupId,
    /// The device that was authenticated.
    pub sender: DeviceId,
    /// The epoch in its clear header.
    pub epoch: Epoch,
    /// What is stored.
    pub message: NewMessage,
    /// When it came.
    pub now: UnixMs,
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is durable.
    Accepted {
        /// Where it stands.
        seq: Seq,
        /// When it was accepted.
        time: UnixMs,
    },
    /// It was durable already.
    Duplicate {
        /// Where it stands.
        seq: Seq,
        /// When it was accepted.
        time: UnixMs,
    },
    /// No open window: a stranger, a removed or leaving member, or no such group.
    NotFound,
    /// The same ciphertext came from another device, or the client id was used for a handshake.
    Conflict,
    /// Its epoch is too old.
    Stale {
        /// The group's.
        current_epoch: Epoch,
    },
    /// The group waits for its reset.
    Frozen,
    /// The message's epoch is above the group's.
    ServerBehind,
}

/// An entry as it is stored. Held once in memory however many sessions send it.
pub struct StoredEntry {
    /// Its place.
    pub seq: Seq,
    /// When it was accepted.
    pub time: UnixMs,
    /// What it holds.
    pub kind: Kind,
    /// `None` on device logs.
    pub sender: Option<DeviceId>,
    /// Client id of a message; SHA-256 of a handshake.
    pub sender_ref: SenderRef,
    /// [`sovereign_proto::log::entry_hash`] of it.
    pub entry_hash: Hash,
    /// As it came; of a Welcome or a removal, the encoded entry.
    pub body: Bytes,
    /// Devices whose leaves this commit removes: their windows end here. Filled where the entry comes from memory;
    /// what is read from disk has passed the window filter already.
    pub removes: Box<[DeviceId]>,
    /// The encoded `Envelope` with an `Entries` push of this entry alone, made by the first session that needs it.
    pub frame: OnceLock<Bytes>,
}

/// How the sender recognises its own entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderRef {
    /// Nobody's: an entry of a device log.
    None,
    /// Client id of a message.
    Message(ClientId),
    /// SHA-256 of a commit or a proposal.
    Handshake(Hash),
}

/// One seq range of a window as a device gets it.
#[derive(Clone)]
pub enum Item {
    /// An entry.
    Entry(std::sync::Arc<StoredEntry>),
    /// `from..=to` are not given to this device.
    Skipped {
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
        /// Why.
        reason: SkipReason,
        /// Of the entry behind, or now.
        time: UnixMs,
        /// The running hash at `to`, from which the chain goes on.
        running_hash: Hash,
    },
}

/// Why a device does not get what stands in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It stands before the device's join.
    BeforeJoin,
    /// It is gone: everybody else has passed it, or it is too old.
    Retention,
}

/// A page of a log.
pub struct Page {
    /// In the order asked for.
    pub items: Vec<Item>,
    /// The newest seq the device may read in its current window.
    pub head: Seq,
    /// There is more behind the last item (or, backwards, before it).
    pub more: bool,
    /// The window is closed and this page reaches its end: nothing follows until the next window's Welcome is
    /// acknowledged.
    pub ended: bool,
}
