//! What happens: told to whoever listens, and never the only place where it stands.

use std::fmt;

use crate::{
    connection::{Cause, ConnectionState},
    model::{Contact, DeviceState, Message, Presence},
};

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody else, or another device of this account, said something.
    Message(Message),
    /// The server has durably accepted what this device said.
    Accepted {
        /// The id it was sent under.
        client_id: [u8; 16],
        /// What it is from now on.
        message: Message,
    },
    /// This device has come into a group.
    Joined {
        /// Which.
        group: [u8; 32],
    },
    /// This device is no member any more.
    Left {
        /// Of which.
        group: [u8; 32],
    },
    /// The group has a new name.
    Renamed {
        /// Which.
        group: [u8; 32],
        /// Its name.
        name: String,
    },
    /// The group's leaves changed.
    MembersChanged {
        /// Which.
        group: [u8; 32],
        /// The new epoch.
        epoch: u64,
        /// Account ids, once for each device.
        added: Vec<[u8; 16]>,
        /// Account ids, once for each device.
        removed: Vec<[u8; 16]>,
    },
    /// A frozen group was replaced: the conversation goes on in another one. A break that people should see.
    Reset {
        /// The frozen one. What was said there stays readable.
        group: [u8; 32],
        /// The one in its place.
        successor: [u8; 32],
    },
    /// The connection's state changed.
    State {
        /// To this.
        state: ConnectionState,
        /// Because of this.
        cause: Cause,
    },
    /// A message will never be accepted.
    SendFailed {
        /// Where it should have gone.
        group: [u8; 32],
        /// Its id.
        client_id: [u8; 16],
        /// Why.
        reason: String,
    },
    /// The server does not take what waits in a group now: its limits, its disk, or its load. Nothing is lost, and it is
    /// tried again by itself.
    Delayed {
        /// Whose messages or changes wait.
        group: [u8; 32],
        /// Why, in words for people.
        reason: String,
        /// No sooner than in so many milliseconds.
        retry_after_ms: u64,
    },
    /// Something that a person should look at: the server or somebody else does not do what it should.
    Alarm {
        /// Where; `None`: not in a group.
        group: Option<[u8; 32]>,
        /// What.
        alarm: Alarm,
    },
    /// This device was approved or revoked.
    DeviceState(DeviceState),
    /// Somebody is typing, or has stopped. Ephemeral: it is stored nowhere and may be lost.
    Typing {
        /// Where.
        group: [u8; 32],
        /// The username.
        from: String,
        /// False once it stopped, or was not renewed in time.
        active: bool,
    },
    /// An ephemeral message of a kind that an application defines.
    Signal {
        /// Where.
        group: [u8; 32],
        /// The username.
        from: String,
        /// The sender's device, which has signed it.
        from_device: [u8; 16],
        /// The application's name for it.
        kind: String,
        /// Whatever the application put there.
        payload: Vec<u8>,
    },
    /// A contact came, went, or was away.
    Presence {
        /// Whose.
        account: [u8; 16],
        /// The username.
        username: String,
        /// What is known now.
        presence: Presence,
    },
    /// How far a member has got in a group. Both numbers are seqs, only grow, and are 0 where nothing is known.
    Receipt {
        /// Where.
        group: [u8; 32],
        /// Whose.
        account: [u8; 16],
        /// The username.
        username: String,
        /// A device of the member has everything up to here, durably.
        delivered: u64,
        /// The member says to have read up to here.
        read: u64,
    },
    /// The relation to an account has changed.
    Contact(Contact),
    /// The server's operator says something to this account or to all. Not end-to-end encrypted. It stands in the inbox,
    /// too, until it is marked as shown.
    ServerNotice {
        /// What is said.
        text: String,
        /// When, in milliseconds since the Unix epoch.
        time_ms: u64,
    },
}

impl Event {
    /// The group whose leaves this event has changed.
    pub(crate) fn group_with_other_members(&self) -> Option<[u8; 32]> {
        match self {
            Self::Joined { group } | Self::Left { group } | Self::MembersChanged { group, .. } => Some(*group),
            _ => None,
        }
    }
}

/// What gave the alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The log does not continue as its running hash says; nothing of it is acknowledged any more.
    LogMismatch,
    /// A member saw another log than this device.
    SplitView {
        /// Whose message says so.
        by: String,
    },
    /// A sender's messages are missing or repeated.
    SenderCounter {
        /// Whose.
        by: String,
    },
    /// An entry could not be read by this device.
    Unreadable {
        /// Its place in the log.
        seq: u64,
    },
    /// An account's chain of manifests is forged, diverging or withheld.
    Manifest {
        /// Whose.
        account: String,
    },
    /// An account has another identity key than before.
    IdentityChanged {
        /// Whose.
        account: String,
    },
    /// A group holds a device that its account never listed.
    UnknownDevice {
        /// Whose it claims to be.
        account: String,
    },
    /// A Welcome came for secrets that this device does not have.
    UnknownWelcome,
    /// A commit broke the group's rules.
    Roles {
        /// Whose commit.
        by: String,
    },
    /// Members cannot process the group's last commit: nobody sends until one of them resets it.
    Frozen,
    /// The server was restored from a backup.
    ServerRestored,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogMismatch => f.write_str("the server's log does not continue as it must"),
            Self::SplitView { by } => write!(f, "{by} was shown another log than this device"),
            Self::SenderCounter { by } => write!(f, "messages of {by} are missing or repeated"),
            Self::Unreadable { seq } => write!(f, "entry {seq} cannot be read by this device"),
            Self::Manifest { account } => write!(f, "the device list of {account} does not hold together"),
            Self::IdentityChanged { account } => write!(f, "the identity of {account} has changed"),
            Self::UnknownDevice { account } => write!(f, "a device that {account} never listed is in the group"),
            Self::ServerRestored => f.write_str(
                "the server was restored from a backup: what was said since that was made may be missing on devices that were away",
            ),
            Self::UnknownWelcome => f.write_str("a Welcome is for secrets that this device does not have"),
            Self::Roles { by } => write!(f, "a commit of {by} breaks the group's rules"),
            Self::Frozen => {
                f.write_str("the group is frozen, because its members disagree about its state, until one of them resets it")
            }
        }
    }
}
