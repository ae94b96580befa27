//! Direct groups: the one conversation of exactly some people.
//!
//! The server keeps a direct key for its latest creator only, so two who start with each other at the same instant may
//! each make a group. Both stay readable. Everybody goes on in the same one, because everybody chooses by what all of
//! them see: unnamed, exactly these people in, and of several the one with the smallest id.

use std::collections::BTreeSet;

use super::{
    Work,
    records::{GroupRecord, IntentKind, Stage},
};
use crate::{error::Error, vault::Space};

impl Work<'_> {
    /// Where a message to exactly these accounts goes; this device's own counts as one of them. Who is missing there is
    /// added before the next message. `None`: a group has to be made.
    pub(crate) fn direct_group(&mut self, key: &[u8; 32], others: &[[u8; 16]]) -> Result<Option<[u8; 32]>, Error> {
        if let Some(common) = self.smallest_of(others)? {
            return Ok(Some(common));
        }
        let own: Option<[u8; 32]> = self.tx.get(Space::Direct, key)?;
        let Some(record) = own.map(|id| self.group(&id)).transpose()?.flatten() else { return Ok(None) };
        if record.stage == Stage::Left {
            return Ok(None);
        }
        if self.lacks(&record, others)? {
            self.intend(&record.id, IntentKind::AddMembers(others.to_vec()), true, false)?;
        }
        Ok(Some(record.id))
    }

    /// The smallest of the unnamed groups of exactly these people and oneself.
    fn smallest_of(&mut self, others: &[[u8; 16]]) -> Result<Option<[u8; 32]>, Error> {
        let me = self.me().account;
        let wanted: BTreeSet<[u8; 16]> = others.iter().copied().chain([me]).collect();
        let mut smallest: Option<[u8; 32]> = None;
        for record in self.all_groups()? {
            let open = record.stage == Stage::Active && !record.leaving && !record.frozen;
            if !open || !self.is_unnamed(&record)? || smallest.is_some_and(|smallest| smallest < record.id) {
                continue;
            }
            let leaves = self.look(&record.id, crate::mls::Group::leaves)?;
            let present: BTreeSet<[u8; 16]> = leaves.iter().map(|leaf| leaf.of.account).collect();
            if present == wanted {
                smallest = Some(record.id);
            }
        }
        Ok(smallest)
    }

    /// Whether the group is a conversation of its first members.
    pub(crate) fn is_direct(&self, record: &GroupRecord) -> Result<bool, Error> {
        Ok(record.direct_key.is_some() || self.is_unnamed(record)?)
    }

    /// It has no name. A device that came from outside may not have heard the name yet, as it may not know the log's
    /// running hash: there the server has to say which group it is.
    fn is_unnamed(&self, record: &GroupRecord) -> Result<bool, Error> {
        let invited = self.log(&record.id)?.is_some_and(|log| log.running.is_some());
        Ok(invited && record.name.is_none())
    }
}
