//! From a TCP connection to frames: accept loop, TLS, HTTP, WebSocket, and the operator's control socket.
//! Decides nothing about what the frames say: a [`Link`] is handed to whoever runs [`Sessions`].

pub mod control;
pub mod metrics;
pub mod tls;

mod accept;
mod admission;
mod connection;
mod counted;
#[cfg(test)]
mod echo;
mod exchange;
mod framed;
mod http;
mod origin;
mod plain;
mod upgrade;
mod websocket;

use std::{sync::Arc, time::Duration};

pub use accept::serve;
pub use framed::FramedLink;
pub use http::routes;
pub use origin::Origins;
pub use websocket::WebSocketLink;

use crate::{
    memory::Memory,
    session::{Peer, link::Link},
};

/// Bytes a peer may send before its TLS handshake is finished.
pub const HANDSHAKE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of an HTTP request's head.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Header fields of an HTTP request.
pub const HEADERS_MAX: usize = 100;
/// Connections to the control socket at the same time.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// Whoever runs what happens on a link. Cheap to clone.
pub trait Sessions: Clone + Send + Sync + 'static {
    /// Runs a session to its end.
    fn run<L: Link>(&self, link: L, peer: Peer) -> impl Future<Output = ()> + Send + 'static;

    /// What all connections together hold.
    fn memory(&self) -> Arc<Memory>;

    /// Whether new connections are of use: what `/readyz` answers.
    fn readiness(&self) -> Readiness;
}

/// What `/readyz` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// All is well.
    Ready,
    /// New connections are of use, and not everything is done: what is not.
    Limited(&'static str),
    /// New connections are of no use now.
    Not(&'static str),
}

/// What the listener needs to know.
#[derive(Clone)]
pub struct Options {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one IPv4 address or one IPv6 /64.
    pub connections_per_address_max: usize,
    /// Largest frame before authentication, in bytes; the session raises it.
    pub frame_bytes_before_authentication: usize,
    /// How long each phase before the session may take.
    pub deadlines: Deadlines,
    /// Which web pages may connect.
    pub origins: Origins,
    /// Time for sessions to end after the listener stopped.
    pub drain: Duration,
}

/// How long a peer may take before a session begins, which has a deadline of its own.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From accepting the connection to the end of the TLS handshake. Default 5 s.
    pub tls: Duration,
    /// For the head of an HTTP request, also of the next one on a kept-alive connection. Default 5 s.
    pub headers: Duration,
    /// For all requests of a connection that does not become a WebSocket. Default 60 s.
    pub http: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { tls: Duration::from_secs(5), headers: Duration::from_secs(5), http: Duration::from_mins(1) }
    }
}
