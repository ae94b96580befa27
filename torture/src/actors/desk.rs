//! What a person's client tells, written down.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use sovereign_client::{Alarm, Client, Error, Event, GroupInfo, GroupState};

use super::Town;
use crate::history::{Class, What};

/// Messages of the inbox taken at once.
const PAGE: usize = 256;
/// More than any run says in a group.
const EVERYTHING: usize = 10_000_000;

/// The notes of one person, kept over restarts of the client.
pub(super) struct Desk<'a> {
    dev: u32,
    town: &'a Town,
    /// Groups the person is in, and the authenticator of the last epoch told.
    member: BTreeMap<u32, Option<String>>,
    /// Groups that were reset, as told.
    reset: BTreeSet<u32>,
    /// Messages without an answer.
    outstanding: BTreeSet<u64>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(dev: u32, town: &'a Town) -> Self {
        Self { dev, town, member: BTreeMap::new(), reset: BTreeSet::new(), outstanding: BTreeSet::new() }
    }

    /// Groups that can be written to.
    pub(super) fn groups(&self) -> Vec<u32> {
        self.member.keys().copied().collect()
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// A message is about to be handed over; its text.
    pub(super) fn invoke(&mut self, g: u32) -> (u64, String) {
        let op = self.town.history.number();
        self.outstanding.insert(op);
        self.record(What::Invoke { op, dev: self.dev, g });
        (op, format!("op {op}"))
    }

    pub(super) fn failed(&mut self, op: u64, g: u32, why: &Error) {
        if self.outstanding.remove(&op) {
            self.record(What::Fail { op, dev: self.dev, g, why: why.to_string() });
        }
    }

    /// Whatever a client tells. True: there is something in the inbox.
    pub(super) fn told(&mut self, event: &Event, sent: &BTreeMap<[u8; 16], u64>) -> bool {
        let dev = self.dev;
        match event {
            Event::Message(_) => return true,
            Event::Accepted { message, .. } => {
                if let Some(op) = op_of(&message.text)
                    && self.outstanding.remove(&op)
                {
                    match self.town.number_of(&message.group) {
                        Some(g) => self.record(What::Ok { op, dev, g, seq: message.seq }),
                        // It went to the group in the place of one that was reset.
                        None => self.town.history.forget(1),
                    }
                }
            }
            Event::SendFailed { group, client_id, reason } => {
                if let (Some(op), Some(g)) = (sent.get(client_id), self.town.number_of(group))
                    && self.outstanding.remove(op)
                {
                    self.record(What::Fail { op: *op, dev, g, why: reason.clone() });
                }
            }
            Event::Joined { group } => self.is_member(group, true),
            Event::Left { group } => self.is_member(group, false),
            Event::Alarm { alarm: Alarm::ServerRestored, .. } => self.record(What::Noticed { dev }),
            Event::Alarm { group, alarm } => {
                let g = group.as_ref().and_then(|group| self.town.number_of(group));
                self.record(What::Alarm { dev, g, class: class_of(alarm), text: alarm.to_string() });
            }
            _ => {}
        }
        false
    }

    /// Takes the inbox, up to where it is empty.
    pub(super) async fn read(&mut self, client: &Client) -> Result<(), Error> {
        loop {
            let page = client.unlistened(PAGE).await?;
            let Some(last) = page.last().map(|message| message.local_no) else { return Ok(()) };
            for message in &page {
                if let (Some(op), Some(g)) = (op_of(&message.text), self.town.number_of(&message.group)) {
                    self.record(What::Hear { dev: self.dev, g, no: message.local_no, seq: message.seq, op });
                }
            }
            client.mark_listened(last).await?;
        }
    }

    /// Looks where every group stands: events may have been missed.
    pub(super) async fn look(&mut self, client: &Client) -> Result<(), Error> {
        for info in client.groups().await? {
            let Some(g) = self.town.number_of(&info.id) else {
                self.look_for_resets(&info);
                continue;
            };
            self.is_member(&info.id, matches!(info.state, GroupState::Active | GroupState::Leaving | GroupState::Frozen));
            if let Some(told) = self.member.get(&g).cloned()
                && let Ok((epoch, auth)) = client.epoch_authenticator(info.id).await
                && told.is_none_or(|told| told != short(&auth))
            {
                self.member.insert(g, Some(short(&auth)));
                self.record(What::Epoch { dev: self.dev, g, epoch, auth: short(&auth) });
            }
        }
        Ok(())
    }

    /// Forgets messages that are in no outbox any more: what became of them was told to nobody.
    pub(super) async fn weed(&mut self, client: &Client) -> Result<(), Error> {
        let mut waiting = BTreeSet::new();
        for circle in &self.town.circles {
            let queued = client.outbox(circle.id, EVERYTHING).await?;
            waiting.extend(queued.iter().filter_map(|queued| op_of(&queued.text)));
        }
        let before = self.outstanding.len();
        self.outstanding.retain(|op| waiting.contains(op));
        self.town.history.forget(before - self.outstanding.len());
        Ok(())
    }

    /// Everything the client holds.
    pub(super) async fn finally(&mut self, client: &Client) -> Result<(), Error> {
        self.read(client).await?;
        for info in client.groups().await? {
            let Some(g) = self.town.number_of(&info.id) else {
                self.tell_successor(client, &info).await?;
                continue;
            };
            let member = matches!(info.state, GroupState::Active | GroupState::Leaving | GroupState::Frozen);
            self.is_member(&info.id, member);
            let (epoch, auth) = if member { client.epoch_authenticator(info.id).await? } else { (0, Vec::new()) };
            let history = client.history(info.id, EVERYTHING).await?;
            let ops = history.iter().filter_map(|message| Some((message.seq, op_of(&message.text)?))).collect();
            self.record(What::Final { dev: self.dev, g, member, epoch, auth: short(&auth), ops });
        }
        Ok(())
    }

    /// A group of which this is the successor: nobody talks in it any more.
    fn look_for_resets(&mut self, info: &GroupInfo) {
        for former in &info.former {
            if let Some(g) = self.town.number_of(former)
                && self.reset.insert(g)
            {
                self.is_member(former, false);
                self.record(What::Reset { dev: self.dev, g, to: HEXLOWER.encode(&info.id) });
            }
        }
    }

    /// What is held of groups that were reset, and of the one in their place.
    async fn tell_successor(&mut self, client: &Client, info: &GroupInfo) -> Result<(), Error> {
        self.look_for_resets(info);
        let (dev, to) = (self.dev, HEXLOWER.encode(&info.id));
        for former in &info.former {
            let Some(g) = self.town.number_of(former) else { continue };
            let history = client.history(info.id, EVERYTHING).await?;
            let of_it = history.iter().filter(|message| message.group == *former);
            let ops = of_it.filter_map(|message| Some((message.seq, op_of(&message.text)?))).collect();
            self.record(What::Final { dev, g, member: false, epoch: 0, auth: String::new(), ops });
            if info.state == GroupState::Active {
                let (epoch, auth) = client.epoch_authenticator(info.id).await?;
                self.record(What::Successor { dev, g, to: to.clone(), epoch, auth: short(&auth) });
            }
        }
        Ok(())
    }

    fn is_member(&mut self, group: &[u8; 32], member: bool) {
        let Some(g) = self.town.number_of(group) else { return };
        match (member, self.member.contains_key(&g)) {
            (true, false) => {
                self.member.insert(g, None);
                self.record(What::Join { dev: self.dev, g, seq: None });
            }
            (false, true) => {
                self.member.remove(&g);
                self.record(What::Leave { dev: self.dev, g, seq: None });
            }
            _ => {}
        }
    }

    fn record(&self, what: What) {
        self.town.history.record(what);
    }
}

fn op_of(text: &str) -> Option<u64> {
    text.strip_prefix("op ")?.parse().ok()
}

/// As much of an authenticator as tells states apart.
pub(super) fn short(authenticator: &[u8]) -> String {
    HEXLOWER.encode(&authenticator[..authenticator.len().min(16)])
}

/// What an alarm says about the server.
fn class_of(alarm: &Alarm) -> Class {
    match alarm {
        Alarm::LogMismatch | Alarm::SplitView { .. } | Alarm::Frozen | Alarm::Roles { .. } => Class::Fork,
        Alarm::SenderCounter { .. } | Alarm::Unreadable { .. } | Alarm::ServerRestored => Class::Lost,
        Alarm::UnknownWelcome => Class::Torn,
        Alarm::Manifest { .. } | Alarm::IdentityChanged { .. } | Alarm::UnknownDevice { .. } => Class::Phantom,
    }
}
