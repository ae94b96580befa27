//! `POST /v1/exchange`: the same Envelopes over plain HTTPS, for networks that cut `WebSockets` (docs/protocol, Exchange).
//!
//! Both directions are numbered streams of frames. A request says how many frames of the server it has and from which
//! number on its own go; the answer says the same the other way round. So every request may be made again without harm,
//! and neither side needs to know which of the other's requests or answers were lost.

mod intake;
mod link;
mod sessions;
mod stream;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sovereign_proto::exchange;

pub(super) use self::sessions::Exchanges;
use self::{
    intake::{Intake, Unreceived},
    sessions::Farewell,
    stream::{ANSWER_BYTES, INCOMING_BYTES, Refused, Reply},
};
use super::{Sessions, upgrade};
use crate::{limits::HELD_WHEN_TIGHT, session::Peer};

/// Longest time a request is held for something to come.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// A session of which nothing is heard for this long (two polls) is gone.
const GONE_AFTER: Duration = Duration::from_secs(50);
/// Bytes of a body beyond the largest frame: small frames may come along.
const BODY_SLACK: usize = 16 * 1024;

const SESSION: HeaderName = HeaderName::from_static(exchange::SESSION);
const RECEIVED: HeaderName = HeaderName::from_static(exchange::RECEIVED);
const SENT: HeaderName = HeaderName::from_static(exchange::SENT);
const WAIT: HeaderName = HeaderName::from_static(exchange::WAIT);
const RETURN: HeaderName = HeaderName::from_static(exchange::RETURN);
const CLOSED: HeaderName = HeaderName::from_static(exchange::CLOSED);

/// Where a connection comes from, left for the handler by whoever accepted it.
#[derive(Clone, Copy)]
pub(super) struct From(pub(super) IpAddr);

/// What a request says besides its body.
struct Head {
    session: Option<sessions::Id>,
    received: u64,
    sent: u64,
    wait: Duration,
    /// The client ends the session.
    closed: bool,
}

/// Handles one request.
pub(super) async fn handle<S: Sessions>(
    State(exchanges): State<Arc<Exchanges<S>>>,
    Extension(From(address)): Extension<From>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(origin) = upgrade::origin(&parts.headers, exchanges.origins()) else {
        return said(StatusCode::FORBIDDEN, "this origin is not allowed here\n");
    };
    let mut response = match parts.method {
        Method::OPTIONS => preflight(),
        Method::POST if parts.uri.query().is_some() => said(StatusCode::BAD_REQUEST, "there is nothing to say in a query\n"),
        Method::POST => post(&exchanges, address, &parts.headers, body).await.unwrap_or_else(|refusal| refusal),
        _ => said(StatusCode::METHOD_NOT_ALLOWED, "this endpoint takes POST\n"),
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let exposed =
            HeaderValue::from_static("sovereign-session, sovereign-received, sovereign-sent, sovereign-return, sovereign-closed");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

async fn post<S: Sessions>(
    exchanges: &Arc<Exchanges<S>>,
    address: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let head = Head::read(headers).ok_or_else(|| said(StatusCode::BAD_REQUEST, "a sovereign- header cannot be read\n"))?;
    let over = |id: &sessions::Id| match exchanges.farewell(id) {
        Some(Farewell { code, accepted }) => answer(
            exchanges.intake(),
            id,
            &Reply { frames: Vec::new(), sent: head.received, received: accepted, closed: Some(code) },
        ),
        None => said(StatusCode::GONE, "this session is over: open another one\n"),
    };
    let (id, stream) = if let Some(id) = head.session {
        (id, exchanges.find(&id).ok_or_else(|| over(&id))?)
    } else {
        let credential = upgrade::bearer(headers).map_err(upgrade::Refused::response)?;
        let opened = exchanges.open(Peer { address, credential, operator: false });
        opened.ok_or_else(|| said(StatusCode::SERVICE_UNAVAILABLE, "there are too many connections\n"))?
    };
    let limit = stream.frame_limit() + BODY_SLACK;
    let body = exchanges.intake().receive(body, limit).await.map_err(|unreceived| match unreceived {
        Unreceived::TooLarge => said(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this session may send\n"),
        Unreceived::Late => said(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
        Unreceived::Broken => said(StatusCode::BAD_REQUEST, "the body cannot be read\n"),
        Unreceived::NoPlace => said(StatusCode::SERVICE_UNAVAILABLE, "too many large bodies come in: ask again\n"),
    })?;
    let frames =
        exchange::split(&body.bytes).ok_or_else(|| said(StatusCode::BAD_REQUEST, "the body is not made of whole frames\n"))?;
    let room = if exchanges.intake().is_tight() { HELD_WHEN_TIGHT } else { INCOMING_BYTES };
    let turn = stream.take(head.received, head.sent, frames, room).map_err(|refused| match refused {
        Refused::Gap => said(StatusCode::CONFLICT, "frames are missing before these, or confirmed that were never sent\n"),
        Refused::Over => over(&id),
    })?;
    // While the answer waits, what was taken is the session's to hold.
    drop(body);
    if head.closed {
        stream.leave();
    }
    let room = || if exchanges.intake().is_tight() { HELD_WHEN_TIGHT } else { ANSWER_BYTES };
    let reply = stream.reply(turn, head.wait, room).await;
    Ok(answer(exchanges.intake(), &id, &reply))
}

impl Head {
    fn read(headers: &HeaderMap) -> Option<Self> {
        // Said twice, nobody knows which is meant.
        let text = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().map(HeaderValue::to_str).transpose().ok()?;
            values.next().is_none().then_some(first)
        };
        let number = |name| text(name)?.map_or(Some(0), |text| text.parse::<u64>().ok());
        let session = match text(SESSION)? {
            None => None,
            Some(text) => Some(sessions::Id::parse(text)?),
        };
        let wait = Duration::from_millis(number(WAIT)?).min(WAIT_MAX);
        let closed = number(CLOSED)? > 0;
        Some(Self { session, received: number(RECEIVED)?, sent: number(SENT)?, wait, closed })
    }
}

fn answer(intake: &Intake, id: &sessions::Id, reply: &Reply) -> Response {
    let mut response = Response::new(intake.answer(exchange::join(reply.frames.iter())));
    let headers = response.headers_mut();
    let number = |number: u64| HeaderValue::from(number);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(SESSION, id.value());
    headers.insert(RECEIVED, number(reply.received));
    headers.insert(SENT, number(reply.sent));
    headers.insert(RETURN, number(u64::try_from(GONE_AFTER.as_millis()).unwrap_or(u64::MAX)));
    if let Some(code) = reply.closed {
        headers.insert(CLOSED, HeaderValue::from(code));
    }
    response
}

/// What a browser asks before a page of another origin may post (Fetch, CORS preflight).
fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    let allowed =
        "authorization, content-type, sovereign-session, sovereign-received, sovereign-sent, sovereign-wait, sovereign-closed";
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn said(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}

#[cfg(test)]
mod tests;
