//! From the first byte to a known caller: `Hello`, and what follows from an authentication that went well.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use sovereign_proto::v1::{self, push};
use zeroize::Zeroizing;

use super::{Allowance, Delivery, Heartbeat, Phase, Session, expiry::Expiry, link::Link};
use crate::{
    caller::{Admission, Connection, Identity},
    clock::{UnixMs, monotonic},
    codec, entropy,
    hub::Inbox,
    refusal::CloseCode,
    requests::{admission, throttle},
    server::Server,
};

/// Where a connection comes from and what its transport brought along.
pub struct Peer {
    /// The peer's address; loopback for the control socket.
    pub address: IpAddr,
    /// What the upgrade carried.
    pub credential: Credential,
    /// Came over the control socket, which only the operator's user can open.
    pub operator: bool,
}

/// What an upgrade carried to authenticate by.
pub enum Credential {
    /// Nothing: the first request authenticates.
    None,
    /// A session token, from a header or the subprotocol list.
    Token(Zeroizing<String>),
    /// A ticket from the query string.
    Ticket(Zeroizing<String>),
}

impl<L: Link> Session<L> {
    /// Says `Hello` and authenticates by what the upgrade carried. `None`: the link was of no use.
    pub(super) async fn open(link: L, server: Arc<Server>, peer: Peer) -> Option<Self> {
        let now = monotonic();
        let challenge = entropy::random();
        let identity = if peer.operator { Identity::Operator } else { Identity::Guest };
        let connection = Connection {
            address: peer.address,
            challenge,
            attempt: Mutex::new(false),
            admission: Mutex::new(None),
            inbox: Arc::new(Inbox::default()),
            identity,
            purses: None,
            in_order: Arc::default(),
        };
        let heartbeat = Heartbeat::new(server.settings.heartbeat, now);
        let mut session = Self {
            link,
            connection: Arc::new(connection),
            phase: Phase::Open,
            guest_since: (!peer.operator).then_some(now),
            registration: None,
            delivery: None,
            woken_early: HashSet::new(),
            waker: std::task::Waker::noop().clone(),
            work: VecDeque::new(),
            in_flight: HashMap::new(),
            bytes_in_flight: 0,
            held_in_flight: 0,
            reading: false,
            acknowledging: false,
            settling: false,
            signals: Allowance::new(server.settings.limits.signals_per_second, now),
            heartbeat,
            expiry: None,
            refusing_since: None,
            fed: 0,
            taken: 0,
            share: if peer.operator { server.memory.share() } else { server.memory.share_of_connection() },
            malformed: 0,
            limited: 0,
            control_frames: 0,
            server,
        };
        if peer.operator {
            session.link.set_frame_limit(session.server.settings.limits.frame);
        } else {
            session.link.set_frame_limit(crate::limits::FRAME_BEFORE_AUTHENTICATION);
            let hello = session.server.hello(challenge);
            session.feed(codec::push(push::Body::Hello(hello)));
            if session.server.memory.turns_away() {
                // However long its goodbye takes, it is none of those who are served.
                session.share = session.server.memory.share();
                session.close(CloseCode::Overloaded);
                return Some(session);
            }
            session.use_credential(peer.credential).await;
        }
        Some(session)
    }

    async fn use_credential(&mut self, credential: Credential) {
        let (server, connection) = (Arc::clone(&self.server), Arc::clone(&self.connection));
        if !matches!(credential, Credential::None) && throttle::address(&server, &connection, monotonic()).is_err() {
            return self.close(CloseCode::Overloaded);
        }
        let admitted = match credential {
            Credential::None => return,
            Credential::Token(token) => admission::by_token(&server, &connection, &token).await,
            Credential::Ticket(ticket) => admission::by_ticket(&server, &connection, &ticket).await,
        };
        match admitted {
            // Nobody asked in an Envelope, so the answer is a push.
            Ok(session) => {
                self.feed(codec::push(push::Body::SignedIn(session)));
                self.admit();
            }
            Err(_) => self.close(CloseCode::AuthenticationFailed),
        }
    }

    /// Takes what an authentication left: from here on the connection is a device.
    pub(super) fn admit(&mut self) {
        let admission = self.connection.admission.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(Admission { identity, registration, news, expires_at }) = admission else { return };
        self.expire_at(expires_at);
        if let Identity::Active(device) = &identity {
            let mut delivery = Delivery::new(device.device, *self.flow(), news);
            std::mem::take(&mut self.woken_early).into_iter().for_each(|log| delivery.wake(log));
            self.delivery = Some(delivery);
        }
        let purses = match &identity {
            Identity::Active(device) | Identity::Pending(device) => {
                let (rates, now) = (&self.server.rates, monotonic());
                Some((rates.device(device.device, now), rates.account(device.account, now)))
            }
            Identity::Guest | Identity::Operator => None,
        };
        self.connection = Arc::new(Connection {
            address: self.connection.address,
            challenge: self.connection.challenge,
            attempt: Mutex::new(true),
            admission: Mutex::new(None),
            inbox: Arc::clone(&self.connection.inbox),
            identity,
            purses,
            in_order: Arc::default(),
        });
        self.registration = Some(registration);
        self.guest_since = None;
        self.link.set_frame_limit(self.server.settings.limits.frame);
    }
}

impl<L: Link> Session<L> {
    /// Sets, or moves, the end of a session that came by a token.
    pub(super) fn expire_at(&mut self, expires_at: Option<UnixMs>) {
        let (life, now) = (self.server.settings.token_life, self.server.clock.now_ms());
        self.expiry = expires_at.map(|expires_at| Expiry::new(expires_at, life, now, monotonic()));
    }
}

impl Server {
    /// The first frame of a connection.
    fn hello(&self, challenge: [u8; 32]) -> v1::Hello {
        let server_time_ms = self.clock.now_ms();
        let (settings, server_name) = (&self.settings, self.settings.policy.server_name());
        v1::Hello {
            server_id: bytes::Bytes::copy_from_slice(&self.auth.key.server_id().0),
            server_key: bytes::Bytes::copy_from_slice(&self.auth.key.public()),
            challenge: bytes::Bytes::copy_from_slice(&challenge),
            server_time_ms,
            signature: bytes::Bytes::copy_from_slice(&self.auth.key.sign_hello(&server_name, &challenge, server_time_ms)),
            server_name,
            limits: Some(settings.limits.announced()),
            features: crate::server::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
            heartbeat_interval_ms: u32::try_from(settings.heartbeat.as_millis()).unwrap_or(u32::MAX),
            registration_mode: settings.policy.registration_mode().into(),
            store_generation: self.store.generation(),
        }
    }
}
