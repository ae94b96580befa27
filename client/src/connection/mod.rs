//! The connection to the server: one WebSocket over pinned TLS at a time, for ever; where `WebSockets` are cut, requests over
//! HTTPS in its place.
//!
//! [`Connection::start`] spawns a task that connects, checks the server's Hello, signs in and reconnects by itself until
//! it is stopped or told to stop. Whatever comes from the server arrives, in order, as [`ConnectionEvent`]s; calls made
//! while there is no authenticated connection fail at once with [`CallError::Disconnected`].
//!
//! Take events while calls are awaited: a reader that stops taking them stops, after some thousand, the connection too.

mod acknowledgements;
mod backoff;
mod calls;
mod close;
mod dial;
mod enrol;
mod error;
mod exchange;
#[cfg(test)]
mod fake_server;
mod handshake;
mod hello;
mod life;
mod line;
mod pending;
mod pipe;
mod proof;
mod run;
mod signals;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

use std::{future::Future, sync::Arc};

use futures_util::FutureExt as _;
use sovereign_proto::{Call, v1};
use tokio::sync::{mpsc, watch};

use self::{acknowledgements::Acknowledgements, calls::Command, dial::Dialer, run::Parts, signals::Signals};
pub use self::{
    enrol::{First, enrol},
    error::{CallError, EnrolError},
    line::{Identity, Line, LineError, Route},
    pipe::{Pipes, Stream},
    state::{Cause, ConnectionEvent, ConnectionState},
};
use crate::device_key::DeviceKey;
pub use crate::join_link::Endpoint;

/// Calls that may wait for their turn. One more, by [`Connection::begin`], is refused; [`Connection::call`] waits.
const WAITING_CALLS_MAX: usize = 1024;
/// Events that may wait outside the connection's own buffer.
const WAITING_EVENTS_MAX: usize = 64;

/// By what the device authenticates.
#[derive(Clone)]
pub struct Credentials {
    /// Whose device it is.
    pub account_id: [u8; 16],
    /// Which device it is.
    pub device_id: [u8; 16],
    /// Signs the server's challenge; never leaves the process.
    pub signing_key: Arc<DeviceKey>,
    /// Raised by the vault at every start (see `SignInRequest` in the protocol).
    pub incarnation: u64,
}

/// Asked at every sign-in: how far each log has been durably processed. Repairs acknowledgements lost on the way; an
/// empty list is always correct.
pub type Positions = Box<dyn Fn() -> Vec<v1::Position> + Send + Sync>;

/// A handle to the connection. Clones share it; it ends with [`Connection::stop`] or with the last handle.
#[derive(Clone)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    acknowledgements: Arc<Acknowledgements>,
    signals: Arc<Signals>,
    stop: Arc<watch::Sender<bool>>,
}

impl Connection {
    /// Starts connecting: over the network, or over `pipes` where there are any. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(
        endpoint: Endpoint,
        pipes: Option<Pipes>,
        credentials: Credentials,
        positions: Positions,
    ) -> (Self, mpsc::Receiver<ConnectionEvent>) {
        let server_id = endpoint.server_id;
        match pipes {
            None => Self::start_on(Dialer::new(endpoint), server_id, credentials, positions),
            Some(pipes) => Self::start_on(pipes, server_id, credentials, positions),
        }
    }

    fn start_on<D: dial::Dial>(
        dialer: D,
        server_id: [u8; 32],
        credentials: Credentials,
        positions: Positions,
    ) -> (Self, mpsc::Receiver<ConnectionEvent>) {
        let (commands, commands_taken) = mpsc::channel(WAITING_CALLS_MAX);
        let (events, events_taken) = mpsc::channel(WAITING_EVENTS_MAX);
        let (stop, stopping) = watch::channel(false);
        let acknowledgements = Arc::new(Acknowledgements::default());
        let signals = Arc::new(Signals::default());
        let parts = Parts {
            commands: commands_taken,
            events,
            stopping,
            acknowledgements: Arc::clone(&acknowledgements),
            signals: Arc::clone(&signals),
            server_id,
            credentials,
            positions,
        };
        tokio::spawn(run::run(dialer, parts));
        (Self { commands, acknowledgements, signals, stop: Arc::new(stop) }, events_taken)
    }

    /// Sends a request and waits for its answer. Requests leave in the order of the calls; beyond what the server takes
    /// at once they wait here.
    pub async fn call<C: Call>(&self, request: C) -> Result<C::Response, CallError>
    where
        C::Response: 'static,
    {
        let (command, answer) = calls::prepare(request);
        self.commands.send(command).await.map_err(|_| CallError::Disconnected)?;
        answer.await
    }

    /// Queues a request now, in order with all others, and returns the future of its answer. Dropping the future does
    /// not take the request back, unless so many wait that it stands in line for the queue.
    pub fn begin<C: Call>(&self, request: C) -> impl Future<Output = Result<C::Response, CallError>> + Send + 'static
    where
        C::Response: 'static,
    {
        let (command, answer) = calls::prepare(request);
        let mut waiting = None;
        match self.commands.try_send(command) {
            // Where nobody takes commands any more, dropping this one answers it.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(command)) => {
                let mut room = Box::pin(self.commands.clone().reserve_owned());
                // Asked once now, so that it stands in line before whatever is begun later.
                match room.as_mut().now_or_never() {
                    Some(Ok(room)) => drop(room.send(command)),
                    Some(Err(_)) => {}
                    None => waiting = Some((room, command)),
                }
            }
        }
        async move {
            if let Some((room, command)) = waiting
                && let Ok(room) = room.await
            {
                room.send(command);
            }
            answer.await
        }
    }

    /// Tells the server something that is never answered. Acknowledgements are coalesced: only the highest position of
    /// each log is sent, once the socket has room. Signals are sent by this connection or not at all.
    pub fn notify(&self, notice: v1::Notice) {
        match notice.body {
            Some(v1::notice::Body::Acknowledge(acknowledge)) => self.acknowledgements.add(acknowledge.positions),
            Some(v1::notice::Body::Signal(signal)) => self.signals.add(signal),
            None => {}
        }
    }

    /// Says goodbye to the server and ends the connection for good. Returns when the task has ended.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.commands.closed().await;
    }
}
