//! What the person's keys do to the model.

use super::{
    commands::{self, Typed},
    compose::{Composer, TooLong},
    conversation::{Conversation, Fate, Pending},
    help::ROWS,
    keys::{Code, Key},
    model::{Action, Model, Over, Waiting},
};
use crate::{
    command::Command,
    verbs::send::{self, TEXT_BYTES_MAX},
};

/// Own messages of a conversation that may wait for the server.
const PENDING_MAX: usize = 500;

impl Model {
    /// One key.
    pub(super) fn key(&mut self, key: Key) -> Vec<Action> {
        self.notice = None;
        match (key.code, key.ctrl) {
            (Code::Char('c' | 'q'), true) => return vec![Action::Quit],
            (Code::Char('l'), true) => return vec![Action::Repaint],
            _ => {}
        }
        match self.over.take() {
            Some(Over::Help(row)) => self.in_help(key, row),
            Some(Over::List) => self.in_list(key),
            Some(Over::Question(question, command, done)) => self.in_question(key, question, command, done),
            None if self.is_too_small() => Vec::new(),
            None => self.in_conversation(key),
        }
    }

    /// Words from the keyboard or the clipboard.
    pub(super) fn write(&mut self, text: &str) {
        if self.over.is_some() || self.is_too_small() {
            return;
        }
        self.ensure_conversation();
        let Some(conversation) = self.current_mut() else { return };
        if let Err(too_long) = conversation.composer.insert(text) {
            self.refuse(&too_long);
        } else {
            self.has_typed();
        }
    }

    /// Somewhere to write commands, where there is no conversation yet.
    fn ensure_conversation(&mut self) {
        if self.current().is_none() {
            let empty = Conversation { title: "nobody yet".to_owned(), ..Conversation::default() };
            self.conversations.insert(String::new(), empty);
            self.selected = Some(String::new());
        }
    }

    fn refuse(&mut self, TooLong(over): &TooLong) {
        self.alert(format!("a message has at most {TEXT_BYTES_MAX} bytes: these are {over} too many"));
    }

    fn in_help(&mut self, key: Key, row: usize) -> Vec<Action> {
        let last = ROWS.len().saturating_sub(usize::from(self.size.1).saturating_sub(1));
        let row = match key.code {
            Code::Down => row + 1,
            Code::Up => row.saturating_sub(1),
            Code::PageDown | Code::Char(' ') => row + usize::from(self.size.1) / 2,
            Code::PageUp => row.saturating_sub(usize::from(self.size.1) / 2),
            _ => return Vec::new(),
        };
        self.over = Some(Over::Help(row.min(last)));
        Vec::new()
    }

    fn in_list(&mut self, key: Key) -> Vec<Action> {
        match (key.code, key.ctrl) {
            (Code::Down, _) | (Code::Char('n'), true) => self.step(1),
            (Code::Up, _) | (Code::Char('p'), true) => self.step(-1),
            (Code::Tab, _) => self.next_new(),
            _ => return Vec::new(),
        }
        self.over = Some(Over::List);
        Vec::new()
    }

    fn in_question(&mut self, key: Key, question: String, command: Command, done: String) -> Vec<Action> {
        match key.code {
            Code::Char('y' | 'Y') => vec![self.run(command, Waiting::Change(done))],
            Code::Char('n' | 'N') | Code::Esc | Code::Enter => Vec::new(),
            _ => {
                self.over = Some(Over::Question(question, command, done));
                Vec::new()
            }
        }
    }

    fn in_conversation(&mut self, key: Key) -> Vec<Action> {
        let empty = self.current().is_none_or(|it| it.composer.is_empty());
        let lines = self.current().is_some_and(|it| it.composer.has_lines());
        let page = isize::try_from(self.places().messages.1.saturating_sub(1).max(1)).unwrap_or(1);
        match (key.code, key.ctrl, key.alt) {
            (Code::F(1), ..) => self.over = Some(Over::Help(0)),
            (Code::Char('?'), false, false) if empty => self.over = Some(Over::Help(0)),
            (Code::F(2), ..) | (Code::Char('t'), true, _) if !self.is_wide() => self.over = Some(Over::List),
            (Code::Char('n'), true, _) | (Code::Down, _, true) => self.step(1),
            (Code::Char('p'), true, _) | (Code::Up, _, true) | (Code::BackTab, ..) => self.step(-1),
            (Code::Tab, ..) => self.next_new(),
            (Code::PageUp, ..) => return self.scroll(page).into_iter().collect(),
            (Code::PageDown, ..) => return self.scroll(-page).into_iter().collect(),
            (Code::Up, ..) if !lines => return self.scroll(1).into_iter().collect(),
            (Code::Down, ..) if !lines => return self.scroll(-1).into_iter().collect(),
            (Code::Esc, ..) => drop(self.scroll(isize::MIN)),
            (Code::Enter, _, true) | (Code::Char('j'), true, _) => self.write("\n"),
            (Code::Enter, ..) => return self.enter(),
            (Code::Char('a'), false, false) if empty && self.at_request() => return self.obey(Typed::Accept(None)),
            (Code::Char('b'), false, false) if empty && self.at_request() => return self.obey(Typed::Block(None)),
            (Code::Char(character), false, false) => self.write(character.encode_utf8(&mut [0; 4])),
            _ => self.edit(key),
        }
        Vec::new()
    }

    fn edit(&mut self, key: Key) {
        let Some(conversation) = self.current_mut() else { return };
        let line = &mut conversation.composer;
        let word = key.ctrl || key.alt;
        let edit: fn(&mut Composer) = match (key.code, key.ctrl, key.alt) {
            (Code::Left, ..) if word => Composer::word_left,
            (Code::Right, ..) if word => Composer::word_right,
            (Code::Char('b'), false, true) => Composer::word_left,
            (Code::Char('f'), false, true) => Composer::word_right,
            (Code::Left, ..) | (Code::Char('b'), true, _) => Composer::left,
            (Code::Right, ..) | (Code::Char('f'), true, _) => Composer::right,
            (Code::Up, ..) => Composer::up,
            (Code::Down, ..) => Composer::down,
            (Code::Home, ..) | (Code::Char('a'), true, _) => Composer::home,
            (Code::End, ..) | (Code::Char('e'), true, _) => Composer::end,
            (Code::Backspace, ..) if word => Composer::kill_word_left,
            (Code::Char('w'), true, _) => Composer::kill_word_left,
            (Code::Backspace, ..) | (Code::Char('h'), true, _) => Composer::backspace,
            (Code::Char('d'), false, true) => Composer::kill_word_right,
            (Code::Delete, ..) | (Code::Char('d'), true, _) => Composer::delete,
            (Code::Char('u'), true, _) => Composer::kill_to_start,
            (Code::Char('k'), true, _) => Composer::kill_to_end,
            (Code::Char('y'), true, _) => {
                if let Err(too_long) = line.yank() {
                    self.refuse(&too_long);
                }
                return;
            }
            _ => return,
        };
        edit(line);
        self.has_typed();
    }

    /// The next or the previous conversation of the list, around its ends.
    fn step(&mut self, by: isize) {
        let order: Vec<String> = self.order().into_iter().map(str::to_owned).collect();
        let Some(count) = isize::try_from(order.len()).ok().filter(|count| *count > 0) else { return };
        let at = order.iter().position(|key| Some(key) == self.selected.as_ref()).and_then(|at| isize::try_from(at).ok());
        let next = at.map_or(0, |at| (at + by).rem_euclid(count));
        self.select(&order[next.unsigned_abs()]);
    }

    /// The next conversation with something new; without any, the next one.
    fn next_new(&mut self) {
        let order: Vec<String> = self.order().into_iter().map(str::to_owned).collect();
        let at = order.iter().position(|key| Some(key) == self.selected.as_ref()).map_or(0, |at| at + 1);
        let mut around = order.iter().cycle().skip(at).take(order.len());
        match around.find(|key| self.conversations[*key].unread > 0 && Some(*key) != self.selected.as_ref()) {
            Some(key) => self.select(key),
            None => self.step(1),
        }
    }

    /// Whether the selected conversation is a stranger's request.
    fn at_request(&self) -> bool {
        self.current().is_some_and(|it| it.request)
    }

    /// The line is done: a message, or a command.
    fn enter(&mut self) -> Vec<Action> {
        let Some(conversation) = self.current_mut() else { return Vec::new() };
        let text = conversation.composer.text().to_owned();
        if text.starts_with('/') && !text.starts_with("//") && !text.contains('\n') {
            return match commands::parse(&text) {
                Ok(typed) => {
                    conversation.composer.take();
                    self.obey(typed)
                }
                Err(why) => {
                    self.alert(why);
                    Vec::new()
                }
            };
        }
        let text = text.strip_prefix('/').filter(|_| text.starts_with("//")).unwrap_or(&text).trim_end().to_owned();
        if text.is_empty() {
            return Vec::new();
        }
        self.send(text)
    }

    fn send(&mut self, text: String) -> Vec<Action> {
        let own = self.own.clone();
        let tag = self.coming_tag();
        let Some(key) = self.selected.clone() else { return Vec::new() };
        let Some(conversation) = self.current_mut() else { return Vec::new() };
        let refusal = match conversation {
            Conversation { request: true, .. } => Some("a stranger began this: press a to accept, or b to block"),
            Conversation { state, .. } if state == "left" => Some("you are not in this conversation any more"),
            Conversation { group: None, members, .. } if members.is_empty() => {
                Some("there is nobody to send to yet: /to NAME begins a conversation")
            }
            Conversation { pending, .. } if pending.len() >= PENDING_MAX => Some("too many messages wait for the server"),
            _ => None,
        };
        if let Some(why) = refusal {
            self.alert(why);
            return Vec::new();
        }
        conversation.composer.take();
        conversation.scroll = 0;
        conversation.new_from = None;
        let mut actions = self.stop_typing();
        let Some(conversation) = self.current_mut() else { return actions };
        if conversation.group.is_some() {
            actions.push(self.queue(&key, text));
            return actions;
        }
        // The first one makes the conversation, and the others wait for it.
        let first = conversation.pending.is_empty();
        let fate = if first { Fate::Waiting } else { Fate::Held };
        let to = conversation.members.iter().filter(|name| **name != own).cloned().collect();
        conversation.pending.push(Pending { tag, client_id: None, text: text.clone(), fate });
        if first {
            let command = Command::Send(send::Args { to, group: None, text, ttl: None, urgent: false });
            actions.push(self.run(command, Waiting::First { key }));
        }
        actions
    }
}
