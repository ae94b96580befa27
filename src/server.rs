//! The parts that handlers work with, composed once. No part holds the bundle.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sovereign_proto::v1::RegistrationMode;
use tokio::sync::{Notify, futures::Notified};

use crate::{
    auth::{attempts::Attempts, password::Passwords, server_key::ServerKey, tickets::Tickets, turns::Turns},
    clock::{Clock, Instant, monotonic},
    duties::Duties,
    entropy,
    groups::Groups,
    hub::Hub,
    limits::{CENSUS_AGE, Limits},
    memory::Memory,
    metrics::{Gauges, Metrics},
    rates::Rates,
    store::{Census, Store, StoreError},
};

/// What this server can do beyond the base protocol, as `Hello` announces it.
pub const FEATURES: &[&str] = &[
    "tokens",
    "tickets",
    "external-commits",
    "epoch-confirmation",
    "group-reset",
    "group-revival",
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
    /// How often everybody has asked of late.
    pub rates: Rates,
    /// What connections hold.
    pub memory: Arc<Memory>,
    /// What is counted where it happens.
    pub metrics: Arc<Metrics>,
    /// When this server was composed.
    pub started: Instant,
    /// The last census that was taken for metrics.
    census: tokio::sync::Mutex<Option<(Instant, Census)>>,
    /// New requests are answered `unavailable`.
    draining: AtomicBool,
    /// Wakes those that nobody else knows: who has not authenticated is not in the hub.
    goodbye: Notify,
}

/// What handlers and sessions need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may change while the server runs.
    pub policy: Policy,
    /// Bounds that an operator may set.
    pub limits: Limits,
    /// Bytes that connections may hold in all.
    pub held_max: usize,
    /// Silence after which a ping is sent.
    pub heartbeat: Duration,
    /// Time for a connection to authenticate.
    pub authentication_deadline: Duration,
    /// Life of a session token.
    pub token_life: Duration,
    /// `https://HOST:PORT` and the authority's pin, from which invite links are made.
    pub invites: InviteAddress,
}

/// What an operator may change under live connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Policy(Arc<RwLock<(String, RegistrationMode)>>);

impl Policy {
    /// A server's name, which is shown to people and signed in `Hello`; and who may sign up.
    #[must_use]
    pub fn new(server_name: String, registration_mode: RegistrationMode) -> Self {
        Self(Arc::new(RwLock::new((server_name, registration_mode))))
    }

    /// Whoever asks from now on is told this.
    pub fn replace(&self, server_name: String, registration_mode: RegistrationMode) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (server_name, registration_mode);
    }

    /// The server's name.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Who may sign up.
    #[must_use]
    pub fn registration_mode(&self) -> RegistrationMode {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1
    }
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
    /// Guesses that are being checked.
    pub turns: Turns,
    /// Signs `Hello`.
    pub key: ServerKey,
}

impl Server {
    /// Composes the parts.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock, store: Store, auth: Auth) -> Self {
        let (hub, groups, duties) = (Hub::default(), Groups::default(), Duties::default());
        let (metrics, census, started) = (Arc::default(), tokio::sync::Mutex::default(), monotonic());
        let memory = Arc::new(Memory::new(settings.held_max));
        Self {
            settings,
            clock,
            store,
            hub,
            auth,
            groups,
            duties,
            rates: Rates::new(started),
            memory,
            metrics,
            started,
            census,
            draining: AtomicBool::new(false),
            goodbye: Notify::new(),
        }
    }

    /// Everything that is counted, as `OpenMetrics` text. The store is looked through now and then only.
    pub async fn metrics_text(&self) -> Result<String, StoreError> {
        let census = self.recent_census().await?;
        let disk = self.store.disk();
        let gauges = Gauges {
            devices_connected: self.hub.len() as u64,
            accounts: census.accounts,
            devices: census.devices_active,
            groups: census.groups,
            groups_behind: census.groups_behind,
            groups_frozen: census.groups_frozen,
            groups_suspended: census.groups_suspended,
            backlog: census.undelivered,
            key_packages: census.key_packages,
            devices_low: census.devices_low,
            notices_open: census.notices_open,
            wal_bytes: disk.wal_bytes,
            disk_free_bytes: disk.free_bytes,
            uptime: self.started.elapsed(),
        };
        Ok(self.metrics.text(self.store.metrics(), gauges))
    }

    async fn recent_census(&self) -> Result<Census, StoreError> {
        // Who asks meanwhile waits for the same one.
        let mut known = self.census.lock().await;
        if let Some((_, census)) = known.filter(|(taken, _)| taken.elapsed() < CENSUS_AGE) {
            return Ok(census);
        }
        let census = self.store.census().await?;
        *known = Some((monotonic(), census));
        Ok(census)
    }

    /// From now on new requests are answered `unavailable`, and every session says goodbye once it has answered what is
    /// in flight.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.goodbye.notify_waiters();
        self.hub.close_all(crate::refusal::CloseCode::Restart);
    }

    /// Resolves when [`Server::drain`] is called after this was; asked before [`Server::is_draining`], neither misses it.
    pub fn goodbye(&self) -> Notified<'_> {
        self.goodbye.notified()
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
    use crate::{
        limits::HELD_IN_ALL,
        store::{DataDir, Options},
    };

    /// A server on a directory of its own, without a transport.
    pub(crate) fn server() -> (Server, TempDir) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = DataDir::open(directory.path().join("data")).expect("a fresh directory opens");
        let clock = Clock::default();
        let store = Store::open(&data, Options::default(), clock.clone()).expect("a fresh store opens");
        let settings = Settings {
            policy: Policy::new("test".into(), RegistrationMode::Invite),
            limits: Limits::default(),
            held_max: HELD_IN_ALL,
            heartbeat: Duration::from_hours(1),
            authentication_deadline: Duration::from_hours(1),
            token_life: Duration::from_hours(1),
            invites: InviteAddress::default(),
        };
        let auth = Auth {
            passwords: Passwords::new(1, 1),
            attempts: Attempts::default(),
            tickets: Tickets::default(),
            turns: Turns::default(),
            key: ServerKey::from_seed(&[7; 32]),
        };
        (Server::new(settings, clock, store, auth), directory)
    }
}
