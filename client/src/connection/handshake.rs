//! From an open socket to an authenticated one: the server's Hello, then one request that authenticates.

use std::{collections::VecDeque, time::Duration};

use sovereign_proto::v1::{self, envelope, push};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    Cause,
    close::{self, Action},
    hello::{self, Verified},
    socket::{self, Incoming, Socket},
};

/// The request id of the request that authenticates.
pub(super) const AUTHENTICATION_ID: u64 = 1;
/// For the Hello to arrive.
const HELLO_DEADLINE: Duration = Duration::from_secs(15);
/// For the answer to the authentication; password hashes wait in a queue.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Pushes that may overtake the answer.
const EARLY_PUSHES_MAX: usize = 64;

/// Why the connection ended before it was authenticated.
pub(super) enum HandshakeError {
    Untrusted(String),
    Refused(v1::Failure),
    Closed { code: u16, reason: String, floor_ms: u64 },
    Network(String),
    Protocol(String),
}

/// Waits for the Hello and checks it; nothing is sent before it holds.
pub(super) async fn hello<S>(socket: &mut Socket<S>, server_id: &[u8; 32]) -> Result<Verified, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = async {
        loop {
            if let Some(envelope) = next(socket).await? {
                return Ok(envelope);
            }
        }
    };
    let envelope = within(HELLO_DEADLINE, first).await?;
    match envelope.body {
        Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Hello(hello)) })) => {
            hello::verify(&hello, server_id).map_err(HandshakeError::Untrusted)
        }
        Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Closing(closing)) })) => Err(closing_error(&closing)),
        _ => Err(HandshakeError::Untrusted("it does not introduce itself first".to_owned())),
    }
}

/// Sends the request that authenticates and waits for its answer. Pushes that overtake the answer are kept in order.
pub(super) async fn authenticate<S>(
    socket: &mut Socket<S>,
    body: v1::request::Body,
) -> Result<(v1::response::Body, VecDeque<push::Body>), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.feed(socket::request(AUTHENTICATION_ID, body));
    let answered = async {
        let mut early = VecDeque::new();
        loop {
            let Some(envelope) = next(socket).await? else { continue };
            match envelope.body {
                Some(envelope::Body::Response(response)) if envelope.request_id == AUTHENTICATION_ID => {
                    let nothing = || HandshakeError::Protocol("an empty answer to the sign-in".to_owned());
                    return response.body.map(|body| (body, early)).ok_or_else(nothing);
                }
                Some(envelope::Body::Failure(failure)) if envelope.request_id == AUTHENTICATION_ID => {
                    return Err(HandshakeError::Refused(failure));
                }
                Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Closing(closing)) })) => {
                    return Err(closing_error(&closing));
                }
                Some(envelope::Body::Push(v1::Push { body: Some(push) })) if early.len() < EARLY_PUSHES_MAX => {
                    early.push_back(push);
                }
                Some(envelope::Body::Push(v1::Push { body: Some(_) })) => {
                    return Err(HandshakeError::Protocol("pushes instead of an answer to the sign-in".to_owned()));
                }
                _ => {}
            }
        }
    };
    within(ANSWER_DEADLINE, answered).await
}

/// The next Envelope; `None` for what is none and no end either.
async fn next<S>(socket: &mut Socket<S>) -> Result<Option<v1::Envelope>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match socket.next(true).await {
        Incoming::Envelope(envelope) => Ok(Some(*envelope)),
        Incoming::Alive | Incoming::Flushed => Ok(None),
        Incoming::Closed { code, reason } => Err(HandshakeError::Closed { code, reason, floor_ms: 0 }),
        Incoming::Malformed(text) => Err(HandshakeError::Protocol(text)),
        Incoming::Broken(text) => Err(HandshakeError::Network(text)),
    }
}

async fn within<T>(deadline: Duration, work: impl Future<Output = Result<T, HandshakeError>>) -> Result<T, HandshakeError> {
    timeout(deadline, work)
        .await
        .unwrap_or_else(|_| Err(HandshakeError::Network("the server does not answer in time".to_owned())))
}

fn closing_error(closing: &v1::Closing) -> HandshakeError {
    let code = u16::try_from(closing.code).unwrap_or(1006);
    HandshakeError::Closed { code, reason: closing.reason.clone(), floor_ms: closing.reconnect_after_ms }
}

impl HandshakeError {
    /// What to tell, what to do, and how long to wait at least, in milliseconds.
    pub(super) fn verdict(self) -> (Cause, Action, u64) {
        match self {
            Self::Untrusted(text) => (Cause::ServerUntrusted(text), Action::Stop, 0),
            Self::Refused(failure) => {
                let (code, floor_ms) = (failure.code(), failure.retry_after_ms);
                (Cause::Refused { code, message: failure.message }, close::sign_in_refused(code), floor_ms)
            }
            Self::Closed { code, reason, floor_ms } => (close::cause(code, &reason), close::action(code), floor_ms),
            Self::Network(text) => (Cause::Network(text), Action::RetryAfterDelay, 0),
            Self::Protocol(text) => (Cause::Protocol(text), Action::RetryAfterDelay, 0),
        }
    }
}
