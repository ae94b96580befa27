//! One connection on its way to a session: TCP, TLS, HTTP, upgrade, each under its deadline.
//!
//! The session runs in a task of its own: this one holds the state of the handshakes, which is large, and ends.

use std::{convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tower::Service as _;

use super::{
    HEADER_BYTES_MAX, HEADERS_MAX, Sessions, WebSocketLink, accept::Shared, admission::Place, exchange, http::Handover, plain,
    tls::Stream,
};
use crate::session::{Credential, Peer, broken};

/// Time for the answers to requests under way when the listener stops.
const GOODBYE: Duration = Duration::from_secs(1);

/// Leads a connection to its session; `place` is held until the session ends.
pub(super) async fn serve<S: Sessions>(stream: TcpStream, address: IpAddr, place: Place, shared: Arc<Shared<S>>) {
    let mut shutdown = shared.shutdown.clone();
    let opened = {
        let open = pin!(AssertUnwindSafe(open(stream, address, &shared)).catch_unwind());
        tokio::select! {
            opened = open => opened.unwrap_or_else(|_panic| {
                broken::incident("a connection panicked before its session");
                None
            }),
            () = async { drop(shutdown.wait_for(|stop| *stop).await); sleep(GOODBYE).await } => None,
        }
    };
    let Some((stream, first, credential)) = opened else { return };
    let link = WebSocketLink::new(stream, first, shared.frame_limit, Arc::clone(&shared.large_frames));
    let session = shared.sessions.run(link, Peer { address, credential, operator: false });
    // Behind a pointer, since a future that awaits another has room for it twice: as captured and as awaited.
    let session = Box::pin(session);
    drop(shared);
    tokio::spawn(async move {
        session.await;
        drop(place);
    });
}

/// The upgraded stream, what was read of it behind the request, and who the peer claims to be.
async fn open<S: Sessions>(stream: TcpStream, address: IpAddr, shared: &Shared<S>) -> Option<(Stream, Bytes, Credential)> {
    let stream = timeout(shared.deadlines.tls, handshake(stream, shared)).await.ok().flatten()?;
    let (upgraded, credential) = timeout(shared.deadlines.http, request(stream, address, shared)).await.ok().flatten()?;
    // Everything of hyper ends here, its buffer too.
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf, credential))
}

async fn handshake<S>(mut stream: TcpStream, shared: &Shared<S>) -> Option<Stream> {
    if !plain::speaks_tls(&stream).await? {
        plain::answer(&mut stream).await;
        return None;
    }
    shared.tls.accept(stream).await.ok()
}

/// Answers requests until one becomes a WebSocket.
async fn request<S>(stream: Stream, address: IpAddr, shared: &Shared<S>) -> Option<(Upgraded, Credential)> {
    let handover = Handover::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(handover.clone());
        request.extensions_mut().insert(exchange::From(address));
        answered(shared.router.clone().call(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.deadlines.headers)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // What the peer did wrong was answered where an answer is defined; there is nobody else to tell.
    connection.await.ok()?;
    let (upgrade, credential) = handover.take()?;
    Some((upgrade.await.ok()?, credential))
}

/// The answer, or that there is none because what should have made it panicked.
async fn answered(answer: impl Future<Output = Result<Response<Body>, Infallible>>) -> Result<Response<Body>, Infallible> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_panic| {
        let incident = broken::incident("an HTTP request panicked");
        Ok((StatusCode::INTERNAL_SERVER_ERROR, format!("internal error, incident {incident}\n")).into_response())
    })
}
