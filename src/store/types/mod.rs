//! What goes into the store's verbs and what comes out: plain values, no rows, no SQL. One file for each area.

mod accounts;
mod copies;
mod groups;
mod handshakes;
mod key_packages;
mod log;
mod manifests;
mod messages;
mod notices;
mod overview;
mod presence;
mod relations;
mod revivals;
mod sessions;

pub use self::{
    accounts::{Account, Applicant, Device, DeviceState, EnrolOutcome, Invite, InviteUse, NewAccount, NewDevice, SignUpOutcome},
    copies::{CopyCounts, CopyState, Inspection},
    groups::{ConfirmOutcome, CreateOutcome, GroupState, GroupSummary, Membership, NewGroup, ResetOutcome, Verdict},
    handshakes::{CommitOutcome, CommitPlan, ProposeOutcome},
    key_packages::{ClaimOutcome, ClaimedPackage, NewClaim, NewKeyPackage, PublishKeyPackagesOutcome, Stock},
    log::{Item, LogPosition, Page, SenderRef, SkipReason, StoredEntry},
    manifests::{NewManifest, PublishOutcome},
    messages::{Append, AppendOutcome, NewMessage, Quota},
    notices::{NewNotice, NoticeOutcome, NoticeStep},
    overview::{AccountOverview, Census, Deletion, DeviceOverview, DiskUse, RevokeOutcome},
    presence::{Movement, Movements, Privacy, PrivacyChange, Receipt, Seen},
    relations::{Contact, Relation, RelationChange, RelationChanged, SetRelationOutcome},
    revivals::{Revival, ReviveOutcome, Revived},
    sessions::{Arrival, NewToken, RotateOutcome, SignInOutcome, SignedIn},
};

/// Why a verb was not carried out although nothing was wrong with what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Too much waits to be written; nothing was written. Try again shortly.
    Busy,
    /// The write-ahead log is too long, because a reader keeps it from being written anew; nothing was written. Try again.
    LogLong,
    /// The disk is nearly full; only acknowledgements and deletions are taken. Nothing was written.
    DiskLow,
    /// This one read failed, and the next may fare better.
    Unread,
    /// The engine failed; the process is about to end (exit 74) and nothing more is acknowledged. Or, while
    /// [`super::Store::failed`] stays silent: this one verb met a contradiction and was taken back.
    Failed,
}

impl StoreError {
    /// Nothing was written, and the next try may fare better.
    pub(super) fn is_for_now(self) -> bool {
        matches!(self, Self::Busy | Self::LogLong | Self::DiskLow)
    }
}

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];
