//! A frozen group is replaced by a new one under the same conversation (ADR 0023). The server says which reset was the
//! first; a member says inside the encryption of the new group which one it replaces. Only where both agree does the
//! conversation go on there: neither alone can lead what people write to somewhere else.

use std::sync::Arc;

use sovereign_proto::v1;

use super::{
    Engine, Work,
    records::{GroupRecord, IntentKind, IntentRecord, Stage},
};
use crate::{
    entropy,
    error::Error,
    event::{Alarm, Event},
    mls::Leaf,
    vault::{Blob, Space},
};

/// Resets of one conversation that are followed.
const CHAIN_MAX: usize = 64;

/// How far a reset has come here.
enum Begun {
    /// Somebody's reset stands.
    Over([u8; 32]),
    /// This device is at it: the intent that adds the others.
    Running([u8; 16]),
    Not,
}

impl Engine {
    /// Replaces a frozen group by a new one with all its members. Resolves with the group that stands in its place,
    /// which is another member's where that one was faster.
    pub(crate) async fn reset(self: &Arc<Self>, old: [u8; 32]) -> Result<[u8; 32], Error> {
        let guard = self.creating.lock().await;
        self.patiently(|| self.list_groups()).await?;
        let waiter = match self.run(|work| work.reset_begun(&old))? {
            Begun::Over(successor) => return Ok(successor),
            Begun::Running(intent) => self.intent_waiter(intent),
            Begun::Not => {
                let reserved = self.patiently(|| self.call(v1::ReserveGroupRequest {})).await?;
                let malformed = |_| Error::Network("the server reserved no group of 32 bytes".to_owned());
                let id = reserved.group_id.as_ref().try_into().map_err(malformed)?;
                self.run(|work| {
                    let intent = work.begin_reset(&old, id)?;
                    Ok(self.intent_waiter(intent))
                })?
            }
        };
        drop(guard);
        self.outcome(waiter).await?;
        self.run(|work| {
            let former = work.known_group(&old)?;
            former.successor.or(former.named_successor).ok_or_else(|| Error::NotFound("the group was not reset".to_owned()))
        })
    }
}

impl Work<'_> {
    /// The group in which a conversation goes on.
    pub(crate) fn current(&self, id: &[u8; 32]) -> Result<[u8; 32], Error> {
        let mut current = *id;
        for _ in 0..CHAIN_MAX {
            let Some(next) = self.group(&current)?.and_then(|record| record.successor) else { break };
            current = next;
        }
        Ok(current)
    }

    /// The groups that a group has replaced, the latest first.
    pub(crate) fn former(&self, id: &[u8; 32]) -> Result<Vec<[u8; 32]>, Error> {
        let (mut former, mut current) = (Vec::new(), *id);
        while former.len() < CHAIN_MAX {
            let Some((old, _)) = self.group(&current)?.and_then(|record| record.replaces) else { break };
            if self.group(&old)?.is_none_or(|record| record.successor != Some(current)) {
                break;
            }
            former.push(old);
            current = old;
        }
        Ok(former)
    }

    /// The server takes nothing for this group any more.
    pub(crate) fn freeze(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        if !record.frozen {
            record.frozen = true;
            self.put_group(&record)?;
            if record.successor.is_none() && !record.restored {
                self.alarm(Some(*id), Alarm::Frozen);
            }
        }
        self.effects.wake.insert(*id);
        Ok(())
    }

    /// The server names the group in the place of another.
    pub(crate) fn named_to_succeed(&mut self, old: &[u8; 32], successor: [u8; 32]) -> Result<(), Error> {
        if let Some(mut former) = self.group(old)? {
            former.named_successor = Some(successor);
            self.put_group(&former)?;
            self.succeed(former)?;
        }
        Ok(())
    }

    /// A member of a group says that it replaces another one.
    pub(crate) fn said_to_replace(&mut self, id: &[u8; 32], old: [u8; 32], by: [u8; 16]) -> Result<(), Error> {
        let mut record = self.known_group(id)?;
        let Some(former) = self.group(&old)?.filter(|former| former.successor.is_none() && former.id != *id) else {
            return Ok(());
        };
        record.replaces = Some((old, by));
        self.put_group(&record)?;
        if former.named_successor == Some(*id) {
            return self.succeed(former);
        }
        // The server has to say so too.
        self.effects.list = true;
        Ok(())
    }

    /// Where somebody could not be added to the group in the place of a frozen one, the others are: half of them at
    /// first, and at the end everybody who can be. False: it is no such intent.
    pub(crate) fn do_without(&mut self, id: &[u8; 32], intent: &IntentRecord, error: &Error) -> Result<bool, Error> {
        let replaces = self.group(id)?.is_some_and(|record| record.replaces.is_some());
        let IntentKind::AddMembers(accounts) = &intent.kind else { return Ok(false) };
        if !replaces || !intent.first {
            return Ok(false);
        }
        if accounts.len() < 2 {
            tracing::info!(%error, "a former member could not be added");
            self.finish_intent(id, &intent.id, Ok(()))?;
            return Ok(true);
        }
        let (some, rest) = accounts.split_at(accounts.len() / 2);
        for (position, record) in self.intents(id)? {
            if record.id == intent.id {
                let kind = IntentKind::AddMembers(some.to_vec());
                self.tx.set(Space::Intent, id, position, &IntentRecord { kind, claim: Some(entropy::random()), ..record })?;
            }
        }
        self.intend(id, IntentKind::AddMembers(rest.to_vec()), true, false)?;
        Ok(true)
    }

    fn reset_begun(&mut self, old: &[u8; 32]) -> Result<Begun, Error> {
        let former = self.known_group(old)?;
        if let Some(successor) = former.successor.or(former.named_successor) {
            let intents = self.intents(&successor)?;
            let adding = intents.iter().find(|(_, intent)| intent.first && self.is_own_reset(&successor, old));
            return Ok(adding.map_or(Begun::Over(successor), |(_, intent)| Begun::Running(intent.id)));
        }
        if !former.frozen {
            return Err(Error::Usage("the group is not frozen: there is nothing to reset".to_owned()));
        }
        for record in self.all_groups()? {
            let intents = self.intents(&record.id)?;
            if let (true, Some((_, intent))) = (self.is_own_reset(&record.id, old), intents.first()) {
                return Ok(Begun::Running(intent.id));
            }
        }
        Ok(Begun::Not)
    }

    fn is_own_reset(&self, id: &[u8; 32], old: &[u8; 32]) -> bool {
        self.group(id).is_ok_and(|record| record.is_some_and(|record| record.replaces == Some((*old, self.me().account))))
    }

    /// A new group for the members of a frozen one, with its rules and its name.
    fn begin_reset(&mut self, old: &[u8; 32], id: [u8; 32]) -> Result<[u8; 16], Error> {
        let (former, me) = (self.known_group(old)?, self.me().account);
        let (leaves, roles) = self.look(old, |group| (group.leaves(), group.roles()))?;
        let info = self.mls.create(self.tx, &id, &roles, self.now)?;
        self.put_group(&GroupRecord {
            name: former.name,
            revision: former.revision,
            direct_key: former.direct_key,
            group_info: Some(Blob(info)),
            verified: true,
            listed_epoch: former.listed_epoch,
            replaces: Some((*old, me)),
            ..GroupRecord::new(id, Stage::Creating)
        })?;
        let mut accounts = accounts(&leaves);
        // The own account last: it is there for its other devices.
        accounts.retain(|account| *account != me);
        accounts.push(me);
        self.intend(&id, IntentKind::AddMembers(accounts), true, false)
    }

    /// Lets the conversation go on in the successor, once the server and a member agree on it.
    fn succeed(&mut self, mut former: GroupRecord) -> Result<(), Error> {
        let (old, Some(id), None) = (former.id, former.named_successor, former.successor) else { return Ok(()) };
        let Some(mut record) = self.group(&id)?.filter(|record| record.stage == Stage::Active) else { return Ok(()) };
        let Some((_, by)) = record.replaces.filter(|(replaced, _)| *replaced == old) else { return Ok(()) };
        let before = match self.look(&old, |group| (group.leaves(), group.roles())) {
            Ok(before) => before,
            // Without a state of the old group nobody is known to have been in it.
            Err(Error::Mls(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let known = accounts(&before.0);
        if !known.contains(&by) {
            return Ok(());
        }
        let (leaves, roles, epoch) = self.look(&id, |group| (group.leaves(), group.roles(), group.epoch()))?;
        former.successor = Some(id);
        former.frozen = true;
        former.restored = false;
        record.direct_key = record.direct_key.or(former.direct_key);
        if let Some(key) = record.direct_key {
            self.tx.put(Space::Direct, &key, &id)?;
        }
        self.put_group(&former)?;
        self.put_group(&record)?;
        self.effects.events.push(Event::Reset { group: old, successor: id });
        let mut added = accounts(&leaves);
        added.retain(|account| !known.contains(account));
        if !added.is_empty() {
            self.effects.events.push(Event::MembersChanged { group: id, epoch, added, removed: Vec::new() });
        }
        if roles != before.1 {
            let by = self.name_of(&by)?;
            self.alarm(Some(id), Alarm::Roles { by });
        }
        self.effects.wake.extend([old, id]);
        Ok(())
    }
}

/// Every account once.
fn accounts(leaves: &[Leaf]) -> Vec<[u8; 16]> {
    let mut accounts: Vec<_> = leaves.iter().map(|leaf| leaf.of.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}
