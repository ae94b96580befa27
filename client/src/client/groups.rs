//! How a client makes and changes groups.

use sovereign_proto::mls;

use super::Client;
use crate::{
    engine::{GroupRecord, IntentKind, Said, Stage},
    error::Error,
    model::{Policy, SendOptions},
};

/// Names of groups are at most this long, in bytes.
const NAME_MAX: usize = 128;

impl Client {
    /// Makes a group with a name. Resolves when everybody has been added.
    pub async fn create_group(&self, name: &str, with: &[String], policy: Policy) -> Result<[u8; 32], Error> {
        check_name(name)?;
        let mut accounts = self.engine.resolve_anew(with).await?;
        accounts.retain(|account| *account != self.account.account_id);
        let policy = match policy {
            Policy::Equal => mls::Policy::Equal,
            Policy::Administered => mls::Policy::Administered,
        };
        let (group, done) = self.make_group(Some(name.to_owned()), None, policy, accounts).await?;
        self.engine.outcome(done).await?;
        Ok(group)
    }

    /// Adds people. Resolves when the commit was accepted.
    pub async fn add(&self, group: [u8; 32], names: &[String]) -> Result<(), Error> {
        let accounts = self.engine.resolve_anew(names).await?;
        self.change(group, IntentKind::AddMembers(accounts)).await
    }

    /// Removes people with all their devices. Resolves when the commit was accepted.
    pub async fn remove(&self, group: [u8; 32], names: &[String]) -> Result<(), Error> {
        let accounts = self.engine.resolve(names).await?;
        self.change(group, IntentKind::Remove(accounts)).await
    }

    /// Renews this device's own key in the group. Resolves when the commit was accepted.
    pub async fn update(&self, group: [u8; 32]) -> Result<(), Error> {
        self.change(group, IntentKind::Update).await
    }

    /// Says who administers the group. Resolves when the commit was accepted.
    pub async fn set_roles(&self, group: [u8; 32], policy: Policy, administrators: &[String]) -> Result<(), Error> {
        let administrators = self.engine.resolve(administrators).await?;
        self.change(group, IntentKind::SetRoles { administered: policy == Policy::Administered, administrators }).await
    }

    /// Leaves a group. Resolves when the server lets this account send no more; the removal follows by another member.
    pub async fn leave(&self, group: [u8; 32]) -> Result<(), Error> {
        self.change(group, IntentKind::Leave).await
    }

    /// Replaces a group that its members have frozen by a new one with everybody who was in it. Resolves when they have
    /// been added, with the group that stands in its place: another member's, where that one was faster. What was said
    /// stays readable, and whatever is done with the old group from then on is done with the new one.
    pub async fn reset(&self, group: [u8; 32]) -> Result<[u8; 32], Error> {
        self.engine.reset(group).await
    }

    /// Names the group. Resolves when the server has the message that tells the others.
    pub async fn rename(&self, group: [u8; 32], name: &str) -> Result<(), Error> {
        check_name(name)?;
        let profile = self.engine.run(|work| {
            let current = work.current(&group)?;
            let GroupRecord { revision, replaces, .. } = work.known_group(&current)?;
            let replaces = replaces.map(|(group, _)| group);
            Ok(Said::Profile { name: name.to_owned(), revision: revision + 1, replaces })
        })?;
        self.say(group, profile, SendOptions::default()).await.map(drop)
    }

    async fn change(&self, group: [u8; 32], kind: IntentKind) -> Result<(), Error> {
        let waiter = self.engine.run(|work| {
            let group = work.current(&group)?;
            let record = work.known_group(&group)?;
            if record.stage == Stage::Left {
                return Err(Error::GroupClosed("this device is not a member any more".to_owned()));
            }
            let intent = work.intend(&group, kind, false, false)?;
            Ok(self.engine.intent_waiter(intent))
        })?;
        self.engine.outcome(waiter).await
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = !name.trim().is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Error::Usage(format!("a group's name has 1 to {NAME_MAX} bytes and no control characters"))) }
}
