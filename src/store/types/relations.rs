//! How accounts stand to each other.

use crate::{clock::UnixMs, ids::AccountId};

/// How an account stands to another one, in its own eyes. Strangers have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It has written first, and was not accepted yet.
    Requested = 1,
    /// The other one has written first, and waits to be accepted.
    Request = 2,
    /// It wants to hear from the other one.
    Accepted = 3,
    /// It looks unknown to the other one.
    Blocked = 4,
}

/// What an account makes of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationChange {
    /// Hear from the other one.
    Accept,
    /// Look unknown to the other one.
    Block,
    /// Be strangers.
    Remove,
}

/// The other end of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Whom it is about.
    pub account_id: AccountId,
    /// Its name.
    pub username: String,
    /// `None`: strangers.
    pub relation: Option<Relation>,
    /// Since when.
    pub since: UnixMs,
}

/// A relation that is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationChanged {
    /// In whose eyes.
    pub of: AccountId,
    /// To whom, and what it is now.
    pub contact: Contact,
}

/// How changing a relation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetRelationOutcome {
    /// It is what was asked for, as far as this side decides.
    Set {
        /// The own side now.
        relation: Option<Relation>,
        /// Both sides, as far as they have changed.
        changed: Vec<RelationChanged>,
    },
    /// The other account does not exist, or may not be seen.
    NotFound,
    /// The account has as many relations as it may.
    TooMany,
}
