//! The parts that handlers work with, composed once. No part holds the bundle.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sovereign_proto::v1::RegistrationMode;

use crate::{
    auth::{attempts::Attempts, password::Passwords, server_key::ServerKey, tickets::Tickets},
    clock::Clock,
    duties::Duties,
    entropy,
    groups::Groups,
    hub::Hub,
    limits::Limits,
    store::Store,
};

/// What this server can do beyond the base protocol, as `Hello` announces it.
pub const FEATURES: &[&str] = &[
    "tokens",
    "tickets",
    "external-commits",
    "epoch-confirmation",
    "group-reset",
    "exchange",
    "signals",
    "presence",
    "receipts",
    "relations",
    "message-lives",
];

/// The bundle.
pub struct Server {
    /// What the configuration decides.
    pub settings: Settings,
    /// Wall-clock time.
    pub clock: Clock,
    /// What is durable.
    pub store: Store,
    /// Who is live.
    pub hub: Hub,
    /// Who is who.
    pub auth: Auth,
    /// The validated public state of groups at work.
    pub groups: Groups,
    /// What groups still need from one of their members.
    pub duties: Duties,
    /// New requests are answered `unavailable`.
    draining: AtomicBool,
}

/// What handlers and sessions need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shown to people; signed in `Hello`.
    pub server_name: String,
    /// Who may sign up.
    pub registration_mode: RegistrationMode,
    /// Bounds that an operator may set.
    pub limits: Limits,
    /// Silence after which a ping is sent.
    pub heartbeat: Duration,
    /// Time for a connection to authenticate.
    pub authentication_deadline: Duration,
    /// Life of a session token.
    pub token_life: Duration,
    /// `https://HOST:PORT` and the authority's pin, from which invite links are made.
    pub invites: InviteAddress,
}

/// The parts of an invite link that are the same for all invites.
#[derive(Clone, Debug, Default)]
pub struct InviteAddress {
    /// `https://HOST:PORT`.
    pub base_url: String,
    /// base64url of SHA-256 over the local authority's public key; `None` with a public certificate.
    pub authority_pin: Option<String>,
}

/// Passwords, tickets and the server's own key.
pub struct Auth {
    /// Argon2id, bounded.
    pub passwords: Passwords,
    /// Guesses of late.
    pub attempts: Attempts,
    /// Single-use tickets.
    pub tickets: Tickets,
    /// Signs `Hello`.
    pub key: ServerKey,
}

impl Server {
    /// Composes the parts.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock, store: Store, auth: Auth) -> Self {
        let (hub, groups, duties) = (Hub::default(), Groups::default(), Duties::default());
        Self { settings, clock, store, hub, auth, groups, duties, draining: AtomicBool::new(false) }
    }

    /// From now on new requests are answered `unavailable`, and every session says goodbye once it has answered what is
    /// in flight.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.hub.close_all(crate::refusal::CloseCode::Restart);
    }

    /// Whether [`Server::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// When clients may come back after a restart, in milliseconds: spread over two seconds.
#[must_use]
pub fn reconnect_after_ms() -> u64 {
    250 + entropy::below(1750)
}

#[cfg(test)]
pub(crate) mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::{DataDir, Options};

    /// A server on a directory of its own, without a transport.
    pub(crate) fn server() -> (Server, TempDir) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = DataDir::open(directory.path().join("data")).expect("a fresh directory opens");
        let clock = Clock::default();
        let store = Store::open(&data, Options::default(), clock.clone()).expect("a fresh store opens");
        let settings = Settings {
            server_name: "test".into(),
            registration_mode: RegistrationMode::Invite,
            limits: Limits::default(),
            heartbeat: Duration::from_hours(1),
            authentication_deadline: Duration::from_hours(1),
            token_life: Duration::from_hours(1),
            invites: InviteAddress::default(),
        };
        let auth = Auth {
            passwords: Passwords::new(1, 1),
            attempts: Attempts::default(),
            tickets: Tickets::default(),
            key: ServerKey::from_seed(&[7; 32]),
        };
        (Server::new(settings, clock, store, auth), directory)
    }
}
