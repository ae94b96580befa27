//! The screen as somebody uses it: keys and events in, pictures and commands out. No terminal, no server.

mod commands;
mod messages;
mod pictures;

use ratatui::{Terminal, backend::TestBackend};

use super::{
    ask::{Ask, FOLLOWED},
    keys::{Code, Key},
    model::{Action, Input, Look, Model},
    view::view,
};
use crate::{
    command::Command,
    event::{Event, Member},
    exit::{self, Exit},
};

/// Friday, 2026-11-20, 16:00 UTC.
const FOUR: u64 = 1_795_190_400_000;
const TEA: &str = "aa00000000000000000000000000000000000000000000000000000000000000";
const BOB: &str = "bb00000000000000000000000000000000000000000000000000000000000000";
const EVE: &str = "ee00000000000000000000000000000000000000000000000000000000000000";

/// A message of a page: place, sender, text, time.
type Line<'a> = (u64, &'a str, &'a str, u64);

/// Somebody before a screen.
struct Desk {
    model: Model,
    /// What the rim was told to do and has not been asked for here.
    actions: Vec<Action>,
}

impl Desk {
    /// Ann, with a group and a conversation with Bob, at a screen of this size.
    fn new(width: u16, height: u16) -> Self {
        let mut desk = Self::empty(width, height);
        desk.tell(vec![
            account(),
            live(),
            group(TEA, Some("Tea club"), &["ann", "bob", "carol"]),
            message(TEA, 7, "carol", "Cake is ready", FOUR - 3_600_000),
            unread(TEA, 2),
            group(BOB, None, &["ann", "bob"]),
            message(BOB, 5, "bob", "At the harbour?", FOUR),
            unread(BOB, 0),
            followed(),
        ]);
        desk.answer_pages(&[(
            BOB,
            &[
                (2, "ann", "Shall we meet?", FOUR - 86_400_000),
                (3, "bob", "Gladly", FOUR - 120_000),
                (5, "bob", "At the harbour?", FOUR),
            ],
        )]);
        desk
    }

    /// Nothing has been told yet.
    fn empty(width: u16, height: u16) -> Self {
        Self { model: Model::new(Look::default(), (width, height)), actions: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        let actions = self.model.update(input);
        self.actions.extend(actions);
    }

    fn tell(&mut self, events: Vec<Event>) {
        self.input(Input::Told(events));
    }

    fn press(&mut self, key: Key) {
        self.input(Input::Key(key));
    }

    fn code(&mut self, code: Code) {
        self.press(Key::plain(code));
    }

    fn write(&mut self, text: &str) {
        text.chars().for_each(|character| self.code(Code::Char(character)));
    }

    /// Types a line and Enter.
    fn enter(&mut self, text: &str) {
        self.write(text);
        self.code(Code::Enter);
    }

    /// The commands that were to be run since this was asked last.
    fn commands(&mut self) -> Vec<(u64, Command)> {
        let run = |action: Action| match action {
            Action::Run { tag, command } => Some((tag, command)),
            _ => None,
        };
        std::mem::take(&mut self.actions).into_iter().filter_map(run).collect()
    }

    /// The one command of this kind.
    fn command(&mut self, wanted: impl Fn(&Command) -> bool) -> (u64, Command) {
        let mut found: Vec<_> = self.commands().into_iter().filter(|(_, command)| wanted(command)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn answer(&mut self, tag: u64, events: Vec<Event>) {
        self.input(Input::Answer { tag, events, exit: Exit::ok() });
    }

    fn fail(&mut self, tag: u64, code: u8, message: &str) {
        self.input(Input::Answer { tag, events: Vec::new(), exit: Exit::failed(code, message) });
    }

    /// Answers every page that was asked for, empty where nothing is given.
    fn answer_pages(&mut self, pages: &[(&str, &[Line<'_>])]) {
        for (tag, command) in self.commands() {
            if let Command::Chat(Ask::Page { group, .. }) = command {
                let page = pages.iter().find(|(of, _)| *of == group).map_or(&[][..], |(_, page)| page);
                let events = page.iter().map(|(seq, from, text, time)| message(&group, *seq, from, text, *time));
                let events = events.collect();
                self.answer(tag, events);
            }
        }
    }

    /// The screen as text, without the blanks at the lines' ends.
    fn screen(&self) -> Vec<String> {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
        terminal.draw(|frame| view(&self.model, frame)).expect("in memory");
        let buffer = terminal.backend().buffer();
        let mut lines = Vec::new();
        for y in 0..height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..width {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = super::cells::width(symbol).saturating_sub(1);
                } else {
                    skip -= 1;
                }
            }
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    /// The screen as one text.
    fn text(&self) -> String {
        self.screen().join("\n")
    }

    fn shows(&self, text: &str) {
        assert!(self.text().contains(text), "{text:?} is not on the screen:\n{}", self.text());
    }

    fn hides(&self, text: &str) {
        assert!(!self.text().contains(text), "{text:?} is on the screen:\n{}", self.text());
    }
}

fn account() -> Event {
    Event::Account { username: "ann".into(), account_id: String::new(), device_id: String::new(), pending: false }
}

fn live() -> Event {
    Event::State { state: "live".into(), cause: "going on".into() }
}

fn followed() -> Event {
    Event::Done { verb: FOLLOWED.into(), group: None, device: None }
}

fn group(id: &str, name: Option<&str>, members: &[&str]) -> Event {
    let others: Vec<&str> = members.iter().copied().filter(|member| *member != "ann").collect();
    Event::Group {
        group: id.into(),
        name: name.map(str::to_owned),
        title: name.map_or_else(|| others.join(", "), str::to_owned),
        members: members.iter().map(|name| Member { name: (*name).into(), devices: 1, leaving: false }).collect(),
        epoch: 1,
        direct: name.is_none(),
        state: "active".into(),
        request: false,
    }
}

/// The same by a stranger.
fn request(id: &str, members: &[&str]) -> Event {
    match group(id, None, members) {
        Event::Group { group, name, title, members, epoch, direct, state, .. } => {
            Event::Group { group, name, title, members, epoch, direct, state, request: true }
        }
        other => other,
    }
}

fn message(group: &str, seq: u64, from: &str, text: &str, time_ms: u64) -> Event {
    Event::Message {
        group: group.into(),
        title: String::new(),
        seq,
        from: from.into(),
        text: text.into(),
        time_ms,
        request: false,
        delivered: Vec::new(),
        read: Vec::new(),
        urgent: false,
        expires_at_ms: None,
    }
}

fn unread(group: &str, count: u64) -> Event {
    Event::Unread { group: group.into(), count }
}

fn contact(name: &str, relation: &str) -> Event {
    Event::Contact { username: name.into(), account_id: String::new(), relation: relation.into(), since_ms: None }
}

fn presence(name: &str, state: &str) -> Event {
    Event::Presence { username: name.into(), state: state.into(), last_seen_ms: None }
}

fn typing(group: &str, from: &str, active: bool) -> Event {
    Event::Typing { group: group.into(), from: from.into(), active }
}

fn receipt(group: &str, name: &str, delivered: u64, read: u64) -> Event {
    Event::Receipt { group: group.into(), username: name.into(), delivered, read }
}

fn is_say(command: &Command) -> bool {
    matches!(command, Command::Chat(Ask::Say { .. }))
}

fn is_page(command: &Command) -> bool {
    matches!(command, Command::Chat(Ask::Page { .. }))
}

fn is_shown(command: &Command) -> bool {
    matches!(command, Command::Chat(Ask::Shown { .. }))
}

fn is_typing(command: &Command) -> bool {
    matches!(command, Command::Chat(Ask::Typing { .. }))
}

/// Not now, and nobody knows whether it was done.
const UNKNOWN: u8 = exit::TEMPORARY;
