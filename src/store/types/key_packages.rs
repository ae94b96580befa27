//! Key packages: their stock, and the claims on it.

use super::Hash;
use crate::{
    clock::UnixMs,
    ids::{AccountId, ClaimId, DeviceId, GroupId},
};

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
    /// An account does not exist, is disabled, or has blocked the claimer.
    NotFound,
    /// More devices than one claim hands out for.
    TooLarge,
    /// The claimer has made as many claims as it may, or holds as many packages of one device as it may.
    TooMany {
        /// Milliseconds until the first of them expires.
        again_ms: u64,
    },
    /// The claimer has written to as many strangers as it may who have not accepted it.
    TooManyStrangers {
        /// Milliseconds until the first of its claims on them expires; `None`: all that counts are requests, which wait
        /// for an answer.
        again_ms: Option<u64>,
    },
    /// A stranger has as many open requests as it may, of all others or of the claimer.
    TooManyRequests,
    /// The claimer itself has blocked an account.
    Blocked,
}
