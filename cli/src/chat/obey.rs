//! What the person's commands do.

use super::{
    commands::Typed,
    conversation::Conversation,
    model::{Action, Model, Over, Waiting},
};
use crate::{
    command::Command,
    verbs::{
        contacts::{self, Change},
        group,
        presence::{self, Show},
    },
};

impl Model {
    /// Does what was typed behind a slash.
    pub(super) fn obey(&mut self, typed: Typed) -> Vec<Action> {
        match typed {
            Typed::To(names) => self.talk_to(names),
            Typed::Help => self.over = Some(Over::Help(0)),
            Typed::Members => self.tell_members(),
            Typed::Quit => return vec![Action::Quit],
            Typed::Group { name, with } => {
                let done = format!("{name} is made");
                return self.change(group::Change::Create { name, with, administered: false }, done);
            }
            Typed::Add(_) | Typed::Remove(_) | Typed::Rename(_) | Typed::Leave => return self.obey_in_group(typed),
            Typed::Accept(name) => {
                let Some(name) = self.somebody(name) else { return Vec::new() };
                let done = format!("{name} is accepted");
                return self.begin_change(relate(Change::Accept { name }), done);
            }
            Typed::Block(name) => {
                if let Some(name) = self.somebody(name) {
                    let question = format!("Block {name}? You will look unknown to them.");
                    let done = format!("{name} is blocked");
                    self.over = Some(Over::Question(question, relate(Change::Block { name }), done));
                }
            }
            Typed::Forget(name) => {
                let done = format!("{name} is a stranger again");
                return self.begin_change(relate(Change::Remove { name }), done);
            }
            Typed::Appear(show) => {
                let done = match show {
                    Show::Online => "you look there",
                    Show::Away => "you look away",
                    Show::Hidden => "you are hidden",
                };
                return self.begin_change(Command::Presence(presence::Args { show: Some(show) }), done.to_owned());
            }
        }
        Vec::new()
    }

    fn obey_in_group(&mut self, typed: Typed) -> Vec<Action> {
        let Some((group, title)) = self.current().and_then(|it| Some((it.group.clone()?, it.title.clone()))) else {
            self.alert("this needs a conversation that exists");
            return Vec::new();
        };
        match typed {
            Typed::Add(names) => self.change(group::Change::Add { group, names }, "added".to_owned()),
            Typed::Remove(names) => self.change(group::Change::Remove { group, names }, "removed".to_owned()),
            Typed::Rename(name) => self.change(group::Change::Rename { group, name }, "renamed".to_owned()),
            _ => {
                let command = Command::Group(group::Args { change: group::Change::Leave { group } });
                self.over = Some(Over::Question(format!("Leave {title}?"), command, format!("you have left {title}")));
                Vec::new()
            }
        }
    }

    fn change(&mut self, change: group::Change, done: String) -> Vec<Action> {
        self.begin_change(Command::Group(group::Args { change }), done)
    }

    /// Starts a command that a person waits for.
    fn begin_change(&mut self, command: Command, done: String) -> Vec<Action> {
        self.say(if self.is_live() { "..." } else { "waiting for the server..." });
        vec![self.run(command, Waiting::Change(done))]
    }

    /// The one named, or the other one of this conversation.
    fn somebody(&mut self, name: Option<String>) -> Option<String> {
        let found = name.or_else(|| self.current()?.partner(&self.own).map(str::to_owned));
        if found.is_none() {
            self.alert("whom? Name somebody: /accept bob");
        }
        found
    }

    fn tell_members(&mut self) {
        let Some(conversation) = self.current() else { return };
        let state = |name: &String| match self.presence.get(name) {
            Some((state, _)) if state != "offline" => format!("{name} ({state})"),
            _ => name.clone(),
        };
        let members: Vec<String> = conversation.members.iter().map(state).collect();
        let text = format!("members: {}", members.join(", "));
        if let Some(conversation) = self.current_mut() {
            conversation.note(text);
        }
    }

    /// Goes to the conversation of exactly these people, or begins one.
    fn talk_to(&mut self, mut names: Vec<String>) {
        names.retain(|name| *name != self.own);
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            self.alert("that would be a conversation with yourself alone");
            return;
        }
        let mut wanted = names.clone();
        wanted.push(self.own.clone());
        wanted.sort_unstable();
        let same = |conversation: &Conversation| {
            let mut members = conversation.members.clone();
            members.sort_unstable();
            conversation.direct && conversation.state != "left" && members == wanted
        };
        let known = self.conversations.iter().find(|(_, conversation)| same(conversation)).map(|(key, _)| key.clone());
        let key = known.unwrap_or_else(|| {
            let newest = self.conversations.values().map(|it| it.active_ms).max().unwrap_or(0);
            let draft = Conversation {
                title: names.join(", "),
                members: wanted.clone(),
                direct: true,
                active_ms: newest + 1,
                ..Conversation::default()
            };
            let key = format!("to:{}", names.join(","));
            self.conversations.entry(key.clone()).or_insert(draft);
            key
        });
        self.select(&key);
        self.conversations.remove("");
    }
}

fn relate(change: Change) -> Command {
    Command::Contacts(contacts::Args { change: Some(change) })
}
