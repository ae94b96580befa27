//! What the screen knows, and what it does about what happens: pure, without a terminal, a clock or a network.
//!
//! [`Model::update`] takes one [`Input`] and says by [`Action`]s what the rim has to do. What others tell is taken in
//! `told.rs`, what the person does in `typed.rs`; the view draws what is here.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    ask::Ask,
    conversation::{Conversation, Fate, Pending},
    keys::Key,
    layout::{Page, rows_up},
};
use crate::{command::Command, event::Event, exit::Exit};

/// Something happened.
#[derive(Debug)]
pub(super) enum Input {
    Key(Key),
    Paste(String),
    /// The terminal is in front of somebody, or not any more.
    Focus(bool),
    /// It has this many columns and rows.
    Size(u16, u16),
    /// What the stream of this home tells.
    Told(Vec<Event>),
    /// A command has ended.
    Answer {
        tag: u64,
        events: Vec<Event>,
        exit: Exit,
    },
    /// A second has passed.
    Tick,
}

/// What the rim does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Carry out a command, and bring its answer. Those of [`Ask::Say`] in their order.
    Run { tag: u64, command: Command },
    /// Draw everything again.
    Repaint,
    /// The person has had enough.
    Quit,
}

/// A command that has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Page {
        key: String,
        before: Option<u64>,
    },
    Say {
        key: String,
    },
    /// The first message to people with whom there was no conversation.
    First {
        key: String,
    },
    Shown {
        key: String,
        seq: u64,
    },
    /// Something that was typed: what to say when it is done.
    Change(String),
    /// What it tells is taken as if the stream had told it; whether it fails is nobody's concern.
    Aside,
}

/// What lies over the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The keys, from this row on.
    Help(usize),
    /// The list, where there is no room for it beside.
    List,
    /// A question, and what happens at yes.
    Question(String, Command, String),
}

/// A line for the person, until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) alert: bool,
}

/// How it shall look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) coloured: bool,
    pub(super) ascii: bool,
}

/// The own typing, which others are told of.
#[derive(Debug, Default)]
pub(super) struct OwnTyping {
    /// Where somebody was told that this person types.
    pub(super) at: Option<String>,
    /// Seconds since a key, and since it was told.
    pub(super) idle: u32,
    pub(super) told: u32,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) look: Look,
    pub(super) size: (u16, u16),
    /// The own name; empty until it is told.
    pub(super) own: String,
    /// The connection: its state and why it is so.
    pub(super) state: String,
    pub(super) cause: String,
    /// By group, or by names where there is no group yet.
    pub(super) conversations: BTreeMap<String, Conversation>,
    pub(super) selected: Option<String>,
    /// By name: `online`, `away`, `offline`, and when last seen.
    pub(super) presence: HashMap<String, (String, Option<u64>)>,
    /// By name, as [`Event::Contact`] says it.
    pub(super) relations: HashMap<String, String>,
    pub(super) over: Option<Over>,
    pub(super) notice: Option<Notice>,
    pub(super) focused: bool,
    pub(super) typing: OwnTyping,
    /// The first snapshot has been taken.
    pub(super) ready: bool,
    pub(super) waiting: HashMap<u64, Waiting>,
    /// Own messages that were accepted before the command that queued them had answered.
    pub(super) accepted: VecDeque<String>,
    next_tag: u64,
    changed: bool,
}

/// With fewer columns the list has no room beside the messages.
pub(super) const BESIDE_WIDTH_MIN: u16 = 60;
/// Less than this shows nothing sensible.
pub(super) const SIZE_MIN: (u16, u16) = (20, 5);
/// Accepted ids that are remembered.
const ACCEPTED_MAX: usize = 256;

impl Model {
    pub(super) fn new(look: Look, size: (u16, u16)) -> Self {
        Self {
            look,
            size,
            own: String::new(),
            state: "connecting".to_owned(),
            cause: String::new(),
            conversations: BTreeMap::new(),
            selected: None,
            presence: HashMap::new(),
            relations: HashMap::new(),
            over: None,
            notice: None,
            focused: true,
            typing: OwnTyping::default(),
            ready: false,
            waiting: HashMap::new(),
            accepted: VecDeque::new(),
            next_tag: 1,
            changed: true,
        }
    }

    /// One step.
    pub(super) fn update(&mut self, input: Input) -> Vec<Action> {
        self.changed |= !matches!(input, Input::Tick);
        let mut actions = match input {
            Input::Key(key) => self.key(key),
            Input::Paste(text) => {
                self.write(&text);
                Vec::new()
            }
            Input::Focus(focused) => {
                self.focused = focused;
                Vec::new()
            }
            Input::Size(width, height) => {
                self.size = (width, height);
                Vec::new()
            }
            Input::Told(events) => events.into_iter().flat_map(|event| self.told(event)).collect(),
            Input::Answer { tag, events, exit } => self.answered(tag, events, exit),
            Input::Tick => {
                self.tick();
                Vec::new()
            }
        };
        actions.extend(self.look_around());
        actions
    }

    /// Whether something has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the server can be talked to now.
    pub(super) fn is_live(&self) -> bool {
        self.state == "live"
    }

    /// Own messages that the server does not have.
    pub(super) fn unsent(&self) -> usize {
        let waits = |item: &&Pending| matches!(item.fate, Fate::Waiting | Fate::Held);
        self.conversations.values().flat_map(|it| &it.pending).filter(waits).count()
    }

    /// Whether something that was typed is on its way, and may arrive soon.
    pub(super) fn is_busy(&self) -> bool {
        let here = |waiting: &Waiting| matches!(waiting, Waiting::Say { .. } | Waiting::Shown { .. });
        let there = |waiting: &Waiting| matches!(waiting, Waiting::First { .. } | Waiting::Change(_));
        self.waiting.values().any(here) || (self.is_live() && (self.unsent() > 0 || self.waiting.values().any(there)))
    }

    /// What happens by itself after every step: a conversation is selected, though never a stranger's; it is loaded and
    /// counts as shown, and others hear whether this person types.
    fn look_around(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.ready && self.selected.is_none() {
            let first = self.order().into_iter().find(|key| !self.conversations[*key].request).map(str::to_owned);
            if let Some(key) = first {
                self.select(&key);
            }
        }
        let Some(key) = self.selected.clone() else { return actions };
        if self.ready && self.conversations.get(&key).is_some_and(|it| it.group.is_some() && !it.loading.newest) {
            let page = self.load(&key, None);
            if let (true, Some(group)) = (page.is_some(), self.conversations[&key].group.clone()) {
                actions.push(self.run(Command::Chat(Ask::Receipts { group }), Waiting::Aside));
            }
            actions.extend(page);
        }
        actions.extend(self.note_shown(&key));
        actions.extend(self.tell_typing());
        actions
    }

    /// Asks for a page of the history, unless one is on its way.
    pub(super) fn load(&mut self, key: &str, before: Option<u64>) -> Option<Action> {
        let conversation = self.conversations.get_mut(key).filter(|it| !it.loading.asked)?;
        let group = conversation.group.clone()?;
        conversation.loading.asked = true;
        let ask = Ask::Page { group, before };
        Some(self.run(Command::Chat(ask), Waiting::Page { key: key.to_owned(), before }))
    }

    /// What stands on the screen counts as shown: the newest message of others in the selected conversation, at its end,
    /// in front of somebody.
    fn note_shown(&mut self, key: &str) -> Option<Action> {
        let visible = self.focused && matches!(self.over, None | Some(Over::Question(..))) && !self.is_too_small();
        let conversation = self.conversations.get_mut(key).filter(|it| visible && it.scroll == 0 && it.loading.newest)?;
        conversation.unread = 0;
        let own = &self.own;
        let theirs = conversation.messages.iter().rev().find(|(_, said)| said.from != *own);
        let seq = theirs.map_or(0, |(seq, _)| *seq);
        let group = conversation.group.clone().filter(|_| seq > conversation.shown && !conversation.noting)?;
        conversation.noting = true;
        Some(self.run(Command::Chat(Ask::Shown { group, seq }), Waiting::Shown { key: key.to_owned(), seq }))
    }

    /// A command for the rim, whose answer is waited for.
    pub(super) fn run(&mut self, command: Command, waiting: Waiting) -> Action {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.waiting.insert(tag, waiting);
        Action::Run { tag, command }
    }

    /// The number that the next command will have.
    pub(super) fn coming_tag(&self) -> u64 {
        self.next_tag
    }

    /// An own message was accepted under this id.
    pub(super) fn remember_accepted(&mut self, client_id: String) {
        self.accepted.push_back(client_id);
        if self.accepted.len() > ACCEPTED_MAX {
            self.accepted.pop_front();
        }
    }

    pub(super) fn current(&self) -> Option<&Conversation> {
        self.conversations.get(self.selected.as_ref()?)
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Conversation> {
        self.conversations.get_mut(self.selected.as_ref()?)
    }

    /// Goes to another conversation, and lets the one before go.
    pub(super) fn select(&mut self, key: &str) {
        if self.selected.as_deref() == Some(key) {
            return;
        }
        if let Some(before) = self.current_mut() {
            before.leave();
        }
        if let Some(next) = self.conversations.get_mut(key) {
            // What is new begins behind what was read; the page tells where that is.
            next.new_from = None;
            next.loading.newest &= next.unread == 0;
        }
        self.selected = Some(key.to_owned());
    }

    /// The keys of the list from top to bottom: conversations, the most recent first, then requests of strangers.
    pub(super) fn order(&self) -> Vec<&str> {
        let mut keys: Vec<(&String, &Conversation)> = self.conversations.iter().collect();
        keys.sort_by(|(_, a), (_, b)| {
            let rank = |it: &Conversation| (it.request, std::cmp::Reverse(it.active_ms));
            rank(a).cmp(&rank(b)).then_with(|| a.title.cmp(&b.title))
        });
        keys.into_iter().map(|(key, _)| key.as_str()).collect()
    }

    /// New messages of others, everywhere.
    pub(super) fn unread(&self) -> u64 {
        self.conversations.values().map(|it| it.unread).sum()
    }

    /// Says something until the next key.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), alert: false });
    }

    /// The same for what went wrong.
    pub(super) fn alert(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), alert: true });
    }

    pub(super) fn is_too_small(&self) -> bool {
        self.size.0 < SIZE_MIN.0 || self.size.1 < SIZE_MIN.1
    }

    /// Whether the list stands beside the messages.
    pub(super) fn is_wide(&self) -> bool {
        self.size.0 >= BESIDE_WIDTH_MIN
    }

    /// What the rows of messages depend on.
    pub(super) fn page(&self) -> Page<'_> {
        Page { own: &self.own, width: self.places().messages.0, ascii: self.look.ascii }
    }

    /// Scrolls up (or down, where negative), as far as there is something; asks for older messages near the top.
    pub(super) fn scroll(&mut self, by: isize) -> Option<Action> {
        let page = self.page();
        let height = self.places().messages.1;
        let key = self.selected.clone()?;
        let conversation = self.conversations.get(&key)?;
        let wanted = conversation.scroll.saturating_add_signed(by);
        let there = rows_up(conversation, page, wanted + height + 1).len();
        let scroll = wanted.min(there.saturating_sub(height));
        let older = by > 0 && there <= wanted + height && !conversation.loading.complete && conversation.loading.newest;
        let first = conversation.messages.first_key_value().map(|(seq, _)| *seq);
        self.conversations.get_mut(&key)?.scroll = scroll;
        if older { self.load(&key, first) } else { None }
    }

    /// How many rows the conversation has; counted only for one that is scrolled back, so that it stays where it is.
    pub(super) fn rows_of(&self, key: &str) -> usize {
        let scrolled = self.conversations.get(key).filter(|it| it.scroll > 0);
        scrolled.map_or(0, |it| rows_up(it, self.page(), usize::MAX).len())
    }
}
