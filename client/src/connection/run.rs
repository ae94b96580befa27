//! The task behind a [`super::Connection`]: connects, lives, waits, connects again.

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::{signed::PURPOSE_SIGN_IN, v1};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    Cause, ConnectionEvent, ConnectionState, Credentials, Positions,
    acknowledgements::Acknowledgements,
    backoff::Backoff,
    calls::Command,
    close::Action,
    dial::{Dial, DialError},
    handshake::{self, AUTHENTICATION_ID, HandshakeError},
    hello::Verified,
    life::{Ended, Life},
    proof::{self, Subject},
    signals::Signals,
    socket::Socket,
};
use crate::entropy;

/// What the task owns and what it was given.
pub(super) struct Parts {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<ConnectionEvent>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) acknowledgements: Arc<Acknowledgements>,
    pub(super) signals: Arc<Signals>,
    pub(super) server_id: [u8; 32],
    pub(super) credentials: Credentials,
    pub(super) positions: Positions,
}

/// Whoever made the connection wants it no more.
struct Stop;

/// Runs until asked to stop, or until an end that another attempt cannot mend.
pub(super) async fn run<D: Dial>(mut dialer: D, mut parts: Parts) {
    let mut backoff = Backoff::default();
    let mut cause = Cause::Requested;
    let mut attempt = 0;
    let last = loop {
        attempt += 1;
        if parts.tell(ConnectionState::Connecting { attempt }, cause).await.is_err() {
            break Cause::Requested;
        }
        let Ok(ended) = once(&mut dialer, &mut parts).await else { break Cause::Requested };
        let fresh = backoff.is_fresh() || ended.proven;
        if ended.proven {
            backoff.reset();
            attempt = 0;
        }
        if parts.tell_all(ended.untold).await.is_err() {
            break Cause::Requested;
        }
        match ended.action {
            Action::Stop => break ended.cause,
            Action::RetryNow if fresh && ended.floor_ms == 0 => {
                // Counted, so that the next one is not "at once" unless this one proves itself.
                backoff.next(0, |_| 0);
                cause = ended.cause;
                continue;
            }
            Action::RetryNow | Action::RetryAfterDelay => {}
        }
        let wait = backoff.next(ended.floor_ms, entropy::below);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if parts.tell(ConnectionState::Backoff { wait_ms }, ended.cause).await.is_err() {
            break Cause::Requested;
        }
        if parts.refusing_calls(sleep(wait)).await.is_err() {
            break Cause::Requested;
        }
        cause = Cause::Proceeding;
    };
    // The handles see the end of the task; who still takes events is told why.
    parts.commands.close();
    drop(parts.events.send(ConnectionEvent::State(ConnectionState::Stopped, last)).await);
}

/// One connection from dialling to its end.
async fn once<D: Dial>(dialer: &mut D, parts: &mut Parts) -> Result<Ended, Stop> {
    let mut socket = match parts.refusing_calls(dialer.dial()).await? {
        Ok(socket) => socket,
        Err(DialError::Network(text)) => return Ok(HandshakeError::Network(text).into()),
        Err(DialError::Untrusted(text)) => return Ok(HandshakeError::Untrusted(text).into()),
    };
    parts.tell(ConnectionState::Authenticating, Cause::Proceeding).await?;
    let server_id = parts.server_id;
    let verified = match parts.refusing_calls(handshake::hello(&mut socket, &server_id)).await? {
        Ok(verified) => verified,
        Err(error) => return Ok(error.into()),
    };
    dialer.heard();
    sign_in(socket, verified, parts).await
}

async fn sign_in<S>(mut socket: Socket<S>, verified: Verified, parts: &mut Parts) -> Result<Ended, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let body = parts.sign_in_request(&verified.challenge);
    let answered = parts.refusing_calls(handshake::authenticate(&mut socket, body)).await?;
    let (session, early) = match answered {
        Ok((v1::response::Body::SignIn(v1::SignInResponse { session: Some(session) }), early)) => (session, early),
        Ok(_) => return Ok(HandshakeError::Protocol("no answer to the sign-in".to_owned()).into()),
        Err(error) => {
            socket.acknowledge_close().await;
            return Ok(error.into());
        }
    };
    parts.tell(ConnectionState::Syncing, Cause::Proceeding).await?;
    Ok(Life::new(socket, &verified, AUTHENTICATION_ID, session, early).run(parts).await)
}

/// Ready once stopping was asked for, or no handle is left. Cancel safe.
pub(super) async fn stop_asked(stopping: &mut watch::Receiver<bool>) {
    // An error says that every handle is gone.
    drop(stopping.wait_for(|stop| *stop).await);
}

impl Parts {
    fn sign_in_request(&self, challenge: &[u8; 32]) -> v1::request::Body {
        let Credentials { account_id, device_id, signing_key, incarnation } = &self.credentials;
        let subject = Subject { server_id: &self.server_id, account_id, device_id, challenge, purpose: PURPOSE_SIGN_IN };
        v1::request::Body::SignIn(v1::SignInRequest {
            account_id: Bytes::copy_from_slice(account_id),
            device_id: Bytes::copy_from_slice(device_id),
            proof: Some(proof::prove(subject, signing_key)),
            incarnation: *incarnation,
            positions: (self.positions)(),
        })
    }

    async fn tell(&mut self, state: ConnectionState, cause: Cause) -> Result<(), Stop> {
        self.tell_all([ConnectionEvent::State(state, cause)]).await
    }

    async fn tell_all(&mut self, untold: impl IntoIterator<Item = ConnectionEvent>) -> Result<(), Stop> {
        let events = self.events.clone();
        for event in untold {
            self.refusing_calls(events.send(event)).await?.map_err(|_| Stop)?;
        }
        Ok(())
    }

    /// Does the work while every call is refused: dropping a command tells its caller `Disconnected`.
    async fn refusing_calls<F: Future>(&mut self, work: F) -> Result<F::Output, Stop> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                output = &mut work => return Ok(output),
                () = stop_asked(&mut self.stopping) => return Err(Stop),
                command = self.commands.recv() => drop(command.ok_or(Stop)?),
            }
        }
    }
}

impl From<HandshakeError> for Ended {
    fn from(error: HandshakeError) -> Self {
        let (cause, action, floor_ms) = error.verdict();
        Self { cause, action, floor_ms, proven: false, untold: std::collections::VecDeque::new() }
    }
}
