//! The lines of a history.

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Microseconds since the run began.
    pub(crate) t: u64,
    /// What happened.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// Groups and devices have small numbers. A message's `op` is unique in the run and stands inside the encryption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub(crate) enum What {
    /// The run begins.
    Run { seed: u64, what: String },
    /// Somebody takes part: a person is a whole client, anybody else a light device that reads what travels.
    Device { dev: u32, name: String, person: bool },
    /// A group is there.
    Group { g: u32, id: String },
    /// A message is handed to the sender's client.
    Invoke { op: u64, dev: u32, g: u32 },
    /// Its sender was told that the server has it durably.
    Ok { op: u64, dev: u32, g: u32, seq: u64 },
    /// Its sender was told that the server will never take it.
    Fail { op: u64, dev: u32, g: u32, why: String },
    /// The server put it off; its sender tries again, in its place.
    PutOff { op: u64, dev: u32, g: u32, why: String },
    /// A person's client has it durably, as number `no` of its inbox.
    Hear { dev: u32, g: u32, no: u64, seq: u64, op: u64 },
    /// Entries of a group's log as they came over a light device's connection.
    Entries { dev: u32, conn: u32, g: u32, items: Vec<Item> },
    /// A device's window opens. `seq`: behind this entry, where the device was told.
    Join { dev: u32, g: u32, seq: Option<u64> },
    /// A device's window ends. `seq`: with this entry, where the device was told.
    Leave { dev: u32, g: u32, seq: Option<u64> },
    /// Somebody wants to change a group. `whom`: who is added or removed.
    Change { id: u64, dev: u32, g: u32, kind: Kind, whom: Option<u32> },
    /// It is accepted.
    ChangeOk { id: u64 },
    /// It was refused.
    ChangeFail { id: u64, why: String },
    /// A person's MLS state: equal authenticators mean equal states (RFC 9420, section 8.7).
    Epoch { dev: u32, g: u32, epoch: u64, auth: String },
    /// A person's client is alarmed.
    Alarm { dev: u32, g: Option<u32>, class: Class, text: String },
    /// Everything up to the sign-in has come.
    Live { dev: u32, conn: u32 },
    /// A connection has ended.
    Gone { dev: u32, conn: u32, why: String },
    /// A person's client was closed with what it had outstanding, and is opened anew.
    Reopen { dev: u32 },
    /// The server is killed (SIGKILL) with so many sends outstanding.
    Kill { outstanding: u64 },
    /// What stands in the store of a killed server before it starts again: the log's next seq, the group's epoch.
    Stored { g: u32, next: u64, epoch: u64 },
    /// A backup of the running server is begun: what was answered before is in it.
    Backup {},
    /// It is there.
    BackupOk {},
    /// The killed server was put back from the last backup, and has not started yet. Behind it a line for every group.
    Restored { generation: u64 },
    /// What a restored store holds of a group's log: everything up to `to`, then nothing before `next`; and the epoch.
    Kept { g: u32, to: u64, next: u64, epoch: u64 },
    /// A person's client has told that the server was restored.
    Noticed { dev: u32 },
    /// A person's group goes on in another one, because nobody knew any more where it stood.
    Reset { dev: u32, g: u32, to: String },
    /// What a person has in the end in the place of a group that was reset.
    Successor { dev: u32, g: u32, to: String, epoch: u64, auth: String },
    /// The server takes connections again.
    Up { ready_us: u64 },
    /// Something goes wrong on purpose, or is right again.
    Upset(Upset),
    /// A device is being revoked.
    Revoke { dev: u32 },
    /// It is revoked: nothing later may reach it.
    RevokeOk { dev: u32 },
    /// When the last byte went to a revoked device on the connections it had at the request to revoke it, from then on. Not
    /// there where it had none, or nothing came. A refused sign-in later is on a connection of its own.
    LastByte { dev: u32, after_us: u64 },
    /// What a person's client holds durably in the end.
    Final { dev: u32, g: u32, member: bool, epoch: u64, auth: String, ops: Vec<(u64, u64)> },
    /// The run is over. `settled`: everybody had come to rest before.
    End { settled: bool },
}

/// A fault, and whom it befell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upset {
    pub(crate) kind: String,
    pub(crate) devs: Vec<u32>,
    pub(crate) for_ms: u64,
}

/// What is wanted of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Create,
    Update,
    Add,
    Remove,
    Leave,
}

/// An entry of a log as a light device sees it: its seq, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Item {
    /// Somebody's message, which carries its op in the clear; 0: it is encrypted.
    #[serde(rename = "m")]
    Message(u64, u64),
    /// The device's own message.
    #[serde(rename = "o")]
    Own(u64),
    /// A commit made in this epoch.
    #[serde(rename = "c")]
    Commit(u64, u64),
    /// A proposal or another handshake.
    #[serde(rename = "h")]
    Other(u64),
    /// Nothing from the first to the second seq, and the device is told so.
    #[serde(rename = "s")]
    Skipped(u64, u64),
}

impl Item {
    /// First and last seq.
    pub(crate) fn range(self) -> (u64, u64) {
        match self {
            Self::Message(seq, _) | Self::Own(seq) | Self::Commit(seq, _) | Self::Other(seq) => (seq, seq),
            Self::Skipped(from, to) => (from, to),
        }
    }
}

/// How a promise can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    /// Acknowledged, and somebody entitled never gets it.
    Lost,
    /// One message, two effects.
    DuplicateEffect,
    /// Delivered, and nobody sent it.
    Phantom,
    /// Out of order: of a connection, of a sender, or of real time.
    Reorder,
    /// A hole in a log that nobody was told of.
    GapUnannounced,
    /// Given to somebody outside their window.
    Leak,
    /// Two commits for one epoch, or two messages for one place: members see different worlds.
    Fork,
    /// A commit that some of those concerned can never see.
    Torn,
    /// Acknowledged before it was durable.
    EarlyAck,
    /// Given to a device after its revocation.
    LateEvent,
}

impl Class {
    /// All of them, in the order of the last line.
    pub(crate) const ALL: [Self; 10] = [
        Self::Lost,
        Self::DuplicateEffect,
        Self::Phantom,
        Self::Reorder,
        Self::GapUnannounced,
        Self::Leak,
        Self::Fork,
        Self::Torn,
        Self::EarlyAck,
        Self::LateEvent,
    ];

    /// As it stands in the last line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::DuplicateEffect => "duplicate_effect",
            Self::Phantom => "phantom",
            Self::Reorder => "reorder",
            Self::GapUnannounced => "gap_unannounced",
            Self::Leak => "leak",
            Self::Fork => "fork",
            Self::Torn => "torn",
            Self::EarlyAck => "early_ack",
            Self::LateEvent => "late_event",
        }
    }
}
