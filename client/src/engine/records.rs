//! What the engine keeps in the vault, one type for each space.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use crate::{
    join_link::Endpoint,
    mls::DeviceRef,
    model::SendOptions,
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
    /// Messages that expired before they came here.
    #[serde(default)]
    pub(crate) expired: u64,
    /// Entries that were gone otherwise, or of epochs before this device came in.
    #[serde(default)]
    pub(crate) gone: u64,
    /// The epoch in which this device came in: it has no keys of earlier ones, in which others may go on to send a while.
    #[serde(default)]
    pub(crate) joined_in: u64,
    /// Where it goes on since the server was last restored; 0: it never was.
    #[serde(default)]
    pub(crate) restored_at: u64,
    /// How often this device came in again.
    #[serde(default)]
    pub(crate) stay: u64,
}

impl LogRecord {
    /// Read on from here, where this device came in: what stands between is not for it.
    pub(crate) fn restart(self, cursor: u64, running: Option<[u8; 32]>, joined_in: u64) -> Self {
        let stay = self.stay + u64::from(self.cursor > 0);
        Self { cursor, running, alarmed: false, joined_in, stay, ..self }
    }
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
    /// How many of those have a life.
    #[serde(default)]
    pub(crate) expiring: u64,
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
    /// The account was added by somebody it has not accepted, and has not accepted the group.
    #[serde(default)]
    pub(crate) request: bool,
    /// Who added it.
    #[serde(default)]
    pub(crate) added_by: Option<[u8; 16]>,
    /// The epoch that the server named last.
    #[serde(default)]
    pub(crate) listed_epoch: u64,
    /// The group that it replaces after a reset, and whose member says so inside the encryption.
    #[serde(default)]
    pub(crate) replaces: Option<([u8; 32], [u8; 16])>,
    /// The group that the server names in its place.
    #[serde(default)]
    pub(crate) named_successor: Option<[u8; 32]>,
    /// The group in its place: the server and a member agree on it.
    #[serde(default)]
    pub(crate) successor: Option<[u8; 32]>,
    /// The server was restored, and has not said yet whether the group goes on from this device's state.
    #[serde(default)]
    pub(crate) restored: bool,
    /// The epoch that it stood in when that was noticed.
    #[serde(default)]
    pub(crate) restored_epoch: u64,
    /// How often the server did not know the group since.
    #[serde(default)]
    pub(crate) unknown: u32,
    /// The device's window ends here, though no commit that removes it may be left to say so.
    #[serde(default)]
    pub(crate) closes_at: Option<u64>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    Text(String),
    /// An empty name is none.
    Profile {
        name: String,
        revision: u64,
        #[serde(default)]
        replaces: Option<[u8; 32]>,
    },
    ProfileRequest,
}

/// A message that the server has not accepted yet.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OutboxRecord {
    pub(crate) client_id: [u8; 16],
    pub(crate) said: Said,
    /// Its number among those of this device; 0: it has none (yet). Given back where it is known not to be accepted.
    pub(crate) counter: u64,
    pub(crate) epoch: u64,
    pub(crate) ciphertext: Option<Blob>,
    /// How it is sent.
    #[serde(default)]
    pub(crate) options: SendOptions,
    /// Counts this device's messages with a life, this one included.
    #[serde(default)]
    pub(crate) expiring: u64,
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
    /// 16 random bytes.
    pub(crate) id: [u8; 16],
    /// The id of its claim of key packages where that is not the intent's own.
    #[serde(default)]
    pub(crate) claim: Option<[u8; 16]>,
    /// How often it was claimed anew.
    #[serde(default)]
    pub(crate) renewals: u32,
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
    #[serde(default)]
    pub(crate) urgent: bool,
    #[serde(default)]
    pub(crate) expires_at_ms: Option<u64>,
}

/// What is known of a sender's counters when its last message came.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterRecord {
    /// Its messages with a life.
    pub(crate) expiring: u64,
    /// Of the log, as [`LogRecord`] has them.
    pub(crate) expired: u64,
    pub(crate) gone: u64,
    #[serde(default)]
    pub(crate) stay: u64,
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
    #[serde(default)]
    pub(crate) request: bool,
    #[serde(default)]
    pub(crate) added_by: Option<[u8; 16]>,
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

impl IntentRecord {
    /// Whether its commit adds devices, with claimed key packages.
    pub(crate) fn adds(&self) -> bool {
        matches!(self.kind, IntentKind::AddMembers(_) | IntentKind::AddDevices(_))
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
            expiring: 0,
            group_info: None,
            verified: false,
            blocked: None,
            leaving: false,
            frozen: false,
            replayed: false,
            gapped: false,
            request: false,
            added_by: None,
            listed_epoch: 0,
            replaces: None,
            named_successor: None,
            successor: None,
            restored: false,
            restored_epoch: 0,
            unknown: 0,
            closes_at: None,
        }
    }

    /// What newcomers are told of the group; `None`: there is nothing to tell.
    pub(crate) fn profile(&self) -> Option<Said> {
        let replaces = self.replaces.map(|(group, _)| group);
        let told = self.name.is_some() || replaces.is_some();
        told.then(|| Said::Profile { name: self.name.clone().unwrap_or_default(), revision: self.revision, replaces })
    }
}
