//! One connection driven by hand, for measuring: requests out, whatever comes in, nothing kept and nothing repeated.

use std::{collections::VecDeque, fmt, future::Future as _, pin::pin, task::Poll};

use bytes::Bytes;
use sovereign_proto::{
    Call,
    signed::{PURPOSE_SIGN_IN, PURPOSE_SIGN_UP},
    v1::{self, envelope, push, request, response},
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_websockets::CloseCode;

use super::{
    Endpoint,
    dial::{Dial as _, DialError, Dialer},
    handshake::{self, AUTHENTICATION_ID, HandshakeError},
    hello::Verified,
    proof::{self, Subject},
    socket::{self, Incoming, Socket},
};
use crate::device_key::DeviceKey;

/// A way to a server. Lines through the same route share one TLS configuration, and resume its sessions.
#[derive(Clone)]
pub struct Route {
    dialer: Dialer,
    server_id: [u8; 32],
}

impl Route {
    /// Nothing is reached out for yet. Fails where nobody could be believed: a link without a pin, on a system without
    /// authorities.
    pub fn new(endpoint: Endpoint) -> Result<Self, LineError> {
        let (server_id, mut dialer) = (endpoint.server_id, Dialer::new(endpoint));
        dialer.prepare()?;
        Ok(Self { dialer, server_id })
    }
}

/// Who authenticates on a line.
pub struct Identity<'a> {
    /// Whose device it is.
    pub account_id: &'a [u8; 16],
    /// Which device it is.
    pub device_id: &'a [u8; 16],
    /// Signs the server's challenge.
    pub key: &'a DeviceKey,
}

/// Why a line has ended, or a request was not done.
pub enum LineError {
    /// The server refused a request. The line stands.
    Refused(v1::Failure),
    /// The server closed the connection; 1006: without a word.
    Closed {
        /// The WebSocket close code.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// It is not the server of the link.
    Untrusted(String),
    /// The network failed, or what came was no protocol.
    Network(String),
    /// What was answered is of no use: the reason.
    Unusable(String),
}

/// A connection whose server has introduced itself.
pub struct Line {
    socket: Socket<TlsStream<TcpStream>>,
    verified: Verified,
    server_id: [u8; 32],
    last_id: u64,
    early: VecDeque<push::Body>,
}

impl Line {
    /// Connects, and checks the server's Hello.
    pub async fn open(route: &Route) -> Result<Self, LineError> {
        let mut dialer = route.dialer.clone();
        let mut socket = dialer.dial().await?;
        let verified = handshake::hello(&mut socket, &route.server_id).await?;
        Ok(Self { socket, verified, server_id: route.server_id, last_id: AUTHENTICATION_ID, early: VecDeque::new() })
    }

    /// Another one than last time: the server was restored from a backup (docs/protocol/README.md, After a restore).
    #[must_use]
    pub fn store_generation(&self) -> u64 {
        self.verified.store_generation
    }

    /// Authenticates as a device that the server knows.
    pub async fn sign_in(&mut self, identity: Identity<'_>) -> Result<(), LineError> {
        let request = v1::SignInRequest {
            account_id: Bytes::copy_from_slice(identity.account_id),
            device_id: Bytes::copy_from_slice(identity.device_id),
            proof: Some(self.prove(&identity, PURPOSE_SIGN_IN)),
            incarnation: 0,
            positions: Vec::new(),
        };
        self.authenticate(request::Body::SignIn(request)).await
    }

    /// Makes an account. `request` lacks nothing but its proof.
    pub async fn sign_up(&mut self, identity: Identity<'_>, request: v1::SignUpRequest) -> Result<(), LineError> {
        let proof = Some(self.prove(&identity, PURPOSE_SIGN_UP));
        self.authenticate(request::Body::SignUp(v1::SignUpRequest { proof, ..request })).await
    }

    /// Asks, and waits for the answer. What is pushed meanwhile is passed over.
    pub async fn call<C: Call>(&mut self, request: C) -> Result<C::Response, LineError> {
        let id = self.feed(request);
        loop {
            let v1::Envelope { request_id, body } = self.next().await?;
            match body {
                Some(envelope::Body::Response(response)) if request_id == id => {
                    let other = || LineError::Network(format!("another request's answer to {}", C::NAME));
                    return response.body.and_then(C::from_body).ok_or_else(other);
                }
                Some(envelope::Body::Failure(failure)) if request_id == id => return Err(LineError::Refused(failure)),
                _ => {}
            }
        }
    }

    /// Queues a request; its id. It leaves while [`Line::next`] is awaited.
    pub fn feed<C: Call>(&mut self, request: C) -> u64 {
        self.last_id += 1;
        self.socket.feed(socket::request(self.last_id, request.into_body()));
        self.last_id
    }

    /// Queues an acknowledgement of a log up to `seq`; an empty id is the device's own log.
    pub fn acknowledge(&mut self, group_id: Bytes, seq: u64) {
        let positions = vec![v1::Position { group_id, seq }];
        self.notify(v1::notice::Body::Acknowledge(v1::Acknowledge { positions }));
    }

    /// Queues what is never answered.
    pub fn notify(&mut self, notice: v1::notice::Body) {
        self.socket.feed(socket::notice(v1::Notice { body: Some(notice) }));
    }

    /// What comes next. Pings are answered inside. Cancel safe.
    pub async fn next(&mut self) -> Result<v1::Envelope, LineError> {
        if let Some(push) = self.early.pop_front() {
            let body = Some(envelope::Body::Push(v1::Push { body: Some(push) }));
            return Ok(v1::Envelope { request_id: 0, body });
        }
        loop {
            match self.socket.next(true).await {
                Incoming::Envelope(envelope) => return Ok(*envelope),
                Incoming::Alive | Incoming::Flushed => {}
                Incoming::Closed { code, reason } => return Err(LineError::Closed { code, reason }),
                Incoming::Malformed(text) | Incoming::Broken(text) => return Err(LineError::Network(text)),
            }
        }
    }

    /// What has arrived already, if anything.
    pub fn ready(&mut self) -> Result<Option<v1::Envelope>, LineError> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(self.next()).poll(&mut context) {
            Poll::Ready(envelope) => envelope.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Waits until everything that was fed has left. What comes in meanwhile stays for [`Line::next`].
    pub async fn flush(&mut self) -> Result<(), LineError> {
        while !self.socket.is_flushed() {
            if let Incoming::Broken(text) = self.socket.next(false).await {
                return Err(LineError::Network(text));
            }
        }
        Ok(())
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        self.socket.close(CloseCode::NORMAL_CLOSURE, "").await;
    }

    fn prove(&self, identity: &Identity<'_>, purpose: &'static str) -> v1::DeviceProof {
        let Identity { account_id, device_id, key } = identity;
        let subject = Subject { server_id: &self.server_id, account_id, device_id, challenge: &self.verified.challenge, purpose };
        proof::prove(subject, key)
    }

    async fn authenticate(&mut self, body: request::Body) -> Result<(), LineError> {
        let (answer, early) = handshake::authenticate(&mut self.socket, body).await?;
        self.early = early;
        match answer {
            response::Body::SignUp(_) | response::Body::SignIn(_) => Ok(()),
            _ => Err(LineError::Network("another request's answer to the sign-in".to_owned())),
        }
    }
}

impl From<DialError> for LineError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Network(text) => Self::Network(text),
            DialError::Untrusted(text) => Self::Untrusted(text),
        }
    }
}

impl From<HandshakeError> for LineError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Untrusted(text) => Self::Untrusted(text),
            HandshakeError::Refused(failure) => Self::Refused(failure),
            HandshakeError::Closed { code, reason, .. } => Self::Closed { code, reason },
            HandshakeError::Network(text) | HandshakeError::Protocol(text) => Self::Network(text),
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) => write!(f, "the server refused: {}", failure.message),
            Self::Closed { code, reason } => write!(f, "the server closed the connection ({code}): {reason}"),
            Self::Untrusted(text) => write!(f, "the server is not to be trusted: {text}"),
            Self::Network(text) => write!(f, "the server cannot be reached: {text}"),
            Self::Unusable(text) => f.write_str(text),
        }
    }
}

/// The words for people; details of a failure may hold entries, which no log needs.
impl fmt::Debug for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineError({self})")
    }
}

impl std::error::Error for LineError {}
