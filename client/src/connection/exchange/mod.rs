//! Envelopes over requests: the fallback for networks that cut `WebSockets` (docs/protocol, Exchange).
//!
//! A task makes the requests. One of them always waits at the server for something to come; when there is something to
//! send meanwhile, a second one carries it and waits in the first one's place. Both directions are numbered, so that a
//! request whose answer was lost is simply made again.

mod carrier;
mod http;

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use self::carrier::Carrier;
pub(super) use self::http::{Connect, Failed};
use super::socket::Incoming;

/// How long a goodbye may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// Envelopes that may wait to be taken before no more are asked for.
const WAITING_MAX: usize = 256;

/// What the carrier is told.
enum Told {
    Frame(Bytes),
    Goodbye(u16),
}

/// The handle of the task; it ends with it.
pub(super) struct Exchange {
    /// Bounded by the requests in flight of whoever feeds.
    told: mpsc::UnboundedSender<Told>,
    incoming: mpsc::Receiver<Incoming>,
    /// How many frames the server has.
    confirmed: watch::Receiver<u64>,
    fed: u64,
}

impl Exchange {
    /// Starts making requests over the connections that `connect` makes.
    pub(super) fn start<C: Connect>(connect: C, authority: String) -> Self {
        let (told, to_tell) = mpsc::unbounded_channel();
        let (came, incoming) = mpsc::channel(WAITING_MAX);
        let (confirm, confirmed) = watch::channel(0);
        tokio::spawn(Carrier::new(connect, authority, to_tell, came, confirm).run());
        Self { told, incoming, confirmed, fed: 0 }
    }

    pub(super) fn feed(&mut self, envelope: Vec<u8>) {
        self.fed += 1;
        // A carrier that has ended takes nothing: reading tells why.
        drop(self.told.send(Told::Frame(envelope.into())));
    }

    pub(super) fn is_flushed(&self) -> bool {
        *self.confirmed.borrow() == self.fed
    }

    /// Waits for what comes in, or for the server to have all that was fed. Cancel safe.
    pub(super) async fn next(&mut self, reading: bool) -> Incoming {
        loop {
            tokio::select! {
                incoming = self.incoming.recv(), if reading => {
                    return incoming.unwrap_or(Incoming::Closed { code: 1006, reason: String::new() });
                }
                Ok(()) = self.confirmed.changed() => if self.is_flushed() { return Incoming::Flushed },
                else => std::future::pending().await,
            }
        }
    }

    /// Says goodbye and waits a little until the server has heard it.
    pub(super) async fn close(&mut self, code: u16) {
        drop(self.told.send(Told::Goodbye(code)));
        drop(timeout(CLOSE_DEADLINE, self.told.closed()).await);
    }
}
