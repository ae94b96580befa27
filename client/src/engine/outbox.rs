//! Messages on their way: durable before they are sent, the same bytes until they are accepted, in order.

use sovereign_proto::v1;

use super::{
    content::{self, View},
    core::Work,
    records::{BundleRecord, GroupRecord, HistoryRecord, OutboxRecord, Said, Stage},
};
use crate::{
    entropy,
    error::Error,
    event::Event,
    model::{Queued, SendOptions, Sent},
    vault::{Blob, Space},
};

/// Messages of one group that may wait.
const OUTBOX_MAX: usize = 10_000;
/// Messages of one group that may be unanswered.
pub(crate) const PIPELINE: usize = 16;
/// Bytes of one text: what fits an application message with room for its frame.
pub(crate) const TEXT_MAX: usize = 60 * 1024;

/// A message ready to be sent.
pub(crate) struct Ready {
    pub(crate) client_id: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) request: v1::SendMessageRequest,
}

impl Work<'_> {
    /// Puts a message into the outbox of a group that may be sent to.
    pub(crate) fn enqueue(&mut self, record: &GroupRecord, said: Said, options: SendOptions) -> Result<[u8; 16], Error> {
        self.may_send(record)?;
        if self.tx.count(Space::Outbox, &record.id)? >= OUTBOX_MAX {
            return Err(Error::GroupClosed("too many messages wait for the server".to_owned()));
        }
        let client_id = entropy::random();
        let item = OutboxRecord { client_id, said, counter: 0, epoch: 0, ciphertext: None, options, expiring: 0 };
        self.tx.push(Space::Outbox, &record.id, &item)?;
        self.effects.wake.insert(record.id);
        Ok(client_id)
    }

    /// The texts of a group that the server has not accepted yet, in their order.
    pub(crate) fn queued_texts(&self, id: &[u8; 32], limit: usize) -> Result<Vec<Queued>, Error> {
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, limit)?;
        let queued = |item: OutboxRecord| match item.said {
            Said::Text(text) => Some(Queued { group: *id, client_id: item.client_id, text }),
            Said::Profile { .. } | Said::ProfileRequest => None,
        };
        Ok(items.into_iter().filter_map(|(_, item)| queued(item)).collect())
    }

    /// Whether this device may send to the group now.
    pub(crate) fn may_send(&mut self, record: &GroupRecord) -> Result<(), Error> {
        let closed = |reason: &str| Err(Error::GroupClosed(reason.to_owned()));
        match (record.stage, record) {
            (Stage::Left, _) => return closed("this device is not a member any more"),
            (_, GroupRecord { leaving: true, .. }) => return closed("you are leaving it"),
            // After a restore it waits for the group in its place.
            (_, GroupRecord { frozen: true, restored: false, .. }) => return Err(frozen()),
            (_, GroupRecord { blocked: Some(reason), .. }) => return Err(Error::UnknownDevice(reason.clone())),
            (Stage::Active, _) => {}
            _ => return Ok(()),
        }
        let changed = self.changed_accounts()?;
        if changed.is_empty() {
            return Ok(());
        }
        let leaves = self.look(&record.id, crate::mls::Group::leaves)?;
        match leaves.iter().find(|leaf| changed.contains(&leaf.of.account)) {
            Some(leaf) => Err(Error::IdentityChanged(self.name_of(&leaf.of.account)?)),
            None => Ok(()),
        }
    }

    pub(crate) fn has_outgoing(&self, id: &[u8; 32]) -> Result<bool, Error> {
        Ok(!self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, 1)?.is_empty())
    }

    /// The next messages to send behind those in flight, encrypted and durable. Only messages of one epoch are in
    /// flight at once, so that none overtakes another.
    pub(crate) fn next_messages(&mut self, id: &[u8; 32], in_flight: &[([u8; 16], u64)]) -> Result<Vec<Ready>, Error> {
        let mut record = self.known_group(id)?;
        if record.stage != Stage::Active || self.tx.get::<BundleRecord>(Space::Bundle, id)?.is_some() {
            return Ok(Vec::new());
        }
        let epoch = self.look(id, crate::mls::Group::epoch)?;
        // A bundle's messages are counted behind what was sent, so nothing more is sent until it is made.
        let nothing_new = record.frozen || self.waits_for_members(id)?;
        let mut ready = Vec::new();
        let room = PIPELINE.saturating_sub(in_flight.len());
        for (position, mut item) in self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, PIPELINE)? {
            if in_flight.iter().any(|(client_id, _)| *client_id == item.client_id) {
                continue;
            }
            if item.ciphertext.is_none() {
                if nothing_new {
                    // What was sent before is answered still; nothing else is.
                    break;
                }
                if in_flight.iter().any(|(_, other)| *other != epoch) || ready.iter().any(|other: &Ready| other.epoch != epoch) {
                    break;
                }
                self.encrypt(&mut record, &mut item, epoch)?;
                self.tx.set(Space::Outbox, id, position, &item)?;
            }
            if ready.len() >= room || in_flight.iter().any(|(_, other)| *other != item.epoch) {
                break;
            }
            let anew = in_flight.is_empty() && ready.is_empty();
            ready.push(Ready { client_id: item.client_id, epoch: item.epoch, request: request(id, item, anew) });
        }
        self.put_group(&record)?;
        Ok(ready)
    }

    /// The server has the message.
    pub(crate) fn accepted(&mut self, id: &[u8; 32], client_id: &[u8; 16], seq: u64, time_ms: u64) -> Result<(), Error> {
        let Some((position, item)) = self.outgoing(id, client_id)? else { return Ok(()) };
        self.tx.take_out(Space::Outbox, id, position)?;
        self.said_by_me(id, client_id, &item.said, item.options, seq, time_ms)?;
        self.effects.sent.push((*client_id, Ok(Sent { group: *id, seq, client_id: *client_id })));
        Ok(())
    }

    /// The server will never take the message.
    pub(crate) fn failed(&mut self, id: &[u8; 32], client_id: &[u8; 16], error: Error) -> Result<(), Error> {
        let Some((position, item)) = self.outgoing(id, client_id)? else { return Ok(()) };
        self.fail(id, position, &item, error)
    }

    /// The server has not taken the message because the group is frozen: it may go where the group goes on.
    pub(crate) fn unsend(&mut self, id: &[u8; 32], client_id: &[u8; 16]) -> Result<(), Error> {
        let Some((position, item)) = self.outgoing(id, client_id)? else { return Ok(()) };
        self.give_back(id, position, &item)
    }

    /// Whether people are to be added before anything more is said.
    pub(crate) fn waits_for_members(&self, id: &[u8; 32]) -> Result<bool, Error> {
        Ok(self.intents(id)?.first().is_some_and(|(_, intent)| intent.first))
    }

    /// Whether messages were sent whose answer is not known.
    pub(crate) fn has_unanswered(&self, id: &[u8; 32]) -> Result<bool, Error> {
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, 4 * PIPELINE)?;
        Ok(items.iter().any(|(_, item)| item.ciphertext.is_some()))
    }

    /// What waits for one group goes to another.
    pub(crate) fn carry_over(&mut self, from: &[u8; 32], to: &[u8; 32]) -> Result<(), Error> {
        for (position, item) in self.tx.items::<OutboxRecord>(Space::Outbox, from, 0, usize::MAX)? {
            self.tx.take_out(Space::Outbox, from, position)?;
            self.tx.push(Space::Outbox, to, &OutboxRecord { counter: 0, ciphertext: None, ..item })?;
        }
        self.effects.wake.insert(*to);
        Ok(())
    }

    /// No message of this group will be accepted: all of them fail, the last one first.
    pub(crate) fn fail_all(&mut self, id: &[u8; 32], error: &Error) -> Result<(), Error> {
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, OUTBOX_MAX)?;
        items.iter().rev().try_for_each(|(position, item)| self.fail(id, *position, item, error.clone()))
    }

    fn fail(&mut self, id: &[u8; 32], position: u64, item: &OutboxRecord, error: Error) -> Result<(), Error> {
        self.give_back(id, position, item)?;
        self.tx.take_out(Space::Outbox, id, position)?;
        self.effects.events.push(Event::SendFailed { group: *id, client_id: item.client_id, reason: error.to_string() });
        self.effects.sent.push((item.client_id, Err(error)));
        Ok(())
    }

    /// The server has not taken this message, nor those that were sent behind it, since none overtakes another: their
    /// numbers are free for what is sent next, so that readers miss none. What stays is encrypted again.
    fn give_back(&mut self, id: &[u8; 32], position: u64, item: &OutboxRecord) -> Result<(), Error> {
        if item.counter == 0 && item.ciphertext.is_none() {
            return Ok(());
        }
        if item.counter > 0
            && let Some(mut record) = self.group(id)?
        {
            record.counter = item.counter - 1;
            record.expiring = item.expiring - u64::from(item.options.ttl_seconds != 0);
            self.put_group(&record)?;
        }
        for (position, item) in self.tx.items::<OutboxRecord>(Space::Outbox, id, position - 1, 4 * PIPELINE)? {
            if item.counter > 0 || item.ciphertext.is_some() {
                let unsent = OutboxRecord { counter: 0, expiring: 0, ciphertext: None, ..item };
                self.tx.set(Space::Outbox, id, position, &unsent)?;
            }
        }
        Ok(())
    }

    /// This device came in again, and counts anew. What it sent before is asked after as it was; what is not accepted
    /// gets its number when it is encrypted again, behind what was said on the way in.
    pub(super) fn renumber(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        for (position, item) in self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, 4 * PIPELINE)? {
            if item.counter > 0 {
                self.tx.set(Space::Outbox, id, position, &OutboxRecord { counter: 0, expiring: 0, ..item })?;
            }
        }
        Ok(())
    }

    /// Messages of an epoch that the server takes no more: encrypted again, under the same client ids.
    pub(crate) fn outdate(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let epoch = self.look(id, crate::mls::Group::epoch)?;
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, PIPELINE)?;
        match items.into_iter().find(|(_, item)| item.ciphertext.is_some() && item.epoch < epoch) {
            Some((position, first)) => self.give_back(id, position, &first),
            None => Ok(()),
        }
    }

    /// Whatever is encrypted already is so again, under the same client ids.
    pub(super) fn encrypt_again(&mut self, id: &[u8; 32]) -> Result<(), Error> {
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, 4 * PIPELINE)?;
        match items.into_iter().find(|(_, item)| item.ciphertext.is_some()) {
            Some((position, first)) => self.give_back(id, position, &first),
            None => Ok(()),
        }
    }

    /// An outgoing message among those that may be unanswered.
    pub(crate) fn outgoing(&self, id: &[u8; 32], client_id: &[u8; 16]) -> Result<Option<(u64, OutboxRecord)>, Error> {
        let items = self.tx.items::<OutboxRecord>(Space::Outbox, id, 0, 4 * PIPELINE)?;
        Ok(items.into_iter().find(|(_, item)| item.client_id == *client_id))
    }

    /// What this device tells about itself in its next message.
    pub(crate) fn view(&self, id: &[u8; 32], counter: u64) -> Result<View, Error> {
        let log = self.log(id)?.unwrap_or_default();
        let pin = self.pin(&self.me().account)?.filter(|pin| pin.version > 0);
        Ok(View {
            counter,
            seen_seq: log.cursor,
            seen_hash: log.running,
            manifest_version: pin.as_ref().map_or(0, |pin| pin.version),
            manifest_hash: pin.map(|pin| pin.hash),
            sent_at_ms: self.now,
            expiring: self.group(id)?.map_or(0, |record| record.expiring),
            ttl_seconds: 0,
        })
    }

    fn encrypt(&mut self, record: &mut GroupRecord, item: &mut OutboxRecord, epoch: u64) -> Result<(), Error> {
        if item.counter == 0 {
            record.counter += 1;
            item.counter = record.counter;
            record.expiring += u64::from(item.options.ttl_seconds != 0);
            item.expiring = record.expiring;
        }
        let (expiring, ttl_seconds) = (item.expiring, item.options.ttl_seconds);
        let view = View { expiring, ttl_seconds, ..self.view(&record.id, item.counter)? };
        let content = content::encode(&item.said, &view);
        let mls = self.mls;
        let ciphertext = self.change(&record.id, |provider, group| mls.encrypt(provider, group, &content))??;
        item.epoch = epoch;
        item.ciphertext = Some(Blob(ciphertext));
        Ok(())
    }

    /// What an own message means here once it is accepted.
    pub(crate) fn said_by_me(
        &mut self,
        id: &[u8; 32],
        client_id: &[u8; 16],
        said: &Said,
        SendOptions { ttl_seconds, urgent }: SendOptions,
        seq: u64,
        time_ms: u64,
    ) -> Result<(), Error> {
        match said {
            Said::Text(text) => {
                let expires_at_ms = (ttl_seconds != 0).then(|| time_ms.saturating_add(ttl_seconds * 1000));
                let (from, text) = (self.me(), text.clone());
                let record = HistoryRecord { from, text, time_ms, local_no: 0, urgent, expires_at_ms };
                self.tx.set(Space::History, id, seq, &record)?;
                let message = self.message(*id, seq, record, false)?;
                self.effects.events.push(Event::Accepted { client_id: *client_id, message });
                Ok(())
            }
            Said::Profile { name, revision, .. } => self.rename(id, name, *revision),
            Said::ProfileRequest => Ok(()),
        }
    }

    /// Takes a group profile: the higher revision wins, and of equal ones the later.
    pub(crate) fn rename(&mut self, id: &[u8; 32], name: &str, revision: u64) -> Result<(), Error> {
        let Some(mut record) = self.group(id)?.filter(|record| revision >= record.revision) else { return Ok(()) };
        record.revision = revision;
        if !name.is_empty() && record.name.as_deref() != Some(name) {
            record.name = Some(name.to_owned());
            self.effects.events.push(Event::Renamed { group: *id, name: name.to_owned() });
        }
        self.put_group(&record)
    }
}

/// Why a frozen group takes nothing.
pub(crate) fn frozen() -> Error {
    let reason = "it is frozen, because its members disagree about its state, until one of them resets it";
    Error::GroupClosed(reason.to_owned())
}

fn request(id: &[u8; 32], item: OutboxRecord, anew: bool) -> v1::SendMessageRequest {
    let SendOptions { ttl_seconds, urgent } = item.options;
    let ciphertext = item.ciphertext.map(|blob| blob.0).unwrap_or_default().into();
    let message = v1::OutgoingMessage { client_id: item.client_id.to_vec().into(), ciphertext, ttl_seconds, urgent };
    v1::SendMessageRequest { group_id: id.to_vec().into(), message: Some(message), in_order: true, anew }
}
