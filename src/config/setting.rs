//! The types of values: each reads itself from text and shows itself as text.

use std::{fmt, net::IpAddr, net::SocketAddr, path::PathBuf};

/// A value's type.
pub(super) trait Setting: Sized {
    /// The value, or what would be right.
    fn parse(text: &str) -> Result<Self, String>;
    /// What [`Setting::parse`] reads.
    fn show(&self) -> String;
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, String> {
        let good = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if good { Ok(text.to_owned()) } else { Err("1 to 64 characters without controls".into()) }
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path".into()) } else { Ok(text.into()) }
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "ADDRESS:PORT, for example 0.0.0.0:8443 or [::]:8443".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn parse(text: &str) -> Result<Self, String> {
                text.replace('_', "").parse().map_err(|_| "a whole number".into())
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_number!(u32, usize, u64, i64);

/// Empty text is `None`.
impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }
}

/// Separated by commas.
impl<T: Setting> Setting for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::parse).collect()
    }
    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl Setting for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("one of: {}", [$($text),*].join(", "))),
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $text.to_owned()),* }
            }
        }
    };
}

choice!(
    /// Who may sign up.
    RegistrationMode {
        /// Whoever has an invite.
        Invite = "invite",
        /// Everybody.
        Open = "open",
        /// Nobody, whatever link they hold.
        Closed = "closed",
    }
);
choice!(
    /// The least severe events that are logged.
    LogLevel {
        /// What an operator has to act on.
        Error = "error",
        /// What may become a problem.
        Warn = "warn",
        /// Start, stop and what an operator did.
        Info = "info",
        /// Connections and refusals.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
);
choice!(
    /// How events are written.
    LogFormat {
        /// A line for people.
        Text = "text",
        /// A JSON object for machines.
        Json = "json",
    }
);

/// An absolute `https` URL without a path: where people reach this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Name or address.
    pub host: Host,
    /// 443 where none is written.
    pub port: u16,
}

/// A host in lower case, IPv6 addresses without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// As certificates name it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As URLs write it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(&self.0) }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if *port == 443 { write!(f, "https://{host}") } else { write!(f, "https://{host}:{port}") }
    }
}

/// The origin of a web page: `https://HOST[:PORT]`, or `http://` for a page under development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// As browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for WebOrigin {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let (authority, as_url) = match text.strip_prefix("http://") {
            Some(authority) => (authority, format!("https://{authority}")),
            None => (text.strip_prefix("https://").unwrap_or_default(), text.clone()),
        };
        let good = !authority.ends_with('/') && PublicUrl::parse(&as_url).is_ok();
        if good { Ok(Self(text)) } else { Err("https://HOST[:PORT] as browsers send it, without a path".into()) }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Setting for PublicUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let right = || "https://HOST or https://HOST:PORT, without a path".to_owned();
        let authority = text.strip_prefix("https://").ok_or_else(right)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority).to_ascii_lowercase();
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<IpAddr>().is_ok()).ok_or_else(right)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(right)?,
            None if port.is_empty() => 443,
            None => return Err(right()),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let named = host.len() <= 253 && host.split('.').all(label);
        if named || authority.starts_with('[') { Ok(Self { host: Host(host.to_owned()), port }) } else { Err(right()) }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}
