//! What accounts show of themselves.

use std::collections::BTreeMap;

use crate::{
    clock::UnixMs,
    ids::{AccountId, GroupId, Seq},
};

/// An account that the asking one may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose.
    pub account: AccountId,
    /// It shows its presence to nobody.
    pub hidden: bool,
    /// When it was last there, coarse; 0: never.
    pub last_there: UnixMs,
}

/// What an account keeps from others. Of a change, `None` leaves as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivacyChange {
    /// Presence and last seen.
    pub hide_presence: Option<bool>,
    /// How far it has received and read; it is not told of others either.
    pub hide_receipts: Option<bool>,
}

/// The same as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Presence and last seen.
    pub hide_presence: bool,
    /// How far it has received and read; it is not told of others either.
    pub hide_receipts: bool,
    /// When it was last there, coarse; 0: never.
    pub last_there: UnixMs,
}

/// How far a member account has got in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub account: AccountId,
    /// The furthest durable cursor of its devices; 0: nothing yet.
    pub delivered: Seq,
    /// Its read marker; 0: none.
    pub read: Seq,
    /// It hides its receipts, and is told none.
    pub hidden: bool,
    /// Members of whom one has blocked the other: neither is told of the other.
    pub blocked: Vec<AccountId>,
}

/// Accounts that have got further in a group, and whether one of them has read on.
pub type Movements = Vec<(GroupId, BTreeMap<AccountId, Movement>)>;

/// What moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    /// The read marker, and not only a cursor.
    pub read: bool,
}
