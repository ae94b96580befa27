//! What people see of signals: who types, and what applications say to each other. Told as it comes, kept nowhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sovereign_proto::{
    signal::{KIND_MAX, PAYLOAD_MAX, TYPING_MS},
    v1,
};
use tokio::time::Instant;

use super::{Engine, ephemeral::HeardSignal, lock};
use crate::{clock::monotonic, error::Error, event::Event, mls::Ephemeral};

/// A start is sent again after this time, while typing goes on.
const TYPING_AGAIN: Duration = Duration::from_secs(3);
/// Without another start from them, people have stopped.
const TYPING_ENDS: Duration = Duration::from_millis(TYPING_MS);
/// People who are followed while they type.
const TYPISTS_MAX: usize = 1024;

/// Who types: others as this device was told, and this device as it has told.
#[derive(Default)]
pub(super) struct Typing {
    others: Mutex<HashMap<Place, Typist>>,
    /// When the last start was sent.
    own: Mutex<HashMap<[u8; 32], Instant>>,
}

/// A group, and an account in it.
type Place = ([u8; 32], [u8; 16]);

struct Typist {
    name: String,
    active: bool,
    until: Instant,
}

impl Engine {
    /// Tells the group that this person types, or has stopped.
    pub(crate) fn type_in(self: &Arc<Self>, group: [u8; 32], active: bool) -> Result<(), Error> {
        if !self.is_live() {
            lock(&self.typing.own).clear();
            return self.run(|work| work.known_group(&group).map(drop));
        }
        let now = monotonic();
        let said = lock(&self.typing.own).get(&group).copied();
        let due = if active { said.is_none_or(|said| now >= said + TYPING_AGAIN) } else { said.is_some() };
        if due {
            self.signal(group, Ephemeral::Typing { active })?;
        }
        let mut own = lock(&self.typing.own);
        own.retain(|_, said| now < *said + TYPING_ENDS);
        match (active, due) {
            (true, true) => drop(own.insert(group, now)),
            (true, false) => {}
            (false, _) => drop(own.remove(&group)),
        }
        Ok(())
    }

    /// Says something of an application's own kind.
    pub(crate) fn say_ephemeral(self: &Arc<Self>, group: [u8; 32], kind: &str, payload: &[u8]) -> Result<(), Error> {
        if !(1..=KIND_MAX).contains(&kind.len()) || payload.len() > PAYLOAD_MAX {
            let bounds = format!("a signal's kind has 1 to {KIND_MAX} bytes, its payload at most {PAYLOAD_MAX}");
            return Err(Error::Usage(bounds));
        }
        self.signal(group, Ephemeral::Custom { kind: kind.to_owned(), payload: payload.to_vec() })
    }

    /// This person has said something in the group, which ends typing there.
    pub(crate) fn has_spoken(&self, group: &[u8; 32]) {
        lock(&self.typing.own).remove(group);
    }

    /// Somebody else's signal.
    pub(super) fn on_signal(self: &Arc<Self>, signal: &v1::Signal) -> Result<(), Error> {
        let heard = self.run(|work| match work.hear(signal)? {
            Some(heard) if work.is_heard(&heard)? => Ok(Some(heard)),
            _ => Ok(None),
        })?;
        let Some(HeardSignal { group, from, name, what }) = heard else { return Ok(()) };
        match what {
            Ephemeral::Typing { .. } if from.account == self.account => {}
            Ephemeral::Typing { active: true } => self.started_typing(group, from.account, name),
            Ephemeral::Typing { active: false } => self.stopped_typing(group, from.account),
            Ephemeral::Custom { kind, payload } => {
                let _ = self.events.send(Event::Signal { group, from: name, from_device: from.device, kind, payload });
            }
        }
        Ok(())
    }

    /// Sent now or never.
    fn signal(self: &Arc<Self>, group: [u8; 32], what: Ephemeral) -> Result<(), Error> {
        if !self.is_live() {
            return self.run(|work| work.known_group(&group).map(drop));
        }
        // Nobody learns that a request is being looked at.
        let signal =
            self.run(|work| if work.known_group(&group)?.request { Ok(None) } else { work.seal_signal(&group, what).map(Some) })?;
        let Some(signal) = signal else { return Ok(()) };
        self.remote.notify(v1::Notice { body: Some(v1::notice::Body::Signal(signal)) });
        Ok(())
    }

    /// One task follows each typist, from the first start to the end of the last.
    fn started_typing(self: &Arc<Self>, group: [u8; 32], account: [u8; 16], name: String) {
        let until = monotonic() + TYPING_ENDS;
        let mut others = lock(&self.typing.others);
        if let Some(typist) = others.get_mut(&(group, account)) {
            typist.until = until;
            if !std::mem::replace(&mut typist.active, true) {
                let _ = self.events.send(Event::Typing { group, from: name, active: true });
            }
            return;
        }
        if others.len() >= TYPISTS_MAX {
            return;
        }
        others.insert((group, account), Typist { name: name.clone(), active: true, until });
        let _ = self.events.send(Event::Typing { group, from: name, active: true });
        drop(others);
        let engine = Arc::clone(self);
        self.spawn(async move {
            let mut until = until;
            loop {
                tokio::time::sleep_until(until).await;
                let mut others = lock(&engine.typing.others);
                let Some(typist) = others.get(&(group, account)) else { return };
                if typist.until > until {
                    until = typist.until;
                    continue;
                }
                if let Some(Typist { name, active: true, .. }) = others.remove(&(group, account)) {
                    let _ = engine.events.send(Event::Typing { group, from: name, active: false });
                }
                return;
            }
        });
    }

    /// They have stopped, or have said what they typed. The end is told once; the task that follows them ends by itself.
    pub(super) fn stopped_typing(&self, group: [u8; 32], account: [u8; 16]) {
        if let Some(typist) = lock(&self.typing.others).get_mut(&(group, account))
            && std::mem::replace(&mut typist.active, false)
        {
            let _ = self.events.send(Event::Typing { group, from: typist.name.clone(), active: false });
        }
    }
}
