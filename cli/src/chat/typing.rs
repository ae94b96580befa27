//! Telling others that this person types: rarely, and only where something is being written to them.

use super::{
    ask::Ask,
    model::{Action, Model, Waiting},
};
use crate::command::Command;

/// Seconds after which it is told again (the library makes fewer signals of it), and after which a person who presses no
/// key has stopped.
const TELL_AGAIN: u32 = 1;
const IDLE: u32 = 5;

impl Model {
    /// The line has changed.
    pub(super) fn has_typed(&mut self) {
        self.typing.idle = 0;
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) {
        self.typing.idle = self.typing.idle.saturating_add(1);
        self.typing.told = self.typing.told.saturating_add(1);
    }

    /// Says that this person types, or has stopped, where that is news.
    pub(super) fn tell_typing(&mut self) -> Vec<Action> {
        let here = self.writes_to();
        if self.typing.at.is_some() && self.typing.at != here {
            return self.stop_typing();
        }
        let Some(group) = here.filter(|_| self.typing.at.is_none() || self.typing.told >= TELL_AGAIN) else {
            return Vec::new();
        };
        self.typing.at = Some(group.clone());
        self.typing.told = 0;
        vec![self.run(Command::Chat(Ask::Typing { group, active: true }), Waiting::Aside)]
    }

    /// A message was sent, or the person went elsewhere.
    pub(super) fn stop_typing(&mut self) -> Vec<Action> {
        let Some(group) = self.typing.at.take() else { return Vec::new() };
        vec![self.run(Command::Chat(Ask::Typing { group, active: false }), Waiting::Aside)]
    }

    /// The group whose members may know that something is written to them: not a stranger's, and no command.
    fn writes_to(&self) -> Option<String> {
        let conversation = self.current()?;
        let text = conversation.composer.text();
        let message = !text.is_empty() && (!text.starts_with('/') || text.starts_with("//"));
        let told = message && !conversation.request && conversation.state == "active";
        conversation.group.clone().filter(|_| told && self.is_live() && self.typing.idle < IDLE)
    }
}
