//! The life of one authenticated connection: frames in, calls and acknowledgements out, a heartbeat, an end.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use sovereign_proto::v1::{self, envelope, push};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};
use tokio_websockets::CloseCode;

use super::{
    CallError, Cause, ConnectionEvent, ConnectionState,
    acknowledgements::Acknowledgements,
    calls::{Answer, Command},
    close::{self, Action},
    hello::Verified,
    pending::Pending,
    run::{Parts, stop_asked},
    socket::{self, Incoming, Socket},
};

/// A server that answers no ping for this long is gone.
const PING_DEADLINE: Duration = Duration::from_secs(10);
/// A connection that was live for this long is a success: the backoff starts again.
const PROVEN_AFTER: Duration = Duration::from_secs(30);
/// Events that may wait to be taken before reading stops.
const EVENTS_MAX: usize = 4096;
/// Events beyond which signals are dropped.
const EVENTS_BEFORE_SIGNALS_MAX: usize = 256;

/// How a connection ended.
pub(super) struct Ended {
    pub(super) cause: Cause,
    pub(super) action: Action,
    /// The server's wish, in milliseconds.
    pub(super) floor_ms: u64,
    /// Live long enough to count as a success.
    pub(super) proven: bool,
    /// Events that were not taken yet.
    pub(super) untold: VecDeque<ConnectionEvent>,
}

/// One authenticated connection.
pub(super) struct Life<S> {
    socket: Socket<S>,
    pending: Pending,
    frame_bytes: usize,
    /// A call that waits for room, already encoded: its id, its frame, who waits.
    held: Option<(u64, Vec<u8>, oneshot::Sender<Answer>)>,
    untold: VecDeque<ConnectionEvent>,
    /// What the server said it is about to do.
    closing: Option<v1::Closing>,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
    /// A ping is out and nothing was heard since.
    pinged: bool,
    /// Runs from Live on.
    proving: Option<Pin<Box<Sleep>>>,
    proven: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Life<S> {
    /// `used` is the last request id that was used on the socket; `early` are pushes that overtook the sign-in's answer.
    pub(super) fn new(
        socket: Socket<S>,
        verified: &Verified,
        used: u64,
        session: v1::Session,
        early: VecDeque<push::Body>,
    ) -> Self {
        let silence_max = verified.heartbeat_interval * 2;
        let mut life = Self {
            socket,
            pending: Pending::new(used, verified.requests_in_flight, verified.bytes_in_flight),
            frame_bytes: verified.frame_bytes,
            held: None,
            untold: VecDeque::from([ConnectionEvent::SignedIn { session, generation: verified.store_generation }]),
            closing: None,
            silence_max,
            silence: Box::pin(sleep(silence_max)),
            pinged: false,
            proving: None,
            proven: false,
        };
        for push in early {
            life.push(push);
        }
        life
    }

    /// Lives until something ends it.
    pub(super) async fn run(mut self, parts: &mut Parts) -> Ended {
        let Parts { commands, events, stopping, acknowledgements, signals, .. } = parts;
        signals.clear();
        let (cause, action) = loop {
            let ended = tokio::select! {
                () = stop_asked(stopping) => break self.goodbye(acknowledgements).await,
                permit = events.reserve(), if !self.untold.is_empty() => self.tell(permit),
                incoming = self.socket.next(self.untold.len() < EVENTS_MAX) => self.take(incoming),
                command = commands.recv(), if self.held.is_none() && self.pending.has_room() => match command {
                    Some(command) => self.call(command),
                    None => break self.goodbye(acknowledgements).await,
                },
                notice = acknowledgements.take(), if self.socket.is_flushed() => {
                    self.socket.feed(socket::notice(notice));
                    None
                }
                notice = signals.take(), if self.socket.is_flushed() => {
                    self.socket.feed(socket::notice(notice));
                    None
                }
                () = &mut self.silence => self.fell_silent(),
                () = until(&mut self.proving) => {
                    self.proving = None;
                    self.proven = true;
                    None
                }
            };
            if let Some(ended) = ended {
                self.socket.acknowledge_close().await;
                break ended;
            }
        };
        let floor_ms = self.closing.map_or(0, |closing| closing.reconnect_after_ms);
        Ended { cause, action, floor_ms, proven: self.proven, untold: self.untold }
    }

    /// What was processed is acknowledged before the end, so that it does not come again.
    async fn goodbye(&mut self, acknowledgements: &Acknowledgements) -> (Cause, Action) {
        while let Some(notice) = acknowledgements.try_take() {
            self.socket.feed(socket::notice(notice));
        }
        self.socket.close(CloseCode::NORMAL_CLOSURE, "").await;
        (Cause::Requested, Action::Stop)
    }

    fn tell(&mut self, permit: Result<mpsc::Permit<'_, ConnectionEvent>, mpsc::error::SendError<()>>) -> Option<(Cause, Action)> {
        match permit {
            Ok(permit) => {
                if let Some(event) = self.untold.pop_front() {
                    permit.send(event);
                }
                None
            }
            // Nobody listens any more.
            Err(_) => Some((Cause::Requested, Action::Stop)),
        }
    }

    fn take(&mut self, incoming: Incoming) -> Option<(Cause, Action)> {
        if !matches!(incoming, Incoming::Flushed) {
            self.pinged = false;
            self.silence.set(sleep(self.silence_max));
        }
        match incoming {
            Incoming::Alive | Incoming::Flushed => None,
            Incoming::Envelope(envelope) => {
                self.envelope(*envelope);
                None
            }
            Incoming::Malformed(text) => Some((Cause::Protocol(text), Action::RetryAfterDelay)),
            Incoming::Closed { code, reason } if code != 1006 => Some((close::cause(code, &reason), close::action(code))),
            Incoming::Closed { .. } => Some(self.broke_off(Cause::Closed { code: 1006, reason: String::new() })),
            Incoming::Broken(text) => Some(self.broke_off(Cause::Network(text))),
        }
    }

    /// The stream ended without a close frame: what the server announced before counts, if it announced anything.
    fn broke_off(&self, cause: Cause) -> (Cause, Action) {
        match &self.closing {
            Some(closing) => {
                let code = u16::try_from(closing.code).unwrap_or(1006);
                (close::cause(code, &closing.reason), close::action(code))
            }
            None => (cause, Action::RetryAfterDelay),
        }
    }

    fn envelope(&mut self, envelope: v1::Envelope) {
        match envelope.body {
            Some(envelope::Body::Response(response)) => {
                // A body this version does not know answers nothing it asked.
                if let Some(body) = response.body {
                    self.pending.answer(envelope.request_id, Ok(body));
                    self.send_held();
                }
            }
            Some(envelope::Body::Failure(failure)) => {
                self.pending.answer(envelope.request_id, Err(failure));
                self.send_held();
            }
            Some(envelope::Body::Push(v1::Push { body: Some(push) })) => self.push(push),
            // Pushes of a newer version; and servers send neither requests nor notices.
            _ => {}
        }
    }

    fn push(&mut self, push: push::Body) {
        match push {
            push::Body::Hello(_) => {}
            push::Body::Closing(closing) => self.closing = Some(closing),
            push::Body::Signal(_) if self.untold.len() >= EVENTS_BEFORE_SIGNALS_MAX => {}
            push::Body::Live(live) => {
                self.proving = Some(Box::pin(sleep(PROVEN_AFTER)));
                self.untold.push_back(ConnectionEvent::State(ConnectionState::Live, Cause::Proceeding));
                self.untold.push_back(ConnectionEvent::Push(push::Body::Live(live)));
            }
            push => self.untold.push_back(ConnectionEvent::Push(push)),
        }
    }

    fn call(&mut self, command: Command) -> Option<(Cause, Action)> {
        let id = self.pending.next_id();
        let frame = socket::request(id, command.body);
        if frame.len() > self.frame_bytes {
            let reason = format!("{} bytes are more than the server takes at once ({})", frame.len(), self.frame_bytes);
            drop(command.answer.send(Err(CallError::Unsendable(reason))));
        } else {
            self.held = Some((id, frame, command.answer));
            self.send_held();
        }
        None
    }

    fn send_held(&mut self) {
        if let Some((id, frame, answer)) = self.held.take_if(|(_, frame, _)| self.pending.fits(frame.len())) {
            self.pending.insert(id, frame.len(), answer);
            self.socket.feed(frame);
        }
    }

    fn fell_silent(&mut self) -> Option<(Cause, Action)> {
        if self.pinged {
            return Some((Cause::HeartbeatLost, Action::RetryNow));
        }
        self.pinged = true;
        let id = self.pending.next_id();
        // The echo is of no use here: any sign of life counts, and nobody measures the way.
        self.socket.feed(socket::request(id, v1::request::Body::Ping(v1::PingRequest { client_time_ms: 0 })));
        self.silence.set(sleep(PING_DEADLINE));
        None
    }
}

async fn until(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
