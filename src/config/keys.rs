//! The table of keys. A line here is all a key needs: its field, default, bounds, flag, variable, file key and
//! documentation follow from it.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    ConfigError, Origin,
    setting::{LogFormat, LogLevel, PublicUrl, RegistrationMode, Setting, WebOrigin},
    suggestion,
};

/// A key as people see it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// In files; flags have hyphens, variables capitals and `SOVEREIGN_` before them.
    pub name: &'static str,
    /// What is in force where nobody says otherwise.
    pub default: &'static str,
    /// `LOW to HIGH`, both inclusive; empty where it has none.
    pub bounds: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// The bounds of a number, where the key has any.
macro_rules! in_bounds {
    ($value:expr, $type:ty,) => {
        Ok::<(), String>(())
    };
    ($value:expr, $type:ty, $low:literal, $high:literal) => {{
        let bounds: std::ops::RangeInclusive<$type> = $low..=$high;
        if bounds.contains($value) { Ok(()) } else { Err(format!("a number from {} to {}", bounds.start(), bounds.end())) }
    }};
}

macro_rules! keys {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:literal $(in $low:literal..=$high:literal)?;)*) => {
        /// The effective configuration.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $help])+ pub $name: $type,)*
            /// Where each value came from, in the order of [`KEYS`].
            origins: Vec<Origin>,
        }

        /// All keys.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            default: $default,
            bounds: concat!($(stringify!($low), " to ", stringify!($high))?),
            help: concat!($($help),+),
        }),*];

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($name: <$type>::parse($default).expect("a test parses every default"),)*
                    origins: vec![Origin::Default; KEYS.len()],
                }
            }
        }

        impl Config {
            /// Sets a key from text.
            pub(super) fn set(&mut self, name: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
                let Some(index) = KEYS.iter().position(|key| key.name == name) else {
                    return Err(ConfigError { origin: Some(origin), problem: format!("unknown key {name}: {}", suggestion(name)) });
                };
                let result: Result<(), String> = match name {
                    $(stringify!($name) => <$type>::parse(text).and_then(|value| {
                        in_bounds!(&value, $type, $($low, $high)?)?;
                        self.$name = value;
                        Ok(())
                    }),)*
                    _ => Ok(()),
                };
                match result {
                    Ok(()) => {
                        self.origins[index] = origin;
                        Ok(())
                    }
                    Err(right) => Err(ConfigError { origin: Some(origin), problem: format!("{name} is {text:?}; it has to be {right}") }),
                }
            }

            /// Every key with its effective value and where that came from.
            pub fn effective(&self) -> impl Iterator<Item = (&'static Key, String, &Origin)> {
                let values = [$(self.$name.show()),*];
                KEYS.iter().zip(values).zip(&self.origins).map(|((key, value), origin)| (key, value, origin))
            }
        }
    };
}

keys! {
    /// Directory of everything this server keeps; made with mode 0700.
    data: PathBuf = "./sovereign-data";
    /// Address and port to listen on; port 0 takes a free one.
    listen: SocketAddr = "127.0.0.1:8443";
    /// Where people reach this server, for links and the local certificate: `https://HOST[:PORT]`.
    public_url: Option<PublicUrl> = "";
    /// Shown to people who join.
    server_name: String = "Sovereign";
    /// Who may sign up: invite, open or closed.
    registration_mode: RegistrationMode = "invite";
    /// Web pages that may connect besides this server's own: `https://HOST[:PORT]`, separated by commas.
    allowed_origins: Vec<WebOrigin> = "";
    /// Certificate chain in PEM; without it a local authority makes one.
    tls_certificate: Option<PathBuf> = "";
    /// Key of that certificate in PEM; not readable by everybody.
    tls_key: Option<PathBuf> = "";
    /// Also speak TLS 1.2.
    tls_1_2: bool = "false";
    /// Connections at the same time.
    connections_max: usize = "20000" in 1..=1_000_000;
    /// Connections of one IPv4 address or IPv6 /64 at the same time.
    connections_per_address_max: usize = "1000" in 1..=1_000_000;
    /// Silence after which a connection is asked whether it lives.
    heartbeat_interval_seconds: u64 = "30" in 1..=3600;
    /// Time a connection has to authenticate.
    authentication_deadline_seconds: u64 = "10" in 1..=120;
    /// Largest message.
    message_bytes_max: usize = "65536" in 1024..=8_388_608;
    /// Largest frame after authentication; a commit for 1,000 devices has 615 KB.
    frame_bytes_max: usize = "1048576" in 65_536..=16_777_216;
    /// Signals of one connection in a second (typing and the like); those beyond are dropped.
    signals_per_second_max: usize = "100" in 1..=1_000_000;
    /// Messages of one device in a second, twenty seconds' worth at once; its account may send 4 times as many, a group gets 8 times as many.
    messages_per_second_max: u32 = "200" in 1..=1_000_000;
    /// Other requests of one device in a second, in the same way; those that cost the server much count for ten.
    requests_per_second_max: u32 = "200" in 1..=1_000_000;
    /// Sign-ins and sign-ups of one IPv4 address or IPv6 /64 in a second, twenty seconds' worth at once.
    sign_ins_per_second_max: u32 = "100" in 1..=1_000_000;
    /// Bytes of one account's messages that may wait here for others.
    account_bytes_max: u64 = "1073741824" in 1_048_576..=1_125_899_906_842_624;
    /// Bytes of messages that may wait in one group.
    group_bytes_max: u64 = "4294967296" in 1_048_576..=1_125_899_906_842_624;
    /// How long messages are kept for devices that are away.
    retention_days: u64 = "30" in 1..=3650;
    /// How long commits are kept for devices that are away.
    commit_retention_days: u64 = "90" in 1..=3650;
    /// Life of a session token.
    token_days: u64 = "30" in 1..=365;
    /// Password hashes at the same time; each takes 19 MiB.
    password_hashes_max: usize = "2" in 1..=64;
    /// Loopback address and port that serve GET /metrics in plain HTTP; none: nowhere.
    metrics_listen: Option<SocketAddr> = "";
    /// Least severe events to log: error, warn, info, debug or trace.
    log_level: LogLevel = "info";
    /// text or json.
    log_format: LogFormat = "text";
    /// Free space on the disk below which messages are refused.
    disk_reserve_bytes: u64 = "67108864" in 0..=1_099_511_627_776;
    /// Memory this server may have; close to it new connections are turned away. 0: what its control group or its machine has.
    memory_bytes_max: u64 = "0" in 0..=1_125_899_906_842_624;
    /// For drills only: moves this server's clock.
    clock_offset_seconds: i64 = "0" in -315_360_000..=315_360_000;
    /// Time for connections to end when the server stops.
    drain_seconds: u64 = "5" in 0..=60;
}
