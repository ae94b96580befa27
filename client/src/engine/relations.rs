//! How this account stands to others: the server's list, kept in the vault, and what follows from it here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use sovereign_proto::v1::{self, set_relation_request::Target};

use super::{Engine, Work, ephemeral::HeardSignal, people::unknown, records::GroupRecord};
use crate::{
    connection::ConnectionState,
    error::Error,
    event::Event,
    model::{Contact, Relation},
    vault::Space,
};

/// Pages of relations that are read in one go.
const PAGES_MAX: usize = 64;
/// How long a connection that is being made is waited for where one can do without.
const MOMENT: Duration = Duration::from_millis(750);
/// Where acceptances stand that the server does not have yet.
const ACCEPTING: &[u8] = b"accepting";

/// The own side of a relation; strangers have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContactRecord {
    account_id: [u8; 16],
    /// As the server says it, for accounts that were never looked at.
    username: String,
    relation: Relation,
    since_ms: u64,
}

/// What is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Of a person: with all their groups.
    Of([u8; 16]),
    /// To be in a group, whoever it was that added this account.
    In([u8; 32]),
}

impl Engine {
    /// Every relation, by name. What the server says where it can be asked, else what is known.
    pub(crate) async fn contacts(self: &Arc<Self>) -> Result<Vec<Contact>, Error> {
        if self.is_live() {
            match self.list_relations().await {
                Err(error) if !error.passes() => return Err(error),
                _ => {}
            }
        }
        self.run(|work| {
            let records = work.tx.all::<ContactRecord>(Space::Contact)?;
            let mut contacts = records.into_iter().map(|record| work.contact(record)).collect::<Result<Vec<_>, _>>()?;
            contacts.sort_unstable_by(|a, b| (&a.username, a.account_id).cmp(&(&b.username, b.account_id)));
            Ok(contacts)
        })
    }

    /// Changes the own side of the relation to somebody.
    pub(crate) async fn relate(self: &Arc<Self>, name: &str, change: v1::RelationChange) -> Result<(), Error> {
        let account = self.contact_called(name).await?;
        if account == self.run(|work| Ok(work.me().account))? {
            return Err(Error::Usage("that is you".to_owned()));
        }
        let target = || Target::AccountId(account.to_vec().into());
        let answer = self.patiently(|| self.set_relation(target(), change)).await.map_err(|error| unknown(name, error))?;
        self.run(|work| work.related(account, answer))?;
        // Groups of just the two may be requests again.
        if change == v1::RelationChange::Remove { self.list_groups().await } else { Ok(()) }
    }

    /// Reads the whole list.
    pub(crate) async fn list_relations(self: &Arc<Self>) -> Result<(), Error> {
        let (mut contacts, mut after) = (Vec::new(), bytes::Bytes::new());
        for _ in 0..PAGES_MAX {
            let page = self.call(v1::ListRelationsRequest { after_account_id: after }).await?;
            contacts.extend(page.contacts);
            match contacts.last() {
                Some(last) if page.more => after = last.account_id.clone(),
                _ => break,
            }
        }
        self.run(|work| work.take_list(&contacts))
    }

    /// The server says that relations have changed.
    pub(super) async fn on_relations(self: &Arc<Self>, changed: v1::RelationChanged) -> Result<(), Error> {
        self.run(|work| changed.contacts.iter().try_for_each(|contact| work.take_contact(contact)))?;
        if changed.more {
            self.list_relations().await?;
        }
        // Who may be seen has changed with it.
        self.refresh_watch();
        let strangers = changed.contacts.iter().any(|contact| contact.relation() == v1::Relation::Unspecified);
        if changed.more || strangers { self.list_groups().await } else { Ok(()) }
    }

    /// Tells the server now, if it can be told, whom this account has accepted; else when there is a connection.
    pub(crate) async fn accept_soon(self: &Arc<Self>) {
        if self.is_live()
            && let Err(error) = self.accept_all().await
        {
            tracing::debug!(%error, "an acceptance was not taken");
        }
    }

    /// Tells the server whom this account has accepted.
    pub(super) async fn accept_all(self: &Arc<Self>) -> Result<(), Error> {
        while let Some(request) = self.run(|work| Ok(work.accepting()?.into_iter().next()))? {
            let target = match &request {
                Request::Of(account) => Target::AccountId(account.to_vec().into()),
                Request::In(group) => Target::GroupId(group.to_vec().into()),
            };
            let answer = self.set_relation(target, v1::RelationChange::Accept).await;
            if answer.as_ref().is_err_and(Error::passes) {
                return answer.map(drop);
            }
            self.run(|work| {
                let mut accepting = work.accepting()?;
                accepting.retain(|other| *other != request);
                work.tx.put(Space::Meta, ACCEPTING, &accepting)?;
                match (&request, &answer) {
                    (Request::Of(account), Ok(relation)) => work.related(*account, *relation),
                    (Request::In(group), Ok(_)) => work.group_accepted(group),
                    // Nobody is there any more to be accepted.
                    (_, Err(_)) => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    async fn set_relation(&self, target: Target, change: v1::RelationChange) -> Result<Relation, Error> {
        let request = v1::SetRelationRequest { target: Some(target), change: change.into() };
        Ok(of_wire(self.call(request).await?.relation()))
    }

    /// Somebody of the list, or of the directory.
    async fn contact_called(self: &Arc<Self>, name: &str) -> Result<[u8; 16], Error> {
        let wanted = name.trim().to_lowercase();
        let known = self.run(|work| {
            for record in work.tx.all::<ContactRecord>(Space::Contact)? {
                let contact = work.contact(record)?;
                if contact.username == wanted {
                    return Ok(Some(contact.account_id));
                }
            }
            Ok(None)
        })?;
        match known {
            Some(account) => Ok(account),
            None => self.resolve(&[wanted]).await?.first().copied().ok_or_else(|| Error::NotFound("nobody".to_owned())),
        }
    }

    /// Whether there is a connection. One that is being made is waited for a moment.
    pub(super) async fn is_live_soon(&self) -> bool {
        let mut state = self.state();
        let decided = state.wait_for(|(state, _)| {
            matches!(state, ConnectionState::Live | ConnectionState::Backoff { .. } | ConnectionState::Stopped)
        });
        // A person's message must not wait here for long: it is not in the outbox yet.
        drop(tokio::time::timeout(MOMENT, decided).await);
        self.is_live()
    }

    pub(super) fn is_live(&self) -> bool {
        self.state.borrow().0 == ConnectionState::Live
    }
}

impl Work<'_> {
    /// How this account stands to another one.
    pub(crate) fn relation(&self, account: &[u8; 16]) -> Result<Relation, Error> {
        Ok(self.tx.get::<ContactRecord>(Space::Contact, account)?.map_or(Relation::None, |record| record.relation))
    }

    /// To speak to these people is to accept them. Nothing is said to those whom this account has blocked. Whether there
    /// is anybody to accept.
    pub(crate) fn accept_people(&mut self, accounts: &[[u8; 16]]) -> Result<bool, Error> {
        let mut any = false;
        for account in accounts {
            match self.relation(account)? {
                Relation::Request => {
                    self.accept(Request::Of(*account))?;
                    any = true;
                }
                Relation::Blocked => {
                    let name = self.name_of(account)?;
                    return Err(Error::Usage(format!("you have blocked {name}: remove the contact first")));
                }
                Relation::None | Relation::Requested | Relation::Accepted => {}
            }
        }
        Ok(any)
    }

    /// To speak in a group is to accept it; where it is of two, the other one. Whether there is anything to accept.
    pub(crate) fn accept_group(&mut self, record: &GroupRecord) -> Result<bool, Error> {
        match record.added_by {
            _ if !record.request => return Ok(false),
            Some(by) if self.is_of_two(record, &by)? => self.accept(Request::Of(by))?,
            _ => self.accept(Request::In(record.id))?,
        }
        Ok(true)
    }

    /// Notes an acceptance for [`Engine::accept_soon`].
    fn accept(&mut self, request: Request) -> Result<(), Error> {
        let mut accepting = self.accepting()?;
        if !accepting.contains(&request) {
            accepting.push(request);
            self.tx.put(Space::Meta, ACCEPTING, &accepting)?;
        }
        Ok(())
    }

    /// Whether what this account says there is not shown: this account has blocked it, and nobody else is there.
    pub(crate) fn is_hidden(&mut self, record: &GroupRecord, account: &[u8; 16]) -> Result<bool, Error> {
        Ok(self.relation(account)? == Relation::Blocked && self.is_of_two(record, account)?)
    }

    /// Whether a signal counts: not from somebody this account has blocked, nor where it has accepted nobody yet.
    pub(super) fn is_heard(&self, signal: &HeardSignal) -> Result<bool, Error> {
        let request = self.group(&signal.group)?.is_none_or(|group| group.request);
        Ok(!request && self.relation(&signal.from.account)? != Relation::Blocked)
    }

    /// Accounts with whom both have accepted.
    pub(super) fn accepted_people(&self) -> Result<Vec<[u8; 16]>, Error> {
        let records = self.tx.all::<ContactRecord>(Space::Contact)?;
        Ok(records.into_iter().filter(|record| record.relation == Relation::Accepted).map(|record| record.account_id).collect())
    }

    /// The own side is this now.
    fn related(&mut self, account: [u8; 16], relation: Relation) -> Result<(), Error> {
        let known: Option<ContactRecord> = self.tx.get(Space::Contact, &account)?;
        let (username, since_ms) = match known {
            Some(known) if known.relation == relation => (known.username, known.since_ms),
            Some(known) => (known.username, self.now),
            None => (self.name_of(&account)?, self.now),
        };
        self.take(ContactRecord { account_id: account, username, relation, since_ms })
    }

    fn take_contact(&mut self, contact: &v1::Contact) -> Result<(), Error> {
        let Ok(account_id) = contact.account_id.as_ref().try_into() else { return Ok(()) };
        let (username, relation) = (contact.username.clone(), of_wire(contact.relation()));
        self.take(ContactRecord { account_id, username, relation, since_ms: contact.since_ms })
    }

    /// The whole list: who is not in it is a stranger again.
    fn take_list(&mut self, contacts: &[v1::Contact]) -> Result<(), Error> {
        let listed: BTreeSet<&[u8]> = contacts.iter().map(|contact| contact.account_id.as_ref()).collect();
        for record in self.tx.all::<ContactRecord>(Space::Contact)? {
            if !listed.contains(record.account_id.as_slice()) {
                self.take(ContactRecord { relation: Relation::None, ..record })?;
            }
        }
        contacts.iter().try_for_each(|contact| self.take_contact(contact))
    }

    fn take(&mut self, record: ContactRecord) -> Result<(), Error> {
        let before: Option<ContactRecord> = self.tx.get(Space::Contact, &record.account_id)?;
        if before.as_ref() == Some(&record) || (before.is_none() && record.relation == Relation::None) {
            return Ok(());
        }
        if record.relation == Relation::None {
            self.tx.remove(Space::Contact, &record.account_id)?;
        } else {
            self.tx.put(Space::Contact, &record.account_id, &record)?;
        }
        if record.relation == Relation::Accepted {
            for mut group in self.all_groups()?.into_iter().filter(|group| group.added_by == Some(record.account_id)) {
                group.request = false;
                self.put_group(&group)?;
            }
        }
        if before.is_none_or(|before| before.relation != record.relation) {
            let contact = self.contact(record)?;
            self.effects.events.push(Event::Contact(contact));
        }
        Ok(())
    }

    fn group_accepted(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let Some(mut record) = self.group(id)? else { return Ok(()) };
        record.request = false;
        self.put_group(&record)
    }

    fn contact(&self, record: ContactRecord) -> Result<Contact, Error> {
        let ContactRecord { account_id, username, relation, since_ms } = record;
        let username = self.pin(&account_id)?.map_or(username, |pin| pin.username);
        Ok(Contact { username, account_id, relation, since_ms })
    }

    fn accepting(&self) -> Result<Vec<Request>, Error> {
        Ok(self.tx.get(Space::Meta, ACCEPTING)?.unwrap_or_default())
    }

    /// Whether nobody but this account and that one is in a group.
    fn is_of_two(&mut self, record: &GroupRecord, other: &[u8; 16]) -> Result<bool, Error> {
        let me = self.me().account;
        let active = record.stage == super::Stage::Active;
        Ok(active
            && self
                .look(&record.id, |group| group.leaves().iter().all(|leaf| leaf.of.account == me || leaf.of.account == *other))?)
    }
}

fn of_wire(relation: v1::Relation) -> Relation {
    match relation {
        v1::Relation::Unspecified => Relation::None,
        v1::Relation::Requested => Relation::Requested,
        v1::Relation::Request => Relation::Request,
        v1::Relation::Accepted => Relation::Accepted,
        v1::Relation::Blocked => Relation::Blocked,
    }
}
