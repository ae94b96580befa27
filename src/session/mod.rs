//! The life of one connection: handshake, syncing, live, draining, closed.
//!
//! One look at everything whenever something moves: finished requests, what others left, frames and a timer. What is
//! decided stands in the small parts beside this file ([`delivery`], [`heartbeat`]) and in [`crate::requests`].

mod allowance;
pub mod broken;
mod delivery;
mod expiry;
mod feeding;
mod handshake;
mod heartbeat;
pub mod link;
mod notices;
#[cfg(test)]
mod tests;
mod work;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::{Future as _, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt as _, future::join_all};
use sovereign_proto::v1::{self, push};

pub use self::handshake::{Credential, Peer};
use self::{
    allowance::Allowance,
    delivery::Delivery,
    expiry::Expiry,
    heartbeat::{Due, Heartbeat},
    link::{Event, Incoming, Link},
    work::{Done, Work},
};
use crate::{
    caller::{Connection, Identity},
    clock::{Instant, monotonic},
    codec::{self, FromClient, Malformed},
    hub::Registration,
    ids::{GroupId, LogId},
    limits::{self, Flow},
    memory::Share,
    refusal::{CloseCode, Refusal},
    server::Server,
    store::StoreError,
};

/// Runs a connection to its end.
pub async fn run<L: Link>(link: L, server: Arc<Server>, peer: Peer) {
    let _open = (!peer.operator).then(|| server.metrics.opened());
    // A panic before there is a session leaves no link to say so on.
    let opened = AssertUnwindSafe(Session::open(link, server, peer)).catch_unwind().await;
    let Some(mut session) = opened.unwrap_or_else(|_panic| {
        broken::incident("a connection panicked before its session");
        None
    }) else {
        return;
    };
    if AssertUnwindSafe(session.live()).catch_unwind().await.is_err() {
        session.broken().await;
    }
    let begun = std::mem::take(&mut session.work);
    if !begun.is_empty() {
        // What the store has taken is done, whoever is gone: others have to be woken, and to be cut off.
        tokio::spawn(tokio::time::timeout(limits::HANDLER_DEADLINE, join_all(begun)));
    }
}

/// How a connection ends whose log cannot be read. Whoever comes back finds its position where it was.
fn close_code(error: StoreError) -> CloseCode {
    match error {
        StoreError::Busy | StoreError::LogLong | StoreError::DiskLow => CloseCode::Overloaded,
        StoreError::Unread | StoreError::Failed => CloseCode::Fault,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Answers what is in flight, then closes with 1012.
    Draining,
    /// The close frame is on its way; waiting for the peer's until then.
    Closing(Instant),
    Closed,
}

/// The bytes of a request that is being handled.
#[derive(Clone, Copy, Default)]
struct InFlight {
    request: usize,
    /// At most.
    answer: usize,
}

struct Session<L> {
    link: L,
    server: Arc<Server>,
    connection: Arc<Connection>,
    phase: Phase,
    /// Since when the connection is not authenticated; `None` once it is.
    guest_since: Option<Instant>,
    registration: Option<Registration>,
    delivery: Option<Delivery>,
    /// Logs that have grown while a sign-in was under way: behind the snapshot that it read.
    woken_early: HashSet<LogId>,
    /// Of the task that the session runs in.
    waker: Waker,
    /// In the order it was begun, which is mostly that in which it ends.
    work: VecDeque<Work>,
    /// Requests in flight.
    in_flight: HashMap<u64, InFlight>,
    /// Their bytes, and those that their answers may have: the window.
    bytes_in_flight: usize,
    /// Their bytes alone, which they hold. An answer is held once there is one: whoever asks for much at once would
    /// otherwise make memory look short for all.
    held_in_flight: usize,
    /// A position or a page is being read from the store.
    reading: bool,
    /// Acknowledgements are being made durable.
    acknowledging: bool,
    /// The store is being asked who may hear a signal.
    settling: bool,
    signals: Allowance,
    heartbeat: Heartbeat,
    /// The end of the token it came by.
    expiry: Option<Expiry>,
    /// Since when the socket has not taken all that was fed to it, or has at least made progress.
    refusing_since: Option<Instant>,
    /// Bytes fed so far, and how many of them the socket had taken at the last look.
    fed: usize,
    taken: usize,
    /// What it holds of the memory of all.
    share: Share,
    malformed: u32,
    /// Requests refused as too many, with none done between.
    limited: u32,
    control_frames: u32,
}

impl<L: Link> Session<L> {
    async fn live(&mut self) {
        let inbox = Arc::clone(&self.connection.inbox);
        let server = Arc::clone(&self.server);
        let (mut arrived, mut goodbye) = (pin!(inbox.arrived()), pin!(server.goodbye()));
        let mut timer = pin!(tokio::time::sleep_until(self.deadline()));
        poll_fn(|cx| {
            self.waker.clone_from(cx.waker());
            self.progress();
            while arrived.as_mut().poll(cx).is_ready() {
                arrived.set(inbox.arrived());
                self.read_mail();
            }
            if self.guest() {
                // Nobody else knows of it. What it is woken for is looked at in every turn.
                let _ = goodbye.as_mut().poll(cx);
            }
            self.exchange(cx, timer.as_mut())
        })
        .await;
    }

    /// Polls what is under way. There is little of it, and what moves moves together: the writer answers whole batches.
    fn progress(&mut self) {
        let waker = self.waker.clone();
        let mut index = 0;
        while index < self.work.len() {
            match self.work[index].poll_unpin(&mut Context::from_waker(&waker)) {
                Poll::Ready(done) => {
                    drop(self.work.remove(index));
                    self.finished(done);
                }
                Poll::Pending => index += 1,
            }
        }
    }

    /// Takes frames in and puts out what there is to say. Everything is fed before anything is written, so that whatever
    /// is said at the same time costs one write.
    fn exchange(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut tokio::time::Sleep>) -> Poll<()> {
        for _ in 0..limits::FRAMES_PER_TURN {
            self.pump();
            self.pump_hints();
            self.share.hold(self.held_in_flight + self.link.unread() + self.link.pending());
            self.drain();
            if self.phase == Phase::Closed {
                return Poll::Ready(());
            }
            let read = self.may_read();
            if let Poll::Ready(event) = self.link.poll(cx, read) {
                self.happened(event);
            } else if !self.is_due(cx, timer.as_mut()) {
                return Poll::Pending;
            }
        }
        // A peer that never pauses keeps nothing from its deadline, and others come first now.
        self.is_due(cx, timer.as_mut());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether a deadline has passed, and something was done about it. It is looked for on the clock: a timer says nothing to
    /// who has used up its turn. The timer wakes the session; it is moved when it runs out and not with every frame that moves
    /// the deadline.
    fn is_due(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut tokio::time::Sleep>) -> bool {
        let deadline = self.deadline();
        if monotonic() >= deadline {
            self.timed_out();
            self.progress();
            return true;
        }
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            timer.as_mut().reset(deadline);
        }
        false
    }

    fn guest(&self) -> bool {
        matches!(self.connection.identity, Identity::Guest)
    }

    /// Bytes that may wait for the socket before no more entries are fed.
    fn send_room(&self) -> usize {
        let room = self.flow().send_buffer;
        if self.server.memory.is_tight() { room.min(limits::HELD_WHEN_TIGHT) } else { room }
    }

    fn flow(&self) -> &Flow {
        &self.server.settings.limits.flow
    }

    /// Reading stops while the windows in flight are full, while answers pile up, while a guest's attempt is decided, and
    /// while acknowledgements are made durable or a signal waits for the store: nobody fills its queues with them.
    fn may_read(&self) -> bool {
        let flow = self.flow();
        let in_flight = self.in_flight.len() < flow.requests_in_flight && self.bytes_in_flight < flow.bytes_in_flight;
        let deciding = self.guest() && !self.in_flight.is_empty();
        match self.phase {
            Phase::Open => {
                let waits = self.acknowledging || self.settling;
                // Whoever holds much gets on by its own answers and its own reading. What has come and was not read goes only
                // by being read.
                let held = self.held_in_flight + self.link.pending();
                let tight = self.server.memory.is_tight() && held > limits::HELD_WHEN_TIGHT;
                in_flight && !deciding && !waits && !tight && self.link.pending() < flow.send_buffer_hard
            }
            Phase::Draining | Phase::Closed => false,
            Phase::Closing(_) => true,
        }
    }

    fn happened(&mut self, event: Event) {
        let incoming = match event {
            Event::Flushed => return self.refusing_since = None,
            Event::In(incoming) => incoming,
        };
        self.heartbeat.heard(monotonic());
        if let Phase::Closing(_) = self.phase {
            if matches!(incoming, Incoming::Closed(_) | Incoming::Io | Incoming::Malformed | Incoming::TooBig) {
                self.phase = Phase::Closed;
            }
            return;
        }
        match incoming {
            Incoming::Frame(frame) => {
                self.control_frames = 0;
                self.frame(&frame);
            }
            Incoming::Text(_) => self.close(CloseCode::Text),
            Incoming::TooBig => self.close(CloseCode::TooBig),
            Incoming::Malformed => self.close(CloseCode::Malformed),
            Incoming::Ping | Incoming::Pong => {
                if matches!(incoming, Incoming::Ping) {
                    // Its pong waits to be taken like everything that is fed.
                    self.refusing_since.get_or_insert_with(monotonic);
                }
                self.control_frames += 1;
                if self.control_frames > limits::CONTROL_FRAMES_PER_INTERVAL {
                    self.close(CloseCode::RateAbuse);
                }
            }
            Incoming::Closed(_) | Incoming::Io => self.phase = Phase::Closed,
        }
    }

    fn frame(&mut self, frame: &bytes::Bytes) {
        match codec::decode(frame) {
            Ok(FromClient::Request { id, body }) => self.request(id, body, frame.len()),
            Ok(FromClient::Notice(notice)) => self.notice(notice),
            Err(malformed) => self.malformed(malformed),
        }
    }

    fn request(&mut self, id: u64, body: v1::request::Body, bytes: usize) {
        if self.in_flight.contains_key(&id) {
            return self.refuse(id, Refusal::invalid("this request_id is in flight"));
        }
        let in_flight = InFlight { request: bytes, answer: work::answer_bytes(&body) };
        let work = work::request(Arc::clone(&self.server), Arc::clone(&self.connection), id, body);
        self.in_flight.insert(id, in_flight);
        self.bytes_in_flight += in_flight.request + in_flight.answer;
        self.held_in_flight += in_flight.request;
        self.start(work);
    }

    /// Polls once at once, so that what the frames of one connection set going is set going in their order.
    fn start(&mut self, mut work: Work) {
        match work.poll_unpin(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(done) => self.finished(done),
            Poll::Pending => self.work.push_back(work),
        }
    }

    fn malformed(&mut self, malformed: Malformed) {
        if malformed.request_id != 0 && malformed.reason == codec::UNKNOWN_REQUEST {
            let refusal = Refusal::new(v1::FailureCode::Unimplemented, "this server does not know the request");
            return self.refuse(malformed.request_id, refusal);
        }
        self.malformed += 1;
        if self.malformed > limits::MALFORMED_FRAMES || malformed.request_id == 0 && !malformed.reason.contains("request_id") {
            return self.close(CloseCode::MalformedEnvelope);
        }
        self.refuse(malformed.request_id, Refusal::invalid(malformed.reason));
    }

    fn finished(&mut self, done: Done) {
        match done {
            Done::Answered { id, result } => self.answer(id, result),
            Done::Position(log, Ok(position)) => {
                self.reading = false;
                if let Some(delivery) = &mut self.delivery {
                    delivery.positioned(log, position);
                }
            }
            Done::Page(log, after, Ok(page)) => {
                self.reading = false;
                self.read_page(log, after, page);
            }
            Done::Acknowledged(Ok(groups)) => {
                self.acknowledging = false;
                self.opened(groups);
            }
            Done::Settled => self.settling = false,
            Done::Position(_, Err(error)) | Done::Page(_, _, Err(error)) | Done::Acknowledged(Err(error)) => {
                self.close(close_code(error));
            }
        }
    }

    /// Windows of these groups have become readable.
    fn opened(&mut self, groups: Vec<GroupId>) {
        let (Identity::Active(device), Some(delivery)) = (&self.connection.identity, &mut self.delivery) else { return };
        self.server.hub.subscribe(device.device, groups.iter().copied());
        groups.into_iter().for_each(|group| delivery.reopen(LogId::Group(group)));
    }

    fn answer(&mut self, id: u64, result: Result<v1::response::Body, Refusal>) {
        let done = self.in_flight.remove(&id).unwrap_or_default();
        self.bytes_in_flight -= done.request + done.answer;
        self.held_in_flight -= done.request;
        let was_guest = self.guest();
        match result {
            Ok(body) => {
                self.limited = 0;
                // A fresh token on this connection takes the place of the one it came by.
                if let (v1::response::Body::IssueToken(issued), Some(_)) = (&body, &self.expiry) {
                    self.expire_at(Some(issued.expires_at_ms));
                }
                self.feed(codec::response(id, body));
                self.admit();
            }
            Err(refusal) => {
                let code = refusal.code();
                self.refuse(id, refusal);
                if was_guest && code == v1::FailureCode::Unauthenticated {
                    let tried = *self.connection.attempt.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    self.close(if tried { CloseCode::AuthenticationFailed } else { CloseCode::Order });
                }
            }
        }
    }

    fn refuse(&mut self, id: u64, refusal: Refusal) {
        let code = refusal.code();
        self.server.metrics.refused(code);
        self.feed(codec::failure(id, refusal.into_failure()));
        if code == v1::FailureCode::RateLimited {
            // Whoever heeds the wait that each of them names does not come here.
            self.limited += 1;
            if self.limited > limits::LIMITED_IN_A_ROW {
                self.close(CloseCode::RateAbuse);
            }
        }
    }

    fn feed(&mut self, frame: bytes::Bytes) {
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            self.fed = self.fed.wrapping_add(frame.len());
            self.link.feed(frame);
            self.refusing_since.get_or_insert_with(monotonic);
        }
    }

    fn close(&mut self, code: CloseCode) {
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            tracing::debug!(code = code as u16, reason = code.reason(), "closing a connection");
            self.server.metrics.closed(code);
            self.link.start_close(code as u16, code.reason());
            self.phase = Phase::Closing(monotonic() + limits::CLOSE_DEADLINE);
            (self.delivery, self.registration) = (None, None);
        }
    }

    fn deadline(&self) -> Instant {
        if let Phase::Closing(until) = self.phase {
            return until;
        }
        let slow = self.refusing_since.map(|since| since + limits::SLOW_READER_DEADLINE);
        let guest = self.guest_since.map(|since| since + self.server.settings.authentication_deadline);
        // The timer rests while this side has stopped reading: the peer's silence is not its own.
        let heartbeat = if self.may_read() { self.heartbeat.deadline() } else { monotonic() + self.server.settings.heartbeat };
        let expiry = self.expiry.map(|expiry| expiry.deadline());
        // Requests are begun in the order of their deadlines.
        let request = self.work.iter().find_map(Work::deadline);
        [slow, guest, expiry, request].into_iter().flatten().fold(heartbeat, Instant::min)
    }

    fn timed_out(&mut self) {
        let now = monotonic();
        if let Phase::Closing(_) = self.phase {
            self.phase = Phase::Closed;
        } else if self.guest_since.is_some_and(|since| now >= since + self.server.settings.authentication_deadline) {
            self.close(CloseCode::AuthenticationDeadline);
        } else if self.refusing_since.is_some_and(|since| now >= since + limits::SLOW_READER_DEADLINE) {
            let taken = self.fed.wrapping_sub(self.link.pending());
            let progress = taken.wrapping_sub(std::mem::replace(&mut self.taken, taken));
            if progress < limits::SLOW_READER_PROGRESS {
                self.close(CloseCode::SlowReader);
            } else {
                self.refusing_since = Some(now);
            }
        } else if self.expiry.is_some_and(|expiry| now >= expiry.deadline()) {
            self.expire(now);
        } else if !self.may_read() {
            self.heartbeat.heard(now);
        } else {
            match self.heartbeat.due(now) {
                Due::Nothing => {}
                Due::Dead => self.close(CloseCode::HeartbeatLost),
                Due::Ping => {
                    self.control_frames = 0;
                    self.link.feed_ping();
                }
            }
        }
    }

    /// The token that the session came by ends soon, or has ended.
    fn expire(&mut self, now: Instant) {
        match self.expiry.as_mut().map(|expiry| expiry.due(now)) {
            Some(expiry::Due::Warning(expires_at_ms)) => {
                self.feed(codec::push(push::Body::SessionExpiring(v1::SessionExpiring { expires_at_ms })));
            }
            Some(expiry::Due::End) => self.close(CloseCode::SessionEnded),
            Some(expiry::Due::Nothing) | None => {}
        }
    }
}
