//! What the stream of the home and the answers of commands do to the model.

use std::collections::BTreeMap;

use super::{
    ask::{Ask, FOLLOWED, PAGE},
    conversation::{Conversation, Fate, Said},
    model::{Action, Model, Waiting},
};
use crate::{
    command::Command,
    event::Event,
    exit::{self, Exit},
};

impl Model {
    /// One event of the stream.
    pub(super) fn told(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Account { username, .. } => self.begin(username),
            Event::Done { verb, .. } if verb == FOLLOWED => self.ready = true,
            Event::State { state, cause } => {
                if state != "live" {
                    self.conversations.values_mut().for_each(|it| it.typing.clear());
                }
                (self.state, self.cause) = (state, cause);
            }
            Event::Group { group, title, members, direct, state, request, .. } => {
                let members: Vec<String> = members.into_iter().map(|member| member.name).collect();
                let conversation = self.conversation(&group);
                if !members.is_empty() {
                    conversation.members = members;
                }
                (conversation.title, conversation.direct, conversation.state) = (title, direct, state);
                conversation.request = request;
            }
            Event::Message { group, seq, from, text, time_ms, .. } => self.heard(&group, seq, Said { from, text, time_ms }),
            Event::Accepted { group, client_id, seq, text, time_ms } => self.accepted(&group, client_id, seq, text, time_ms),
            Event::Queued { group, client_id, text } => self.queued(&group, client_id, text),
            Event::Unread { group, count } => {
                self.conversation(&group).unread = count;
            }
            Event::SendFailed { group, client_id, reason } => self.failed(&group, &client_id, reason),
            Event::Typing { group, from, active } => {
                let typing = &mut self.conversation(&group).typing;
                if active {
                    typing.insert(from)
                } else {
                    typing.remove(&from)
                };
            }
            Event::Receipt { group, username, delivered, read } => {
                let known = self.conversation(&group).receipts.entry(username).or_default();
                *known = (known.0.max(delivered).max(read), known.1.max(read));
            }
            Event::Presence { username, state, last_seen_ms } => {
                self.presence.insert(username, (state, last_seen_ms));
            }
            Event::Contact { username, relation, .. } => {
                self.relations.insert(username, relation);
            }
            Event::Reset { group, successor } => self.replace(&group, &successor),
            other => self.remark(other),
        }
        Vec::new()
    }

    /// What becomes a line between the messages, or one for the person.
    fn remark(&mut self, event: Event) {
        match event {
            Event::Joined { group } => {
                self.bring_up(&group);
                self.conversation(&group).note("you are in this conversation now".to_owned());
            }
            Event::Left { group } => self.conversation(&group).note("you are not in this conversation any more".to_owned()),
            Event::Renamed { group, name } => self.conversation(&group).note(format!("it is called {name:?} now")),
            Event::Members { group, added, removed, .. } => {
                let conversation = self.conversation(&group);
                for (names, word) in [(added, "came"), (removed, "went")] {
                    if !names.is_empty() {
                        conversation.note(format!("{} {word}", names.join(", ")));
                    }
                }
            }
            Event::Alarm { group: Some(group), text } => {
                self.conversation(&group).note(format!("WARNING: {text}"));
                self.alert(format!("WARNING: {text}"));
            }
            Event::Alarm { group: None, text } => self.alert(format!("WARNING: {text}")),
            Event::Delayed { group, reason, .. } => {
                self.conversation(&group).note(format!("waiting, nothing is lost: {reason}"));
            }
            Event::DeviceState { state } => self.alert(format!("this device is {state} now")),
            Event::ServerNotice { text, .. } => {
                self.alert(format!("NOTICE OF THE SERVER (not end-to-end encrypted): {text}"));
            }
            Event::Note { text } => self.say(text),
            _ => {}
        }
    }

    /// A command has ended.
    pub(super) fn answered(&mut self, tag: u64, events: Vec<Event>, exit: Exit) -> Vec<Action> {
        let Some(waiting) = self.waiting.remove(&tag) else { return Vec::new() };
        let done = exit.code == exit::OK;
        match waiting {
            Waiting::Page { key, before } if done => self.take_page(&key, before, events),
            Waiting::Page { key, .. } => {
                // Not again by itself: the next key that scrolls asks again.
                if let Some(conversation) = self.conversations.get_mut(&key) {
                    conversation.loading.asked = false;
                    conversation.loading.newest = true;
                }
                self.alert(exit.message);
            }
            Waiting::Say { key } => self.said(&key, tag, events, exit),
            Waiting::First { key } => return self.began(&key, tag, events, &exit),
            Waiting::Shown { key, seq } => {
                if let Some(conversation) = self.conversations.get_mut(&key) {
                    conversation.noting = false;
                    conversation.shown = conversation.shown.max(seq);
                }
            }
            Waiting::Change(what) if done => {
                self.say(what);
                let told = events.iter().filter(|event| matches!(event, Event::Contact { .. })).cloned();
                told.collect::<Vec<_>>().into_iter().for_each(|event| drop(self.told(event)));
                if let Some(Event::Done { verb, group: Some(group), .. }) = events.into_iter().next_back()
                    && verb == "group create"
                {
                    self.conversation(&group);
                    self.bring_up(&group);
                    self.select(&group);
                }
            }
            Waiting::Change(_) => self.alert(exit.message),
            Waiting::Aside => events.into_iter().for_each(|event| drop(self.told(event))),
        }
        Vec::new()
    }

    /// A snapshot begins: what is known is not the newest any more.
    fn begin(&mut self, own: String) {
        self.own = own;
        self.relations.clear();
        for conversation in self.conversations.values_mut() {
            conversation.loading.newest = false;
            conversation.loading.asked = false;
            conversation.noting = false;
            conversation.typing.clear();
            conversation.unread = 0;
        }
    }

    /// A conversation goes on in another group; what is being written goes along.
    fn replace(&mut self, group: &str, successor: &str) {
        let Some(before) = self.conversations.remove(group) else { return };
        let conversation = self.conversation(successor);
        conversation.composer = before.composer;
        conversation.active_ms = conversation.active_ms.max(before.active_ms);
        conversation.note("its members disagreed about its state: it goes on in a new group from here".to_owned());
        if self.selected.as_deref() == Some(group) {
            self.selected = Some(successor.to_owned());
        }
    }

    fn heard(&mut self, group: &str, seq: u64, said: Said) {
        let live = self.ready;
        let own = said.from == self.own;
        let selected = self.selected.as_deref() == Some(group);
        let rows = self.rows_of(group);
        let conversation = self.conversation(group);
        if conversation.take(seq, said) && live && !own && seq > conversation.shown {
            if conversation.new_from.is_none() && (!selected || rows > 0) {
                conversation.new_from = Some(seq);
            }
            conversation.unread += 1;
        }
        let grown = self.rows_of(group).saturating_sub(rows);
        self.conversation(group).scroll += grown;
    }

    fn accepted(&mut self, group: &str, client_id: String, seq: u64, text: String, time_ms: u64) {
        let from = self.own.clone();
        let conversation = self.conversation(group);
        if let Some(index) = conversation.find_pending(&client_id, &text) {
            conversation.pending.remove(index);
        }
        conversation.take(seq, Said { from, text, time_ms });
        self.remember_accepted(client_id);
    }

    fn queued(&mut self, group: &str, client_id: String, text: String) {
        let tag = self.coming_tag();
        let conversation = self.conversation(group);
        if let Some(index) = conversation.find_pending(&client_id, &text) {
            let pending = &mut conversation.pending[index];
            (pending.client_id, pending.fate) = (Some(client_id), Fate::Waiting);
            return;
        }
        let pending = super::conversation::Pending { tag, client_id: Some(client_id), text, fate: Fate::Waiting };
        conversation.pending.push(pending);
    }

    fn failed(&mut self, group: &str, client_id: &str, reason: String) {
        let conversation = self.conversation(group);
        if let Some(pending) = conversation.pending.iter_mut().find(|item| item.client_id.as_deref() == Some(client_id)) {
            pending.fate = Fate::Failed(reason);
        }
    }

    fn take_page(&mut self, key: &str, before: Option<u64>, events: Vec<Event>) {
        let mut page = BTreeMap::new();
        let mut others = Vec::new();
        for event in events {
            match event {
                Event::Message { seq, from, text, time_ms, .. } => drop(page.insert(seq, Said { from, text, time_ms })),
                other => others.push(other),
            }
        }
        let own = self.own.clone();
        let Some(conversation) = self.conversations.get_mut(key) else { return };
        let full = page.len() >= PAGE;
        conversation.page(before, page, full);
        if before.is_none() && conversation.unread > 0 && conversation.new_from.is_none() {
            let unread = usize::try_from(conversation.unread).unwrap_or(usize::MAX);
            let theirs = conversation.messages.iter().rev().filter(|(_, said)| said.from != own);
            conversation.new_from = theirs.take(unread).last().map(|(seq, _)| *seq);
        }
        others.into_iter().for_each(|event| drop(self.told(event)));
    }

    /// A message stands in the outbox, or does not.
    fn said(&mut self, key: &str, tag: u64, events: Vec<Event>, exit: Exit) {
        let client_id = events.into_iter().find_map(|event| match event {
            Event::Queued { client_id, .. } => Some(client_id),
            _ => None,
        });
        let early = client_id.as_ref().is_some_and(|id| self.accepted.contains(id));
        let Some(conversation) = self.conversations.get_mut(key) else { return };
        let Some(index) = conversation.pending.iter().position(|item| item.tag == tag) else { return };
        let pending = &mut conversation.pending[index];
        match client_id {
            Some(_) if early => drop(conversation.pending.remove(index)),
            Some(id) => pending.client_id = Some(id),
            None if exit.code == exit::TEMPORARY => pending.fate = Fate::Unknown,
            None => pending.fate = Fate::Failed(exit.message),
        }
    }

    /// The first message to somebody was accepted, and with it there is a group; or it was not.
    fn began(&mut self, key: &str, tag: u64, events: Vec<Event>, exit: &Exit) -> Vec<Action> {
        let sent = events.into_iter().find_map(|event| match event {
            Event::Sent { group, seq } => Some((group, seq)),
            _ => None,
        });
        let Some((group, seq)) = sent else {
            self.alert(format!("not sent: {}", exit.message));
            let Some(draft) = self.conversations.get_mut(key) else { return Vec::new() };
            // The words go back to where they can be changed, unless others stand there.
            let words: Vec<String> = std::mem::take(&mut draft.pending).into_iter().map(|item| item.text).collect();
            if draft.composer.is_empty() {
                draft.composer.set(words.join("\n"));
            }
            return Vec::new();
        };
        let Some(mut draft) = self.conversations.remove(key) else { return Vec::new() };
        let own = self.own.clone();
        let conversation = self.conversation(&group);
        if conversation.members.is_empty() {
            (conversation.title, conversation.members) = (draft.title.clone(), draft.members.clone());
            conversation.direct = true;
        }
        let first = draft.pending.iter().position(|item| item.tag == tag).map(|index| draft.pending.remove(index));
        if let Some(first) = first
            && !conversation.messages.contains_key(&seq)
        {
            conversation.take(seq, Said { from: own, text: first.text, time_ms: 0 });
        }
        conversation.composer = draft.composer;
        if self.selected.as_deref() == Some(key) {
            self.selected = Some(group.clone());
        }
        self.bring_up(&group);
        draft.pending.into_iter().map(|held| self.queue(&group, held.text)).collect()
    }

    /// Puts words on their way to a group.
    pub(super) fn queue(&mut self, key: &str, text: String) -> Action {
        let tag = self.coming_tag();
        let conversation = self.conversation(key);
        let pending = super::conversation::Pending { tag, client_id: None, text: text.clone(), fate: Fate::Waiting };
        conversation.pending.push(pending);
        self.run(Command::Chat(Ask::Say { group: key.to_owned(), text }), Waiting::Say { key: key.to_owned() })
    }

    /// To the top of the list, as if somebody had just written there.
    fn bring_up(&mut self, group: &str) {
        let newest = self.conversations.values().map(|it| it.active_ms).max().unwrap_or(0);
        let conversation = self.conversation(group);
        conversation.active_ms = conversation.active_ms.max(newest + 1);
    }

    /// The conversation of a group, made where it is not known yet.
    pub(super) fn conversation(&mut self, group: &str) -> &mut Conversation {
        self.conversations.entry(group.to_owned()).or_insert_with(|| Conversation {
            group: Some(group.to_owned()),
            title: group.get(..8).unwrap_or(group).to_owned(),
            state: "active".to_owned(),
            ..Conversation::default()
        })
    }
}
