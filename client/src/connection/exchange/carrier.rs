//! The task that makes the requests of one exchange session.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use prost::Message as _;
use sovereign_proto::{exchange, v1};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    Told,
    http::{Answer, Asked, Connect, Failed, Kept},
};
use crate::connection::socket::Incoming;

/// How long the server may hold a request.
const WAIT: Duration = Duration::from_secs(25);
/// Bytes of frames of one request, unless a single one is larger.
const REQUEST_BYTES: usize = 256 * 1024;
/// Failures in a row after which the session is given up.
const FAILURES_MAX: u32 = 5;
/// The pause after the second failure in a row; doubled with each further one.
const PAUSE: Duration = Duration::from_millis(250);

/// A request on its way.
type Asking = Pin<Box<dyn Future<Output = (Option<Kept>, Result<Answer, Failed>)> + Send>>;

pub(super) struct Carrier<C> {
    connect: Arc<C>,
    authority: Arc<str>,
    told: mpsc::UnboundedReceiver<Told>,
    came: mpsc::Sender<Incoming>,
    confirm: watch::Sender<u64>,
    session: Option<String>,
    /// Frames of the server so far.
    received: u64,
    /// Frames of ours that the server has.
    confirmed: u64,
    /// Ours behind those.
    outgoing: VecDeque<Bytes>,
    /// Frames of ours that the newest request carries, or that were carried before.
    carried: u64,
    asking: FuturesUnordered<Asking>,
    kept: Vec<Kept>,
    failures: u32,
    goodbye: Option<u16>,
}

impl<C: Connect> Carrier<C> {
    pub(super) fn new(
        connect: C,
        authority: String,
        told: mpsc::UnboundedReceiver<Told>,
        came: mpsc::Sender<Incoming>,
        confirm: watch::Sender<u64>,
    ) -> Self {
        Self {
            connect: Arc::new(connect),
            authority: authority.into(),
            told,
            came,
            confirm,
            session: None,
            received: 0,
            confirmed: 0,
            outgoing: VecDeque::new(),
            carried: 0,
            asking: FuturesUnordered::new(),
            kept: Vec::new(),
            failures: 0,
            goodbye: None,
        }
    }

    /// Runs until the session ends, or nobody wants it any more.
    pub(super) async fn run(mut self) {
        while self.goodbye.is_none() {
            self.ask_if_due();
            let ended = tokio::select! {
                told = self.told.recv() => match told {
                    Some(Told::Frame(frame)) => {
                        self.outgoing.push_back(frame);
                        None
                    }
                    Some(Told::Goodbye(code)) => {
                        self.goodbye = Some(code);
                        None
                    }
                    None => return,
                },
                Some((kept, result)) = self.asking.next() => {
                    self.kept.extend(kept.filter(Kept::is_good));
                    self.answered(result).await
                }
            };
            if let Some(ended) = ended {
                // Whoever reads no more does not want to know.
                drop(self.came.send(ended).await);
                return;
            }
        }
        self.say_goodbye().await;
    }

    /// One request waits at the server; another one goes when there is more to send than it carries. Until the session
    /// has an id there can be only one.
    fn ask_if_due(&mut self) {
        let behind = self.confirmed + self.outgoing.len() as u64 > self.carried;
        let due = match self.asking.len() {
            0 => true,
            1 => behind && self.session.is_some(),
            _ => false,
        };
        if due {
            // The first request only opens the session: nothing is held for a Hello that is there at once.
            let asked = self.asked(WAIT);
            self.ask(asked);
        }
    }

    fn asked(&mut self, wait: Duration) -> Asked {
        let mut bytes = 0;
        let fits = |frame: &&Bytes| {
            bytes += frame.len();
            bytes <= REQUEST_BYTES || bytes == frame.len()
        };
        let frames: Vec<&Bytes> = self.outgoing.iter().take_while(fits).collect();
        self.carried = self.confirmed + frames.len() as u64;
        let body = exchange::join(frames.into_iter());
        let (session, received, sent) = (self.session.clone(), self.received, self.confirmed);
        Asked { session, received, sent, wait, closed: self.goodbye, body }
    }

    fn ask(&mut self, asked: Asked) {
        let (connect, authority) = (Arc::clone(&self.connect), Arc::clone(&self.authority));
        self.kept.retain(Kept::is_good);
        let kept = self.kept.pop();
        let pause = match self.failures {
            0 | 1 => Duration::ZERO,
            failures => PAUSE * 2_u32.pow(failures - 2),
        };
        self.asking.push(Box::pin(async move {
            sleep(pause).await;
            let mut kept = match kept {
                Some(kept) => kept,
                None => match Kept::new(&*connect).await {
                    Ok(kept) => kept,
                    Err(failed) => return (None, Err(failed)),
                },
            };
            let result = kept.ask(&authority, asked).await;
            (result.is_ok().then_some(kept), result)
        }));
    }

    /// Takes an answer; what it tells the reader to end with, if anything.
    async fn answered(&mut self, result: Result<Answer, Failed>) -> Option<Incoming> {
        let answer = match result {
            Ok(answer) => answer,
            Err(Failed::Network(text)) => {
                self.failures += 1;
                // What was carried may not have arrived.
                self.carried = self.confirmed;
                return (self.failures >= FAILURES_MAX).then_some(Incoming::Broken(text));
            }
            Err(Failed::Gone) => return Some(Incoming::Closed { code: 1006, reason: "the session is over".to_owned() }),
            Err(Failed::Refused(text)) => return Some(Incoming::Broken(text)),
        };
        self.failures = 0;
        self.session = Some(answer.session);
        self.confirm(answer.received);
        let known = usize::try_from(self.received.saturating_sub(answer.sent)).unwrap_or(usize::MAX);
        if answer.sent > self.received {
            return Some(Incoming::Malformed("frames are missing before these".to_owned()));
        }
        for frame in answer.frames.into_iter().skip(known) {
            self.received += 1;
            let incoming = match v1::Envelope::decode(frame) {
                Ok(envelope) => Incoming::Envelope(Box::new(envelope)),
                Err(error) => return Some(Incoming::Malformed(error.to_string())),
            };
            if self.came.send(incoming).await.is_err() {
                self.goodbye.get_or_insert(1000);
                return None;
            }
        }
        if let Some(code) = answer.closed {
            return Some(Incoming::Closed { code, reason: String::new() });
        }
        // A sign of life, if there is room for it.
        drop(self.came.try_send(Incoming::Alive));
        None
    }

    fn confirm(&mut self, received: u64) {
        let all = self.confirmed + self.outgoing.len() as u64;
        while self.confirmed < received.min(all) {
            self.outgoing.pop_front();
            self.confirmed += 1;
        }
        self.carried = self.carried.max(self.confirmed);
        self.confirm.send_replace(self.confirmed);
    }

    /// What is left goes along with the goodbye.
    async fn say_goodbye(&mut self) {
        self.asking.clear();
        while let Ok(told) = self.told.try_recv() {
            if let Told::Frame(frame) = told {
                self.outgoing.push_back(frame);
            }
        }
        if self.session.is_some() {
            let asked = self.asked(Duration::ZERO);
            self.ask(asked);
            // Heard or not: nothing is waited for behind it.
            drop(self.asking.next().await);
        }
    }
}
