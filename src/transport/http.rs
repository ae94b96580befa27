//! The routes: the WebSocket endpoint, its fallback, and two probes. Everything else does not exist.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use hyper::upgrade::OnUpgrade;
use sovereign_proto::exchange::PATH;
use tokio::sync::Semaphore;

use super::{
    Options, Origins, Readiness, Sessions,
    admission::Admission,
    exchange::{self, Exchanges},
    upgrade,
};
use crate::{limits::LARGE_FRAMES, session::Credential};

/// Where the endpoint leaves a good upgrade for the connection it came in on.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Option<(OnUpgrade, Credential)>>>);

impl Handover {
    pub(super) fn take(&self) -> Option<(OnUpgrade, Credential)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, upgrade: OnUpgrade, credential: Credential) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, credential));
    }
}

/// The routes of the public listener for whoever brings requests of one address by another way than TCP and TLS. What
/// should become a WebSocket is answered so and does not.
pub fn routes<S: Sessions>(options: Options, address: IpAddr, sessions: S) -> Router {
    let admission = Admission::new(options.connections_max, options.connections_per_address_max);
    let origins = Arc::new(options.origins);
    let limit = options.frame_bytes_before_authentication;
    let large_frames = Arc::new(Semaphore::new(LARGE_FRAMES));
    let exchanges = Exchanges::new(admission, Arc::clone(&origins), large_frames, sessions.clone(), limit);
    let connection = (Extension(Handover::default()), Extension(exchange::From(address)));
    router(origins, exchanges, sessions).layer(connection.0).layer(connection.1)
}

/// The routes of the public listener.
pub(super) fn router<S: Sessions>(origins: Arc<Origins>, exchanges: Exchanges<S>, sessions: S) -> Router {
    Router::new()
        .route("/v1/ws", any(websocket).with_state(origins))
        .route(PATH, any(exchange::handle::<S>).with_state(Arc::new(exchanges)))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz::<S>).with_state(sessions))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
}

async fn websocket(State(origins): State<Arc<Origins>>, Extension(handover): Extension<Handover>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match upgrade::check(&head, &origins) {
        Ok(accepted) => {
            let response = accepted.response();
            handover.put(hyper::upgrade::on(Request::from_parts(head, body)), accepted.credential);
            response
        }
        Err(refused) => {
            tracing::debug!(?refused, "an upgrade was refused");
            refused.response()
        }
    }
}

async fn readyz<S: Sessions>(State(sessions): State<S>) -> Response {
    match sessions.readiness() {
        Readiness::Ready => "ready\n".into_response(),
        // Those who come still get what waits for them, and by acknowledging it they make room.
        Readiness::Limited(why) => format!("ready, but {why}\n").into_response(),
        Readiness::Not(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}
