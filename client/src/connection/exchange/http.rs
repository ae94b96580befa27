//! One request and its answer, over HTTP/1.1.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use sovereign_proto::exchange;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};

use crate::clock::monotonic;

/// Largest body taken from the server.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A connection is not used for another request after this: servers end them after a while, whatever is under way.
const REUSE: Duration = Duration::from_secs(30);
/// For an answer beyond the time that the server was asked to wait.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// Makes connections to the server.
pub(in crate::connection) trait Connect: Send + Sync + 'static {
    /// What HTTP runs over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// One attempt.
    fn connect(&self) -> impl Future<Output = Result<Self::Stream, Failed>> + Send;
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::connection) enum Failed {
    /// Another try may succeed.
    Network(String),
    /// The session is over.
    Gone,
    /// Another try is of no use.
    Refused(String),
}

/// What is asked.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) session: Option<String>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) wait: Duration,
    pub(super) closed: Option<u16>,
    pub(super) body: Bytes,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) session: String,
    /// Frames of ours that the server has.
    pub(super) received: u64,
    /// Frames of the server before these.
    pub(super) sent: u64,
    pub(super) frames: Vec<Bytes>,
    pub(super) closed: Option<u16>,
}

/// A connection that is kept for further requests.
pub(super) struct Kept {
    sender: SendRequest<Full<Bytes>>,
    made: Instant,
}

impl Kept {
    pub(super) async fn new<C: Connect>(connect: &C) -> Result<Self, Failed> {
        let stream = connect.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| network(&error))?;
        // Its errors are told to the request that meets them.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, made: monotonic() })
    }

    /// Whether another request may use it.
    pub(super) fn is_good(&self) -> bool {
        !self.sender.is_closed() && self.made.elapsed() < REUSE
    }

    pub(super) async fn ask(&mut self, authority: &str, asked: Asked) -> Result<Answer, Failed> {
        let deadline = asked.wait + ANSWER_DEADLINE;
        let answered = async {
            let response = self.sender.send_request(request(authority, asked)?).await.map_err(|error| network(&error))?;
            let (head, body) = response.into_parts();
            if let Some(failed) = failed(head.status) {
                return Err(failed);
            }
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Failed::Network(error.to_string()))?.to_bytes();
            answer(&head.headers, &body).ok_or_else(|| Failed::Refused("its answer is not one of this protocol".to_owned()))
        };
        timeout(deadline, answered)
            .await
            .unwrap_or_else(|_| Err(Failed::Network("the server does not answer in time".to_owned())))
    }
}

fn request(authority: &str, asked: Asked) -> Result<Request<Full<Bytes>>, Failed> {
    let mut builder = Request::post(exchange::PATH)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(exchange::RECEIVED, asked.received)
        .header(exchange::SENT, asked.sent)
        .header(exchange::WAIT, u64::try_from(asked.wait.as_millis()).unwrap_or(u64::MAX));
    if let Some(session) = asked.session {
        builder = builder.header(exchange::SESSION, session);
    }
    if let Some(code) = asked.closed {
        builder = builder.header(exchange::CLOSED, code);
    }
    builder.body(Full::new(asked.body)).map_err(|error| Failed::Refused(error.to_string()))
}

fn failed(status: StatusCode) -> Option<Failed> {
    match status {
        StatusCode::OK => None,
        StatusCode::GONE => Some(Failed::Gone),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Some(Failed::Network(format!("HTTP status {status}")))
        }
        status => Some(Failed::Refused(format!("HTTP status {status}"))),
    }
}

fn answer(headers: &HeaderMap, body: &Bytes) -> Option<Answer> {
    let text = |name| headers.get(name)?.to_str().ok();
    let number = |name| text(name)?.parse().ok();
    let closed = match text(exchange::CLOSED) {
        None => None,
        Some(code) => Some(code.parse().ok()?),
    };
    Some(Answer {
        session: text(exchange::SESSION)?.to_owned(),
        received: number(exchange::RECEIVED)?,
        sent: number(exchange::SENT)?,
        frames: exchange::split(body)?.collect(),
        closed,
    })
}

fn network(error: &hyper::Error) -> Failed {
    Failed::Network(error.to_string())
}
