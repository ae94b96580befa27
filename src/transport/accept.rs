//! The accept loop: takes connections, turns away what is too many, and drains.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{Deadlines, Options, Sessions, admission::Admission, connection, exchange::Exchanges, http, tls::Tls};
use crate::limits::LARGE_FRAMES;

/// Pause after `accept` failed for want of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection shares.
pub(super) struct Shared<S> {
    pub(super) tls: Tls,
    pub(super) router: axum::Router,
    pub(super) sessions: S,
    pub(super) frame_limit: usize,
    pub(super) large_frames: Arc<Semaphore>,
    pub(super) deadlines: Deadlines,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// Accepts connections until `shutdown` turns true (or its sender is gone), then stops accepting and waits
/// `options.drain` for the sessions to end; they are told by whoever runs them. Returns whether all had ended.
pub async fn serve<S: Sessions>(
    listener: TcpListener,
    tls: Tls,
    options: Options,
    sessions: S,
    mut shutdown: watch::Receiver<bool>,
) -> bool {
    let admission = Admission::new(options.connections_max, options.connections_per_address_max);
    let origins = Arc::new(options.origins);
    let limit = options.frame_bytes_before_authentication;
    let large_frames = Arc::new(Semaphore::new(LARGE_FRAMES));
    let exchanges = Exchanges::new(admission.clone(), Arc::clone(&origins), Arc::clone(&large_frames), sessions.clone(), limit);
    let shared = Arc::new(Shared {
        tls,
        router: http::router(origins, exchanges, sessions.clone()),
        sessions,
        frame_limit: options.frame_bytes_before_authentication,
        large_frames,
        deadlines: options.deadlines,
        shutdown: shutdown.clone(),
    });
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                failing = false;
                admit(stream, address, &admission, &shared);
            }
            Err(error) => pause(&error, &mut failing).await,
        }
    }
    drop(listener);
    tokio::time::timeout(options.drain, admission.emptied()).await.is_ok()
}

/// A connection that is too many is closed at once: it costs a file descriptor for a moment and nothing else.
fn admit<S: Sessions>(stream: TcpStream, address: SocketAddr, admission: &Admission, shared: &Arc<Shared<S>>) {
    let Some(place) = admission.admit(address.ip()) else {
        tracing::debug!("a connection was turned away: there are too many");
        return;
    };
    if stream.set_nodelay(true).is_ok() {
        tokio::spawn(connection::serve(stream, address.ip(), place, Arc::clone(shared)));
    }
}

/// Those who wait to be accepted go on waiting; the log is told once.
async fn pause(error: &io::Error, failing: &mut bool) {
    let of_the_peer = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    if !of_the_peer.contains(&error.kind()) {
        if !std::mem::replace(failing, true) {
            tracing::warn!(%error, "accepting connections fails; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
pub(super) mod tests;
