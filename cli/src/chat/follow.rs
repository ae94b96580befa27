//! The stream behind the screen: everything that is known, and whatever happens from then on.
//!
//! It takes nothing out of the inbox: what a person was shown is said by `Ask::Shown` alone, and other listeners of the
//! home get theirs as ever.

use std::collections::{HashMap, HashSet};

use sovereign_client::{Client, Event as Happening};
use tokio::sync::broadcast::error::RecvError;

use super::ask::FOLLOWED;
use crate::{
    agent::{Stopping, stop_asked},
    client::{self, StateOf},
    event::Event,
    exit::Exit,
    output::Output,
};

/// Texts of one outbox that are shown.
const QUEUED_MAX: usize = 500;

/// Runs until stopping is asked for, or the client is closed.
pub(super) async fn follow(client: &Client, output: &mut impl Output, mut stopping: Stopping) -> Result<(), Exit> {
    let mut happenings = client.events();
    let mut state = StateOf::new(client);
    let mut follower = Follower { client, output, unsettled: HashSet::new() };
    follower.snapshot(state.event()).await?;
    // Asks the server, which may take its time, or not be there.
    let mut asked = Box::pin(people(client));
    let mut asking = true;
    loop {
        tokio::select! {
            () = stop_asked(&mut stopping) => return Ok(()),
            happening = happenings.recv() => match happening {
                Ok(happening) => follower.take(happening).await?,
                // What was missed stands in the vault.
                Err(RecvError::Lagged(_)) => {
                    follower.snapshot(state.event()).await?;
                    (asked, asking) = (Box::pin(people(client)), true);
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            event = state.changed() => follower.output.emit(vec![event]).await?,
            events = &mut asked, if asking => {
                asking = false;
                follower.output.emit(events).await?;
            }
        }
    }
}

/// How one stands to others, and who of them is there. What cannot be asked now is told when it changes.
async fn people(client: &Client) -> Vec<Event> {
    let mut events: Vec<Event> = client.contacts().await.unwrap_or_default().iter().map(client::contact).collect();
    let there = client.presence().await.unwrap_or_default();
    events.extend(there.into_iter().map(|(username, _, presence)| client::presence(username, presence)));
    events
}

struct Follower<'a, O> {
    client: &'a Client,
    output: &'a mut O,
    /// Groups of which somebody's name was not known when they were told, and those that are requests.
    unsettled: HashSet<[u8; 32]>,
}

impl<O: Output> Follower<'_, O> {
    /// Each conversation with its newest message, what waits in its outbox, and how much is new.
    async fn snapshot(&mut self, state: Event) -> Result<(), Exit> {
        let failed = |error| client::exit(&error);
        let account = self.client.account();
        let head = Event::Account {
            username: account.username,
            account_id: client::hex(&account.account_id),
            device_id: client::hex(&account.device_id),
            pending: false,
        };
        self.output.emit(vec![head, state]).await?;
        let unread: HashMap<[u8; 32], u64> = self.client.unread().await.map_err(failed)?.into_iter().collect();
        for group in self.client.groups().await.map_err(failed)? {
            let mut events = vec![self.row(&group)];
            let newest = self.client.history(group.id, 1).await.map_err(failed)?;
            events.extend(newest.iter().map(|message| client::message(message, "")));
            for queued in self.client.outbox(group.id, QUEUED_MAX).await.map_err(failed)? {
                let (group, client_id) = (client::hex(&queued.group), client::hex(&queued.client_id));
                events.push(Event::Queued { group, client_id, text: queued.text });
            }
            let count = unread.get(&group.id).copied().unwrap_or(0);
            events.push(Event::Unread { group: client::hex(&group.id), count });
            self.output.emit(events).await?;
        }
        let end = Event::Done { verb: FOLLOWED.to_owned(), group: None, device: None };
        Ok(self.output.emit(vec![end]).await?)
    }

    async fn take(&mut self, happening: Happening) -> Result<(), Exit> {
        let changed = match &happening {
            Happening::Joined { group }
            | Happening::Left { group }
            | Happening::Renamed { group, .. }
            | Happening::MembersChanged { group, .. }
            | Happening::Reset { successor: group, .. } => Some(*group),
            _ => None,
        };
        let mut events = Vec::new();
        // Names are learned, and requests accepted, without a word about the group.
        let tells = matches!(happening, Happening::Message(_) | Happening::Accepted { .. } | Happening::Contact(_));
        if changed.is_some() || (tells && !self.unsettled.is_empty()) {
            let groups = self.client.groups().await.map_err(|error| client::exit(&error))?;
            let again = |id: &[u8; 32]| changed.as_ref() == Some(id) || self.unsettled.contains(id);
            let again: Vec<_> = groups.iter().filter(|group| again(&group.id)).collect();
            events.extend(again.into_iter().map(|group| self.row(group)));
        }
        events.extend(self.event(happening).await?);
        if events.is_empty() { Ok(()) } else { Ok(self.output.emit(events).await?) }
    }

    async fn event(&mut self, happening: Happening) -> Result<Option<Event>, Exit> {
        Ok(match happening {
            Happening::Message(message) => Some(client::message(&message, "")),
            Happening::Accepted { client_id, message } => Some(Event::Accepted {
                group: client::hex(&message.group),
                client_id: client::hex(&client_id),
                seq: message.seq,
                text: message.text,
                time_ms: message.time_ms,
            }),
            other => {
                let names = client::names_in(self.client, &other).await?;
                client::happening(other, |account| names.get(account).cloned().unwrap_or_else(|| client::hex(account)))
            }
        })
    }

    fn row(&mut self, group: &sovereign_client::GroupInfo) -> Event {
        let unnamed = group.members.iter().any(|member| member.username == client::hex(&member.account_id));
        if unnamed || group.request {
            self.unsettled.insert(group.id)
        } else {
            self.unsettled.remove(&group.id)
        };
        client::group(group, &self.client.account().username)
    }
}
