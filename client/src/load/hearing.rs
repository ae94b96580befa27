//! What comes in on a line, as far as a measurement is interested.

use bytes::Bytes;
use sovereign_proto::v1::{self, entry, envelope, own, push, response};

use super::{Line, LineError, Mint};

/// Something that the server said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message was accepted durably.
    Accepted {
        /// The id of its request.
        request: u64,
    },
    /// A request was refused.
    Refused {
        /// Its id.
        request: u64,
        /// The name of the failure's code.
        code: &'static str,
    },
    /// Entries of a log, ascending.
    Entries {
        /// The group; empty: the device's own log.
        log: Bytes,
        /// The last entry's seq, up to which they are acknowledged.
        last: u64,
        /// The messages among them.
        messages: Vec<Arrived>,
    },
    /// Everything up to the sign-in has come.
    Live,
    /// A signal.
    Signal,
    /// Something else.
    Other,
}

/// A message of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its place in the log.
    pub seq: u64,
    /// What its mint stamped it with; `None`: this device itself has sent it.
    pub stamp: Option<u64>,
}

impl Line {
    /// Queues the message of this number; the id of its request.
    pub fn send(&mut self, mint: &mut Mint, number: u64, stamp: u64) -> u64 {
        self.feed(mint.request(number, stamp))
    }

    /// The same, and no later one overtakes it. `anew`: all that was sent in this group has been answered.
    pub fn send_in_order(&mut self, mint: &mut Mint, number: u64, stamp: u64, anew: bool) -> u64 {
        self.feed(v1::SendMessageRequest { in_order: true, anew, ..mint.request(number, stamp) })
    }

    /// What comes next. Cancel safe.
    pub async fn hear(&mut self) -> Result<Heard, LineError> {
        Ok(heard(self.next().await?))
    }

    /// What has arrived already, if anything.
    pub fn heard(&mut self) -> Result<Option<Heard>, LineError> {
        Ok(self.ready()?.map(heard))
    }

    /// Acknowledges whatever comes, until everything up to the sign-in has.
    pub async fn until_live(&mut self) -> Result<(), LineError> {
        loop {
            match self.hear().await? {
                Heard::Live => return self.flush().await,
                Heard::Entries { log, last, .. } => self.acknowledge(log, last),
                _ => {}
            }
        }
    }
}

fn heard(envelope: v1::Envelope) -> Heard {
    let request = envelope.request_id;
    match envelope.body {
        Some(envelope::Body::Response(v1::Response { body: Some(response::Body::SendMessage(_)) })) => {
            Heard::Accepted { request }
        }
        Some(envelope::Body::Failure(failure)) => Heard::Refused { request, code: failure.code().as_str_name() },
        Some(envelope::Body::Push(v1::Push { body: Some(push) })) => match push {
            push::Body::Entries(entries) => Heard::Entries {
                log: entries.group_id,
                last: entries.entries.last().map_or(0, |entry| entry.seq),
                messages: entries.entries.iter().filter_map(arrived).collect(),
            },
            push::Body::Live(_) => Heard::Live,
            push::Body::Signal(_) => Heard::Signal,
            _ => Heard::Other,
        },
        _ => Heard::Other,
    }
}

fn arrived(entry: &v1::Entry) -> Option<Arrived> {
    match &entry.body {
        Some(entry::Body::Message(message)) => Some(Arrived { seq: entry.seq, stamp: Some(Mint::stamp(message).unwrap_or(0)) }),
        Some(entry::Body::Own(v1::Own { what: Some(own::What::ClientId(_)), .. })) => {
            Some(Arrived { seq: entry.seq, stamp: None })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(body: push::Body) -> v1::Envelope {
        v1::Envelope { request_id: 0, body: Some(envelope::Body::Push(v1::Push { body: Some(body) })) }
    }

    #[test]
    fn messages_of_others_have_stamps_and_own_ones_have_none() {
        let (_, message) = Mint::new(Bytes::from_static(&[7; 32]), 1, 200).message(1, 99);
        let own = v1::Own { what: Some(own::What::ClientId(Bytes::new())), ..v1::Own::default() };
        let entry = |seq, body| v1::Entry { seq, body: Some(body), ..v1::Entry::default() };
        let entries = vec![
            entry(4, entry::Body::Commit(Bytes::new())),
            entry(5, entry::Body::Message(message)),
            entry(6, entry::Body::Own(own)),
        ];
        let heard = heard(pushed(push::Body::Entries(v1::Entries { group_id: Bytes::new(), entries })));
        let messages = vec![Arrived { seq: 5, stamp: Some(99) }, Arrived { seq: 6, stamp: None }];
        assert_eq!(heard, Heard::Entries { log: Bytes::new(), last: 6, messages });
    }

    #[test]
    fn answers_keep_their_request() {
        let failure = v1::Failure { code: v1::FailureCode::RateLimited.into(), ..v1::Failure::default() };
        let refused = v1::Envelope { request_id: 9, body: Some(envelope::Body::Failure(failure)) };
        assert_eq!(heard(refused), Heard::Refused { request: 9, code: v1::FailureCode::RateLimited.as_str_name() });
        assert_eq!(heard(pushed(push::Body::Live(v1::Live {}))), Heard::Live);
        assert_eq!(heard(v1::Envelope::default()), Heard::Other);
    }
}
