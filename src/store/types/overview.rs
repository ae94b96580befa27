//! What operators are told, and how their changes end.

use super::DeviceState;
use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId, GroupId},
};

/// An account as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct AccountOverview {
    /// Its id.
    pub account_id: AccountId,
    /// Normalised.
    pub username: String,
    /// Not shut out.
    pub enabled: bool,
    /// Gone for good.
    pub deleted: bool,
    /// Was made by a setup link.
    pub administrator: bool,
    /// Further devices may be enrolled with a password.
    pub has_password: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// The newest of its devices'; 0: never.
    pub last_seen: UnixMs,
    /// Devices that take part.
    pub active: u32,
    /// Devices that wait for approval.
    pub pending: u32,
    /// Of its messages that wait for others.
    pub stored_bytes: u64,
}

/// A device as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOverview {
    /// Where it stands among all devices, ascending; for the next page.
    pub place: u64,
    /// Its id.
    pub device_id: DeviceId,
    /// Of whom.
    pub username: String,
    /// What it may do.
    pub state: DeviceState,
    /// When it was enrolled.
    pub created_at: UnixMs,
    /// 0: never.
    pub last_seen: UnixMs,
    /// In stock, the last-resort one not counted.
    pub key_packages: u32,
    /// Entries of its open and draining windows that it has not acknowledged durably.
    pub undelivered: u64,
}

/// The whole store in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Not deleted.
    pub accounts: u64,
    /// Of these, shut out.
    pub accounts_disabled: u64,
    /// Devices that take part.
    pub devices_active: u64,
    /// Devices that wait for approval.
    pub devices_pending: u64,
    /// Not replaced by another one.
    pub groups: u64,
    /// A leaf has to go, or a device has to come, and nobody has committed it yet.
    pub groups_behind: u64,
    /// Wait for their reset.
    pub groups_frozen: u64,
    /// Wait, after a restore, until their members have said where they stand.
    pub groups_suspended: u64,
    /// Entries not acknowledged durably, each counted once for each device.
    pub undelivered: u64,
    /// In stock of active devices, those of last resort not counted.
    pub key_packages: u64,
    /// Active devices with fewer than they are warned for.
    pub devices_low: u64,
    /// Notices that are on their way into logs.
    pub notices_open: u64,
    /// Of messages that wait for somebody.
    pub stored_bytes: u64,
}

/// How a device's revocation by an operator ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It is out.
    Revoked {
        /// Which.
        device: DeviceId,
        /// Of whom.
        username: String,
        /// Groups in which a leaf has to be removed now.
        groups: Vec<GroupId>,
    },
    /// It was out before.
    Already,
    /// No device's id starts so.
    Unknown,
    /// Several do.
    Ambiguous,
}

/// A deleted account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Which.
    pub account: AccountId,
    /// Its devices that were not revoked yet.
    pub devices: u32,
    /// Groups in which a leaf has to be removed now.
    pub groups: Vec<GroupId>,
}

/// The disk under the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// Length of the write-ahead log's file.
    pub wal_bytes: u64,
    /// Free for this process.
    pub free_bytes: u64,
    /// Below it, what stores something is refused.
    pub reserve_bytes: u64,
}
