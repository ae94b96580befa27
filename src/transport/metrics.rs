//! `GET /metrics` in plain HTTP, on a loopback address of its own. Nothing else is served there.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{HEADER_BYTES_MAX, HEADERS_MAX};

/// Connections at the same time; a further one waits.
const CONNECTIONS_MAX: usize = 8;
/// For everything on one connection.
const DEADLINE: Duration = Duration::from_secs(30);
/// What the text is.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whoever makes the text. Cheap to clone.
pub trait Scrape: Clone + Send + Sync + 'static {
    /// The text; `None`: it cannot be had now.
    fn text(&self) -> impl Future<Output = Option<String>> + Send;
}

/// Serves until `shutdown` turns true or its sender is gone.
pub async fn serve<S: Scrape>(listener: TcpListener, scrape: S, mut shutdown: watch::Receiver<bool>) {
    let not_found = async || (StatusCode::NOT_FOUND, "not found\n");
    let router = Router::new().route("/metrics", get(metrics::<S>)).fallback(not_found).with_state(scrape);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = connection(stream, router.clone());
        tokio::spawn(async move {
            // Whoever asks for metrics asks again.
            let _ = timeout(DEADLINE, connection).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(DEADLINE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for metrics failed");
    }
}

async fn metrics<S: Scrape>(State(scrape): State<S>) -> Response {
    match scrape.text().await {
        Some(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "not now\n").into_response(),
    }
}
