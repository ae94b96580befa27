//! What the engine keeps in the vault, one type for each space.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use crate::{
    join_link::Endpoint,
    mls::DeviceRef,
    vault::{Blob, Diff},
};

/// The one account of a vault.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) username: String,
    pub(crate) account_id: [u8; 16],
    pub(crate) device_id: [u8; 16],
    pub(crate) device_secret: [u8; 32],
    /// Only on the account's first device, until a recovery kit takes it.
    pub(crate) identity_secret: Option<[u8; 32]>,
    pub(crate) endpoint: Endpoint,
}

/// How far a log has been processed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    pub(crate) cursor: u64,
    /// The running hash at `cursor`; `None` behind an external join until the server states one.
    pub(crate) running: Option<[u8; 32]>,
    /// It did not continue as it must: nothing is acknowledged any more.
    pub(crate) alarmed: bool,
}

/// Where a group stands for this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Made here, not yet known to be made at the server.
    Creating,
    /// Exists at the server; its Welcome is on its way.
    Awaited,
    /// The account is a member and this device is not, or its state is broken: an external commit leads in.
    Outside,
    /// A member.
    Active,
    /// Not a member any more.
    Left,
}

/// A group.
#[derive(Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub(crate) struct GroupRecord {
    pub(crate) id: [u8; 32],
    pub(crate) stage: Stage,
    pub(crate) name: Option<String>,
    pub(crate) revision: u64,
    pub(crate) direct_key: Option<[u8; 32]>,
    /// The counter of this device's last message.
    pub(crate) counter: u64,
    /// Its `GroupInfo` while it is being created.
    pub(crate) group_info: Option<Blob>,
    /// Its leaves have been compared with the manifests since the last one came.
    pub(crate) verified: bool,
    /// Sends are refused for this reason.
    pub(crate) blocked: Option<String>,
    pub(crate) leaving: bool,
    pub(crate) frozen: bool,
    /// A commit could not be processed; the log was replayed once since.
    pub(crate) replayed: bool,
    /// Entries were gone at the server, and no commit has fitted since: commits may have been among them.
    pub(crate) gapped: bool,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    Text(String),
    Profile { name: String, revision: u64 },
    ProfileRequest,
}

/// A message that the server has not accepted yet.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OutboxRecord {
    pub(crate) client_id: [u8; 16],
    pub(crate) said: Said,
    /// 0: not encrypted yet. Stays when it is encrypted again.
    pub(crate) counter: u64,
    pub(crate) epoch: u64,
    pub(crate) ciphertext: Option<Blob>,
}

/// A commit bundle that was made and not yet answered.
#[derive(Serialize, Deserialize)]
pub(crate) struct BundleRecord {
    /// The intent it serves.
    pub(crate) intent: Option<[u8; 16]>,
    pub(crate) external: bool,
    pub(crate) from_epoch: u64,
    pub(crate) commit_hash: [u8; 32],
    pub(crate) commit: Blob,
    pub(crate) welcome: Blob,
    pub(crate) group_info: Blob,
    pub(crate) messages: Vec<BundleMessage>,
    /// The state to adopt when it is accepted.
    pub(crate) diff: Diff,
}

/// An application message of a bundle.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BundleMessage {
    pub(crate) client_id: [u8; 16],
    pub(crate) said: Said,
    pub(crate) ciphertext: Blob,
}

/// A commit that shall be made.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct IntentRecord {
    /// 16 random bytes; also the id of its claim of key packages.
    pub(crate) id: [u8; 16],
    pub(crate) kind: IntentKind,
    /// Messages wait for it: it adds those they are for.
    pub(crate) first: bool,
    /// Asked for by the server, not by a person.
    pub(crate) nominated: bool,
}

/// What a commit shall do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IntentKind {
    AddMembers(Vec<[u8; 16]>),
    AddDevices(Vec<DeviceRef>),
    Remove(Vec<[u8; 16]>),
    RemoveDevices(Vec<DeviceRef>),
    Update,
    SetRoles { administered: bool, administrators: Vec<[u8; 16]> },
    Leave,
}

/// Something that was said.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HistoryRecord {
    pub(crate) from: DeviceRef,
    pub(crate) text: String,
    pub(crate) time_ms: u64,
    pub(crate) local_no: u64,
}

/// Where a message of the inbox stands; or a notice of the server, whose seq is of the device's own log.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InboxRecord {
    pub(crate) group: [u8; 32],
    pub(crate) seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<NoticeRecord>,
}

/// Words of the server's operator.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NoticeRecord {
    pub(crate) text: String,
    pub(crate) time_ms: u64,
}

/// A Welcome that waits for the group's earlier window to drain.
#[derive(Serialize, Deserialize)]
pub(crate) struct ParkedWelcome {
    pub(crate) welcome: Blob,
    pub(crate) join_seq: u64,
    pub(crate) running: [u8; 32],
}

/// A proposal of the current epoch.
#[derive(Serialize, Deserialize)]
pub(crate) struct ProposalRecord {
    pub(crate) epoch: u64,
    pub(crate) proposal: Blob,
}

impl Drop for AccountRecord {
    fn drop(&mut self) {
        self.device_secret.zeroize();
        self.identity_secret.zeroize();
    }
}

impl GroupRecord {
    pub(crate) fn new(id: [u8; 32], stage: Stage) -> Self {
        Self {
            id,
            stage,
            name: None,
            revision: 0,
            direct_key: None,
            counter: 0,
            group_info: None,
            verified: false,
            blocked: None,
            leaving: false,
            frozen: false,
            replayed: false,
            gapped: false,
        }
    }
}
