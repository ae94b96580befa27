//! Whether a request to `/v1/ws` may become a WebSocket, and with which credential (docs/protocol, Connection).
//! Nothing of the request is logged: its query and headers may hold secrets.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts},
    response::Response,
};
use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};
use sovereign_proto::{SUBPROTOCOL, SUBPROTOCOL_TOKEN_PREFIX};
use zeroize::Zeroizing;

use super::origin::Origins;
use crate::{auth::secret, session::Credential};

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A good upgrade.
pub(super) struct Accepted {
    accept: String,
    pub(super) credential: Credential,
}

/// Why there is no upgrade, as the peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    ForeignOrigin,
    NoUpgrade,
    WrongVersion,
    BadKey,
    NoSubprotocol,
    QueryNotAllowed,
    BadCredential,
}

/// Checks the head of a request.
pub(super) fn check(head: &Parts, origins: &Origins) -> Result<Accepted, Refused> {
    let ticket = ticket(head.uri.query().unwrap_or_default())?;
    origin(&head.headers, origins)?;
    let upgrades =
        has_item(&head.headers, &header::CONNECTION, "upgrade") && has_item(&head.headers, &header::UPGRADE, "websocket");
    if head.method != Method::GET || head.version != Version::HTTP_11 || !upgrades {
        return Err(Refused::NoUpgrade);
    }
    if single(&head.headers, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refused::WrongVersion);
    }
    let key = single(&head.headers, &header::SEC_WEBSOCKET_KEY).ok_or(Refused::BadKey)?;
    if !BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16) {
        return Err(Refused::BadKey);
    }
    let offered: Vec<&str> = items(&head.headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    if !offered.contains(&SUBPROTOCOL) {
        return Err(Refused::NoSubprotocol);
    }
    Ok(Accepted { accept: accept(key), credential: credential(&head.headers, &offered, ticket)? })
}

/// The answer to a client's key.
pub(super) fn accept(key: &str) -> String {
    BASE64.encode(&Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize())
}

/// The page's origin, if the request comes from one that may connect.
pub(super) fn origin(headers: &HeaderMap, origins: &Origins) -> Result<Option<HeaderValue>, Refused> {
    let mut last = None;
    for origin in headers.get_all(header::ORIGIN) {
        if !origin.to_str().is_ok_and(|origin| origins.allows(origin)) {
            return Err(Refused::ForeignOrigin);
        }
        last = Some(origin.clone());
    }
    Ok(last)
}

/// The credential of a request that is no upgrade: a token in its `Authorization`, or none.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Credential, Refused> {
    credential(headers, &[], None)
}

impl Accepted {
    /// 101, naming the version and nothing else of what was offered.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let accept = HeaderValue::from_str(&self.accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

impl Refused {
    /// What the peer is told; `Connection: close` goes with it.
    pub(super) fn response(self) -> Response {
        let (status, text) = match self {
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "this origin is not allowed here\n"),
            Self::NoUpgrade => (StatusCode::UPGRADE_REQUIRED, "this is a WebSocket endpoint (RFC 6455)\n"),
            Self::WrongVersion => (StatusCode::UPGRADE_REQUIRED, "this server speaks WebSocket version 13\n"),
            Self::BadKey => (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64\n"),
            Self::NoSubprotocol => (StatusCode::BAD_REQUEST, "this server speaks the subprotocols: sovereign.v1\n"),
            Self::QueryNotAllowed => (StatusCode::BAD_REQUEST, "the query may hold one single-use ticket and nothing else\n"),
            Self::BadCredential => (StatusCode::BAD_REQUEST, "one credential at most: Bearer, sovereign.token. or a ticket\n"),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade, close"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// URLs end up in logs and histories: a query holds a single-use ticket or nothing.
fn ticket(query: &str) -> Result<Option<&str>, Refused> {
    if query.is_empty() {
        return Ok(None);
    }
    query.strip_prefix("ticket=").filter(|ticket| secret::is_ticket(ticket)).map(Some).ok_or(Refused::QueryNotAllowed)
}

fn credential(headers: &HeaderMap, offered: &[&str], ticket: Option<&str>) -> Result<Credential, Refused> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let mut tokens = offered.iter().filter_map(|item| item.strip_prefix(SUBPROTOCOL_TOKEN_PREFIX));
    let found = (bearers.next(), tokens.next(), ticket);
    if bearers.next().is_some() || tokens.next().is_some() {
        return Err(Refused::BadCredential);
    }
    let token = match found {
        (None, None, None) => return Ok(Credential::None),
        (None, None, Some(ticket)) => return Ok(Credential::Ticket(Zeroizing::new(ticket.to_owned()))),
        (Some(Some(token)), None, None) | (None, Some(token), None) => token,
        _ => return Err(Refused::BadCredential),
    };
    if secret::is_token(token) { Ok(Credential::Token(Zeroizing::new(token.to_owned()))) } else { Err(Refused::BadCredential) }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    values.next().is_none().then_some(value)
}

fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn has_item(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    items(headers, name).any(|item| item.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
