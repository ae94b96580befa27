//! Presence: what this device shows, and what the server tells of everybody it shares a group with. In memory only, but
//! for the choice to be away.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sovereign_proto::v1::{self, PresenceState};

use super::{Engine, Work, lock, records::Stage};
use crate::{
    error::Error,
    event::Event,
    model::{Availability, Presence},
    vault::Space,
};

/// Accounts that one connection watches: the server takes no more.
const WATCHED_MAX: usize = 512;
/// Groups whose members are read in one transaction: others wait for it.
const GROUPS_AT_ONCE: usize = 16;
/// Whether this device shows itself away.
const AWAY: &[u8] = b"away";

/// What is known of others.
#[derive(Default)]
pub(super) struct Attendance {
    /// Members by group, read once and forgotten when the group changes.
    members: HashMap<[u8; 32], Vec<[u8; 16]>>,
    /// The accounts that were asked about last.
    watched: BTreeSet<[u8; 16]>,
    /// With the number it was told under on this connection.
    known: HashMap<[u8; 16], (u64, Presence)>,
    /// A watch list is on its way, and whether another one has to follow it.
    refreshing: Option<bool>,
}

impl Attendance {
    /// A new connection numbers anew.
    fn restart(&mut self) {
        self.known.values_mut().for_each(|(number, _)| *number = 0);
    }

    /// Takes a state, unless a newer one is known; whether it is another than before.
    fn take(&mut self, account: [u8; 16], number: u64, presence: Presence) -> bool {
        if !self.watched.contains(&account) {
            return false;
        }
        let known = self.known.entry(account).or_insert((0, Presence::Offline { last_seen_ms: None }));
        if number < known.0 {
            return false;
        }
        std::mem::replace(known, (number, presence)).1 != presence
    }
}

impl Engine {
    /// Shows this account as available or away by this device, or hides it everywhere.
    pub(crate) async fn set_availability(self: &Arc<Self>, availability: Availability) -> Result<(), Error> {
        let hidden = availability == Availability::Hidden;
        self.run(|work| Ok(work.tx.put(Space::Meta, AWAY, &(availability == Availability::Away))?))?;
        let privacy = v1::SetPrivacyRequest { hide_presence: Some(hidden), hide_receipts: None };
        self.patiently(|| self.call(privacy)).await?;
        self.patiently(|| self.show()).await
    }

    /// Everybody whom this device shares a group with, as they are now.
    pub(crate) async fn presence(self: &Arc<Self>) -> Result<Vec<(String, [u8; 16], Presence)>, Error> {
        self.patiently(|| self.watch()).await?;
        let known: Vec<([u8; 16], Presence)> = {
            let attendance = lock(&self.attendance);
            let state = |account: &[u8; 16]| attendance.known.get(account).map(|(_, presence)| *presence);
            let nothing = Presence::Offline { last_seen_ms: None };
            attendance.watched.iter().map(|account| (*account, state(account).unwrap_or(nothing))).collect()
        };
        let mut named = self.run(|work| {
            known
                .iter()
                .map(|(account, presence)| Ok((work.name_of(account)?, *account, *presence)))
                .collect::<Result<Vec<_>, Error>>()
        })?;
        named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(named)
    }

    /// The connection is authenticated: whoever comes back shows itself at once, so that nobody sees it go.
    pub(super) fn appear(self: &Arc<Self>) {
        lock(&self.attendance).restart();
        let engine = Arc::clone(self);
        self.spawn(async move {
            if let Err(error) = engine.show().await {
                tracing::debug!(%error, "this device does not show itself");
            }
        });
    }

    /// These groups have other members than before.
    pub(super) fn members_changed(self: &Arc<Self>, groups: &[[u8; 32]]) {
        let mut attendance = lock(&self.attendance);
        groups.iter().for_each(|group| _ = attendance.members.remove(group));
        drop(attendance);
        self.refresh_watch();
    }

    /// Tells the server whom to watch, once it can be told. Calls that come meanwhile are answered by one more list.
    pub(super) fn refresh_watch(self: &Arc<Self>) {
        let mut attendance = lock(&self.attendance);
        if let Some(again) = &mut attendance.refreshing {
            *again = true;
            return;
        }
        attendance.refreshing = Some(false);
        drop(attendance);
        let engine = Arc::clone(self);
        self.spawn(async move {
            loop {
                let result = match engine.until_live().await {
                    Ok(()) => engine.watch().await,
                    Err(error) => Err(error),
                };
                let mut attendance = lock(&engine.attendance);
                if attendance.refreshing != Some(true) {
                    attendance.refreshing = None;
                    // The next sign-in tries again.
                    return result.unwrap_or_else(|error| tracing::debug!(%error, "nobody is watched"));
                }
                attendance.refreshing = Some(false);
            }
        });
    }

    /// Watched accounts have another presence than before.
    pub(super) fn on_presence(self: &Arc<Self>, changed: &v1::PresenceChanged) -> Result<(), Error> {
        let news = {
            let mut attendance = lock(&self.attendance);
            let told = changed.accounts.iter().filter_map(state_of);
            told.filter(|(account, presence)| attendance.take(*account, changed.number, *presence)).collect()
        };
        self.tell_presence(news)
    }

    async fn show(self: &Arc<Self>) -> Result<(), Error> {
        let away = self.run(|work| Ok(work.tx.get::<bool>(Space::Meta, AWAY)?))?.unwrap_or(false);
        let state = if away { PresenceState::Away } else { PresenceState::Online };
        self.call(v1::SetPresenceRequest { state: state.into() }).await.map(drop)
    }

    async fn watch(self: &Arc<Self>) -> Result<(), Error> {
        let _one_at_a_time = self.watching.lock().await;
        let people = self.people()?;
        let account_ids = people.iter().map(|account| account.to_vec().into()).collect();
        {
            let mut attendance = lock(&self.attendance);
            attendance.known.retain(|account, _| people.contains(account));
            attendance.watched = people;
        }
        let answer = self.call(v1::WatchPresenceRequest { account_ids }).await?;
        let told: HashMap<[u8; 16], Presence> = answer.accounts.iter().filter_map(state_of).collect();
        let news = {
            let mut attendance = lock(&self.attendance);
            let nothing = Presence::Offline { last_seen_ms: None };
            let all: Vec<_> =
                attendance.watched.iter().map(|account| (*account, told.get(account).copied().unwrap_or(nothing))).collect();
            all.into_iter().filter(|(account, presence)| attendance.take(*account, answer.number, *presence)).collect()
        };
        self.tell_presence(news)
    }

    /// Everybody whom this device shares a group with, groups without a name first: conversations of two are among them.
    fn people(self: &Arc<Self>) -> Result<BTreeSet<[u8; 16]>, Error> {
        let (me, groups) = self.run(|work| {
            let mut groups = work.all_groups()?;
            groups.retain(|record| record.stage == Stage::Active && !record.leaving);
            groups.sort_unstable_by_key(|record| record.name.is_some());
            Ok((work.me().account, groups.into_iter().map(|record| record.id).collect::<Vec<_>>()))
        })?;
        let mut people: BTreeSet<[u8; 16]> = self.run(|work| work.accepted_people())?.into_iter().collect();
        for some in groups.chunks(GROUPS_AT_ONCE) {
            let unknown: Vec<[u8; 32]> = {
                let attendance = lock(&self.attendance);
                some.iter().copied().filter(|group| !attendance.members.contains_key(group)).collect()
            };
            let read = self.run(|work| {
                unknown.into_iter().map(|group| Ok((group, work.accounts_in(&group)?))).collect::<Result<Vec<_>, Error>>()
            })?;
            let mut attendance = lock(&self.attendance);
            attendance.members.extend(read);
            people.extend(
                some.iter().filter_map(|group| attendance.members.get(group)).flatten().filter(|account| **account != me),
            );
            if people.len() >= WATCHED_MAX {
                break;
            }
        }
        Ok(people.into_iter().take(WATCHED_MAX).collect())
    }

    fn tell_presence(self: &Arc<Self>, news: Vec<([u8; 16], Presence)>) -> Result<(), Error> {
        if news.is_empty() {
            return Ok(());
        }
        self.run(|work| {
            for (account, presence) in news {
                let username = work.name_of(&account)?;
                work.effects.events.push(Event::Presence { account, username, presence });
            }
            Ok(())
        })
    }
}

impl Work<'_> {
    /// The accounts with a leaf in the group.
    fn accounts_in(&mut self, group: &[u8; 32]) -> Result<Vec<[u8; 16]>, Error> {
        let mut accounts: Vec<[u8; 16]> =
            self.look(group, |group| group.leaves().iter().map(|leaf| leaf.of.account).collect())?;
        accounts.sort_unstable();
        accounts.dedup();
        Ok(accounts)
    }
}

fn state_of(told: &v1::AccountPresence) -> Option<([u8; 16], Presence)> {
    let account = told.account_id.as_ref().try_into().ok()?;
    let presence = match told.state() {
        PresenceState::Online => Presence::Online,
        PresenceState::Away => Presence::Away,
        PresenceState::Offline | PresenceState::Unspecified => {
            Presence::Offline { last_seen_ms: (told.last_seen_ms != 0).then_some(told.last_seen_ms) }
        }
    };
    Some((account, presence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_state_does_not_replace_a_newer_one() {
        let mut attendance = Attendance { watched: BTreeSet::from([[1; 16]]), ..Attendance::default() };
        assert!(attendance.take([1; 16], 5, Presence::Online));
        assert!(!attendance.take([1; 16], 4, Presence::Away), "an answer that was overtaken");
        assert!(!attendance.take([1; 16], 6, Presence::Online), "nothing new");
        assert!(!attendance.take([2; 16], 7, Presence::Online), "nobody asked");
        attendance.restart();
        assert!(attendance.take([1; 16], 1, Presence::Away), "a new connection counts from the start");
    }
}
