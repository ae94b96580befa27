//! A light device: it sends messages that nobody has to decrypt, in their order, resends what was not answered, and writes
//! down every entry as it came over the connection.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use sovereign_client::{
    clock::monotonic,
    load::{Device, Line, LineError, Mint, Route},
};
use sovereign_proto::v1::{self, FailureCode, entry, envelope, push, response};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Phase, Phases, Town, standing::Standing};
use crate::{
    history::{Item, What},
    random::Stream,
};

/// Longest wait for a connection to stand.
const SIGN_IN: Duration = Duration::from_secs(10);
/// Silence after which a connection is given up while an answer is due.
const SILENCE: Duration = Duration::from_secs(4);
/// Before something that was refused for now is tried again.
const PUT_OFF_MS: u64 = 20;
/// Answers may come this far ahead of entries.
const BATCH: usize = 64;

/// A light device.
pub(crate) struct Courier {
    pub(crate) dev: u32,
    pub(crate) device: Device,
    pub(crate) route: Route,
    pub(crate) town: Arc<Town>,
    pub(crate) sends: Option<Sends>,
    pub(crate) chance: Stream,
    pub(crate) conn: u32,
    pub(crate) standing: Standing,
}

/// What it sends, and how fast.
pub(crate) struct Sends {
    pub(crate) g: u32,
    pub(crate) mint: Mint,
    /// Messages without an answer at most.
    pub(crate) window: usize,
    /// Longest pause between two messages, in milliseconds.
    pub(crate) pause_ms: u64,
}

/// A message without an answer.
struct Waiting {
    op: u64,
    request: u64,
    /// Refused for now, as are all behind it: they are sent again together, and nothing new before.
    refused: bool,
}

/// Why a connection is left.
enum Left {
    Broken(LineError),
    /// The run is over.
    Done,
}

impl Courier {
    /// Takes part until the run is over, or the device is revoked.
    pub(crate) async fn live(mut self, mut phases: Phases) {
        let mut waiting = VecDeque::new();
        loop {
            if *phases.borrow() == Phase::End {
                return;
            }
            let signing_in = timeout(SIGN_IN, self.device.sign_in(&self.route));
            let line = tokio::select! {
                line = signing_in => line.unwrap_or_else(|_| Err(LineError::Network("no sign-in in time".to_owned()))),
                _over = phases.wait_for(|phase| *phase == Phase::End) => return,
            };
            self.conn += 1;
            let left = match line {
                Ok(mut line) => {
                    self.standing.connected(&mut line, &self.device);
                    self.stay(line, &mut waiting, &mut phases).await
                }
                Err(error) => Left::Broken(error),
            };
            let Left::Broken(error) = left else { return };
            self.record(What::Gone { dev: self.dev, conn: self.conn, why: error.to_string() });
            if is_for_good(&error) {
                self.town.history.forget(waiting.len());
                return;
            }
            sleep(Duration::from_millis(self.chance.within(1, 30))).await;
        }
    }

    async fn stay(&mut self, mut line: Line, waiting: &mut VecDeque<Waiting>, phases: &mut Phases) -> Left {
        self.send_again(&mut line, waiting);
        let mut due = monotonic();
        let mut heard = monotonic();
        loop {
            let phase = *phases.borrow_and_update();
            if phase == Phase::End {
                let _in_time = timeout(SIGN_IN, line.close()).await;
                return Left::Done;
            }
            let full = self.sends.as_ref().is_none_or(|sends| waiting.len() >= sends.window);
            let room = !full && phase == Phase::Work && waiting.iter().all(|one| !one.refused);
            let deadline = if waiting.is_empty() { heard + SILENCE * 60 } else { heard + SILENCE };
            let came = tokio::select! {
                came = line.next() => Some(came),
                () = sleep_until(due), if room => None,
                () = sleep_until(self.standing.due()) => {
                    self.standing.say(&mut line, &self.device);
                    continue;
                }
                _changed = phases.changed() => continue,
                () = sleep_until(deadline) => return Left::Broken(LineError::Network("silence".to_owned())),
            };
            match came {
                Some(Ok(envelope)) => {
                    heard = monotonic();
                    let mut next = Some(envelope);
                    let mut taken = 0;
                    while let Some(envelope) = next {
                        if let Err(error) = self.take(&mut line, envelope, waiting).await {
                            return Left::Broken(error);
                        }
                        taken += 1;
                        next = if taken < BATCH { line.ready().unwrap_or(None) } else { None };
                    }
                }
                Some(Err(error)) => return Left::Broken(error),
                None => due = self.say(&mut line, waiting),
            }
        }
    }

    /// Sends something new; when the next is due.
    fn say(&mut self, line: &mut Line, waiting: &mut VecDeque<Waiting>) -> Instant {
        let Some(sends) = &self.sends else { return monotonic() };
        let (g, pause_ms) = (sends.g, sends.pause_ms);
        let op = self.town.history.number();
        self.record(What::Invoke { op, dev: self.dev, g });
        let request = self.send(line, op, waiting.is_empty());
        waiting.push_back(Waiting { op, request, refused: false });
        monotonic() + Duration::from_millis(if pause_ms == 0 { 0 } else { self.chance.below(pause_ms + 1) })
    }

    /// The same bytes under the same id, whenever it is sent.
    fn send(&mut self, line: &mut Line, op: u64, anew: bool) -> u64 {
        self.sends.as_mut().map_or(0, |sends| line.send_in_order(&mut sends.mint, op, op, anew))
    }

    /// Everything that waits, from the first on. Nothing of it is on its way.
    fn send_again(&mut self, line: &mut Line, waiting: &mut VecDeque<Waiting>) {
        for (index, again) in waiting.iter_mut().enumerate() {
            again.request = self.send(line, again.op, index == 0);
            again.refused = false;
        }
    }

    async fn take(&mut self, line: &mut Line, envelope: v1::Envelope, waiting: &mut VecDeque<Waiting>) -> Result<(), LineError> {
        let request = envelope.request_id;
        if self.standing.answered(request, envelope.body.as_ref()) {
            return Ok(());
        }
        match envelope.body {
            Some(envelope::Body::Response(v1::Response { body: Some(response::Body::SendMessage(accepted)) })) => {
                if let Some(answered) = take_out(waiting, request) {
                    let g = self.sends.as_ref().map_or(0, |sends| sends.g);
                    self.record(What::Ok { op: answered.op, dev: self.dev, g, seq: accepted.seq });
                }
            }
            Some(envelope::Body::Failure(failure)) => self.refused(line, request, &failure, waiting).await,
            Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Entries(entries)) })) => self.entries(line, entries),
            Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Live(_)) })) => {
                self.record(What::Live { dev: self.dev, conn: self.conn });
            }
            _ => {}
        }
        Ok(())
    }

    async fn refused(&mut self, line: &mut Line, request: u64, failure: &v1::Failure, waiting: &mut VecDeque<Waiting>) {
        let Some(at) = waiting.iter().position(|one| one.request == request) else { return };
        let (op, dev) = (waiting[at].op, self.dev);
        let Some(g) = self.sends.as_ref().map(|sends| sends.g) else { return };
        let why = format!("{:?}: {}", failure.code(), failure.message);
        let passes = matches!(
            failure.code(),
            FailureCode::Unavailable
                | FailureCode::DeadlineExceeded
                | FailureCode::RateLimited
                | FailureCode::QuotaExceeded
                | FailureCode::Internal
        );
        if passes {
            self.record(What::PutOff { op, dev, g, why });
            waiting[at].refused = true;
        } else {
            waiting.remove(at);
            self.record(What::Fail { op, dev, g, why });
        }
        if !waiting.is_empty() && waiting.iter().all(|one| one.refused) {
            sleep(Duration::from_millis(failure.retry_after_ms.clamp(PUT_OFF_MS, 1000))).await;
            self.send_again(line, waiting);
        }
    }

    fn entries(&mut self, line: &mut Line, entries: v1::Entries) {
        let Some(last) = entries.entries.last().map(|entry| item(entry).range().1) else { return };
        let dev = self.dev;
        if entries.group_id.is_empty() {
            for entry in &entries.entries {
                self.own_log(entry);
                self.standing.own_log(line, entry);
            }
        } else if let Some(g) = self.town.number_of(&entries.group_id) {
            let items = entries.entries.iter().map(item).collect();
            self.record(What::Entries { dev, conn: self.conn, g, items });
        }
        line.acknowledge(entries.group_id, last);
    }

    fn own_log(&self, entry: &v1::Entry) {
        let number = |id: &Bytes| self.town.number_of(id);
        match &entry.body {
            Some(entry::Body::Welcome(welcome)) => {
                if let Some(g) = number(&welcome.group_id) {
                    self.record(What::Join { dev: self.dev, g, seq: Some(welcome.join_seq) });
                }
            }
            Some(entry::Body::Removed(removed)) => {
                if let Some(g) = number(&removed.group_id) {
                    self.record(What::Leave { dev: self.dev, g, seq: Some(removed.leave_seq) });
                }
            }
            _ => {}
        }
    }

    fn record(&self, what: What) {
        self.town.history.record(what);
    }
}

fn take_out(waiting: &mut VecDeque<Waiting>, request: u64) -> Option<Waiting> {
    let at = waiting.iter().position(|one| one.request == request)?;
    waiting.remove(at)
}

/// The device is out, and no further try changes that.
fn is_for_good(error: &LineError) -> bool {
    match error {
        LineError::Refused(failure) => {
            matches!(failure.code(), FailureCode::Unauthenticated | FailureCode::Forbidden | FailureCode::NotFound)
        }
        LineError::Untrusted(_) | LineError::Unusable(_) => true,
        LineError::Closed { .. } | LineError::Network(_) => false,
    }
}

fn item(entry: &v1::Entry) -> Item {
    let seq = entry.seq;
    match &entry.body {
        // What a mint made carries its number; anything else is encrypted, and its end is noise.
        Some(entry::Body::Message(message)) => Item::Message(seq, minted(message)),
        Some(entry::Body::Own(own)) if matches!(own.what, Some(v1::own::What::ClientId(_))) => Item::Own(seq),
        Some(entry::Body::Commit(commit)) => Item::Commit(seq, epoch(commit)),
        Some(entry::Body::Skipped(skipped)) => Item::Skipped(seq, skipped.to),
        _ => Item::Other(seq),
    }
}

/// The number that stands in a minted message. Its id is made of it, which no ciphertext matches by chance.
fn minted(message: &[u8]) -> u64 {
    let Some(stamp) = Mint::stamp(message) else { return 0 };
    let spread = stamp.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let id = &message[message.len() - sovereign_client::load::ID_BYTES..];
    if id.starts_with(&spread) { stamp } else { 0 }
}

/// The epoch of a `PublicMessage` (RFC 9420, section 6): version, wire format, group id of 32 bytes, epoch.
fn epoch(commit: &[u8]) -> u64 {
    const AT: usize = 2 + 2 + 1 + 32;
    commit.get(AT..AT + 8).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_be_bytes)
}
