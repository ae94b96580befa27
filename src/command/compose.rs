//! From a configuration to the parts of the server.

use std::{sync::Arc, time::Duration};

use sovereign_proto::v1::RegistrationMode;

use super::{failure::Failure, memory};
use crate::{
    auth::{attempts::Attempts, password::Passwords, server_key::ServerKey, tickets::Tickets, turns::Turns},
    clock::Clock,
    config::{self, Config},
    limits::{FRAME_BEFORE_AUTHENTICATION, HELD_IN_ALL, Limits},
    server::{Auth, InviteAddress, Policy, Server, Settings},
    store::{self, DataDir, Store},
    transport::{
        Deadlines, Options, Origins,
        tls::{Source, Tls},
    },
};

/// Passwords that may wait for their turn to be hashed.
const PASSWORD_QUEUE: usize = 128;

/// The clock, moved for drills.
pub(super) fn clock(config: &Config) -> Clock {
    Clock::with_offset(config.clock_offset_seconds.saturating_mul(1000))
}

/// Where the certificate comes from.
pub(super) fn certificate_source(config: &Config) -> Source {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Source::Files { certificate: certificate.clone(), key: key.clone() },
        _ => Source::Local {
            directory: config.data.join("tls"),
            public_host: config.public_url.as_ref().map(|url| url.host.as_str().to_owned()),
        },
    }
}

/// TLS of the listener.
pub(super) fn tls(config: &Config, clock: &Clock) -> Result<Tls, Failure> {
    Ok(Tls::open(certificate_source(config), config.tls_1_2, clock.now_ms())?)
}

/// What links begin with: the public URL, else localhost with the port that is listened on.
pub(super) fn base_url(config: &Config, port: u16) -> String {
    config.public_url.as_ref().map_or_else(|| format!("https://localhost:{port}"), ToString::to_string)
}

/// Everything below the transport, with the store opened.
pub(super) fn server(
    config: &Config,
    directory: &DataDir,
    tls: &Tls,
    base_url: String,
    clock: Clock,
) -> Result<Arc<Server>, Failure> {
    let key = ServerKey::load_or_create(directory.path())?;
    let store = Store::open(directory, store_options(config), clock.clone())?;
    let auth = Auth {
        passwords: Passwords::new(config.password_hashes_max, PASSWORD_QUEUE),
        attempts: Attempts::default(),
        tickets: Tickets::default(),
        turns: Turns::default(),
        key,
    };
    let invites = InviteAddress { base_url, authority_pin: tls.authority_pin().map(str::to_owned) };
    Ok(Arc::new(Server::new(settings(config, invites), clock, store, auth)))
}

/// What the listener needs to know; `port` is the one that is listened on.
pub(super) fn listener_options(config: &Config, base_url: &str, port: u16) -> Options {
    Options {
        connections_max: config.connections_max,
        connections_per_address_max: config.connections_per_address_max,
        frame_bytes_before_authentication: FRAME_BEFORE_AUTHENTICATION,
        deadlines: Deadlines::default(),
        origins: Origins::new(origins(config, base_url, port)),
        drain: Duration::from_secs(config.drain_seconds),
    }
}

/// The web pages that may connect: those that are allowed, and this server's own.
pub(super) fn origins(config: &Config, base_url: &str, port: u16) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("https://{host}:{port}"));
    let allowed = config.allowed_origins.iter().map(|origin| origin.as_str().to_owned());
    allowed.chain(own).chain([base_url.to_owned()]).collect()
}

/// The server's name, and who may sign up.
pub(super) fn policy(config: &Config) -> (String, RegistrationMode) {
    let mode = match config.registration_mode {
        config::RegistrationMode::Invite => RegistrationMode::Invite,
        config::RegistrationMode::Open => RegistrationMode::Open,
        config::RegistrationMode::Closed => RegistrationMode::Closed,
    };
    (config.server_name.clone(), mode)
}

fn settings(config: &Config, invites: InviteAddress) -> Settings {
    let (server_name, registration_mode) = policy(config);
    Settings {
        policy: Policy::new(server_name, registration_mode),
        limits: Limits {
            frame: config.frame_bytes_max,
            application_message: config.message_bytes_max,
            signals_per_second: config.signals_per_second_max,
            ttl_seconds: config.retention_days * 24 * 3600,
            messages_per_second: config.messages_per_second_max,
            requests_per_second: config.requests_per_second_max,
            sign_ins_per_second: config.sign_ins_per_second_max,
            ..Limits::default()
        },
        held_max: held_max(config),
        heartbeat: Duration::from_secs(config.heartbeat_interval_seconds),
        authentication_deadline: Duration::from_secs(config.authentication_deadline_seconds),
        token_life: Duration::from_hours(config.token_days * 24),
        invites,
    }
}

/// A quarter of the memory there is, where that is less than the house's number.
fn held_max(config: &Config) -> usize {
    let quarter = memory::limit(config.memory_bytes_max).and_then(|limit| usize::try_from(limit / 4).ok());
    quarter.map_or(HELD_IN_ALL, |quarter| quarter.min(HELD_IN_ALL))
}

fn store_options(config: &Config) -> store::Options {
    store::Options {
        disk_reserve: config.disk_reserve_bytes,
        account_bytes: config.account_bytes_max,
        group_bytes: config.group_bytes_max,
        message_days: config.retention_days,
        // A day more than promised: whoever comes back on the last one still catches up.
        commit_days: config.commit_retention_days + 1,
        ..store::Options::default()
    }
}
