//! Invite links: `https://HOST:PORT/join#v=1&c=CODE&s=SERVER_ID&p=CA_PIN`.
//!
//! Everything that a newcomer has to know stands in the fragment, which browsers never send to a server. `s` and `p`
//! are 32 bytes each in base64url without padding.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Where a server is reached and by what it is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// A DNS name or an IP address; IPv6 addresses stand here without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// SHA-256 of the server's long-term public key.
    pub server_id: [u8; 32],
    /// SHA-256 of the `SubjectPublicKeyInfo` of the certificate authority that the server's certificate must come from.
    /// `None`: the system's authorities decide.
    pub ca_pin: Option<[u8; 32]>,
}

impl Endpoint {
    /// `HOST:PORT` as it stands in a URL, with brackets around IPv6 addresses.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// An invite link in its parts. Its `Display` is the link again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinLink {
    /// The server that it leads to.
    pub endpoint: Endpoint,
    /// The invite code; empty where the link carries none (open registration, further devices).
    pub code: String,
}

/// What is wrong with a link. The texts are for the person who pasted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinLinkError {
    /// It does not start with `https://`.
    NotHttps,
    /// Nothing stands where the host should.
    NoHost,
    /// What follows the host is no port.
    BadPort(String),
    /// The path is not `/join`.
    NotAJoinLink(String),
    /// There is nothing behind `#`.
    NoFragment,
    /// `v` is missing or names a version this program does not know.
    Version(String),
    /// A part is missing; the name is its letter and meaning.
    Missing(&'static str),
    /// A part is not 32 bytes in base64url.
    Malformed(&'static str),
}

impl fmt::Display for JoinLinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const QUOTES: &str = "put the whole link in quotes: a shell ends an unquoted one at the first `&`";
        match self {
            Self::NotHttps => f.write_str("the link does not start with https://"),
            Self::NoHost => f.write_str("the link names no host"),
            Self::BadPort(port) => write!(f, "{port:?} in the link is no port"),
            Self::NotAJoinLink(path) => write!(f, "this is no invite link: its path is {path:?}, not \"/join\""),
            Self::NoFragment => f.write_str("the link ends before its `#v=1&c=…&s=…` part; copy it in full"),
            Self::Version(version) => write!(f, "the link is of version {version:?}; this program reads version 1"),
            Self::Missing(part) => write!(f, "the link lacks {part}; {QUOTES}"),
            Self::Malformed(part) => write!(f, "{part} in the link is damaged; copy the link in full"),
        }
    }
}

impl std::error::Error for JoinLinkError {}

const SERVER_ID: &str = "`s`, the server's id";
const CA_PIN: &str = "`p`, the pin of the server's certificate authority";

impl std::str::FromStr for JoinLink {
    type Err = JoinLinkError;

    fn from_str(link: &str) -> Result<Self, JoinLinkError> {
        let rest = link.trim().strip_prefix("https://").ok_or(JoinLinkError::NotHttps)?;
        let (address, fragment) = rest.split_once('#').ok_or(JoinLinkError::NoFragment)?;
        let (authority, path) = address.split_once('/').unwrap_or((address, ""));
        let (host, port) = parse_authority(authority)?;
        if path.trim_end_matches('/') != "join" {
            return Err(JoinLinkError::NotAJoinLink(format!("/{path}")));
        }
        let value_of = |name: &str| {
            fragment.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        match value_of("v") {
            Some("1") => {}
            other => return Err(JoinLinkError::Version(other.unwrap_or_default().to_owned())),
        }
        let server_id = decode_32(value_of("s").ok_or(JoinLinkError::Missing(SERVER_ID))?, SERVER_ID)?;
        let ca_pin = value_of("p").map(|pin| decode_32(pin, CA_PIN)).transpose()?;
        let code = value_of("c").unwrap_or_default().to_owned();
        Ok(Self { endpoint: Endpoint { host, port, server_id, ca_pin }, code })
    }
}

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/join#v=1", self.endpoint.authority())?;
        if !self.code.is_empty() {
            write!(f, "&c={}", self.code)?;
        }
        write!(f, "&s={}", BASE64URL_NOPAD.encode(&self.endpoint.server_id))?;
        match &self.endpoint.ca_pin {
            Some(pin) => write!(f, "&p={}", BASE64URL_NOPAD.encode(pin)),
            None => Ok(()),
        }
    }
}

/// The host without brackets, and the port (443 where none is given).
fn parse_authority(authority: &str) -> Result<(String, u16), JoinLinkError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(JoinLinkError::NoHost)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| JoinLinkError::NoHost)?;
        (host, port.strip_prefix(':').or(port.is_empty().then_some("443")))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("443")),
        }
    };
    let port = port.unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(JoinLinkError::NoHost);
    }
    match port.parse() {
        Ok(number) if number != 0 => Ok((host.to_owned(), number)),
        _ => Err(JoinLinkError::BadPort(port.to_owned())),
    }
}

fn decode_32(text: &str, part: &'static str) -> Result<[u8; 32], JoinLinkError> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| JoinLinkError::Malformed(part))?;
    bytes.try_into().map_err(|_| JoinLinkError::Malformed(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> JoinLink {
        let endpoint = Endpoint { host: "chat.example".into(), port: 8443, server_id: [7; 32], ca_pin: Some([9; 32]) };
        JoinLink { endpoint, code: "ABCD-1234".into() }
    }

    #[test]
    fn reads_what_it_writes() {
        let mut links = vec![link(), link(), link()];
        links[1].endpoint.ca_pin = None;
        links[1].code.clear();
        links[2].endpoint.host = "::1".into();
        for link in links {
            assert_eq!(link.to_string().parse(), Ok(link));
        }
    }

    #[test]
    fn the_order_of_parts_and_unknown_parts_do_not_matter() {
        let id = BASE64URL_NOPAD.encode(&[7; 32]);
        let parsed: JoinLink = format!(" https://h/join#s={id}&x=1&v=1\n").parse().expect("valid");
        assert_eq!((parsed.endpoint.host.as_str(), parsed.endpoint.port), ("h", 443));
        assert_eq!(parsed.endpoint.ca_pin, None);
    }

    #[test]
    fn says_what_is_missing() {
        let parse = |text: &str| text.parse::<JoinLink>().expect_err("damaged");
        assert_eq!(parse("http://h/join#v=1"), JoinLinkError::NotHttps);
        assert_eq!(parse("https://h/join"), JoinLinkError::NoFragment);
        assert_eq!(parse("https:///join#v=1"), JoinLinkError::NoHost);
        assert_eq!(parse("https://h:0/join#v=1"), JoinLinkError::BadPort("0".into()));
        assert_eq!(parse("https://[::1]8443/join#v=1"), JoinLinkError::BadPort(String::new()));
        assert_eq!(parse("https://h/else#v=1"), JoinLinkError::NotAJoinLink("/else".into()));
        assert_eq!(parse("https://h/join#v=2&s=x"), JoinLinkError::Version("2".into()));
        assert_eq!(parse("https://h/join#v=1"), JoinLinkError::Missing(SERVER_ID));
        assert_eq!(parse("https://h/join#v=1&s=AAAA"), JoinLinkError::Malformed(SERVER_ID));
        assert!(parse("https://h/join#v=1&c=x").to_string().contains("quotes"));
    }
}
