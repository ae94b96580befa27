//! The contract between Sovereign's server and its clients: the messages of `sovereign/v1/*.proto`, one [`Call`] for
//! each request of the service block, and the exact bytes that both sides sign and hash ([`signed`], [`manifest`],
//! [`credential`], [`log`], [`mls`], [`signal`]), or put around Envelopes ([`exchange`]). docs/protocol describes the
//! same for implementers in other languages.

pub mod credential;
pub mod exchange;
pub mod log;
pub mod manifest;
pub mod mls;
pub mod signal;
pub mod signed;

/// The generated types of package `sovereign.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated from the .proto files, which carry the documentation")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/sovereign.v1.rs"));
}

/// A request of the service block: what it is called, what answers it, and how both stand in an `Envelope`.
pub trait Call: Sized {
    /// The method's name in the service block.
    const NAME: &'static str;
    /// Its place in [`v1::REQUEST_NAMES`].
    const INDEX: usize;
    /// The message that answers it.
    type Response;
    /// The request as it stands in an envelope.
    fn into_body(self) -> v1::request::Body;
    /// Its answer, or `None` if `body` answers another request.
    fn from_body(body: v1::response::Body) -> Option<Self::Response>;
}

/// Code and text; what comes along (missed entries) is left out.
impl std::fmt::Debug for v1::Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure").field("code", &self.code()).field("message", &self.message).finish_non_exhaustive()
    }
}

/// The WebSocket subprotocol that names this version of the protocol.
pub const SUBPROTOCOL: &str = "sovereign.v1";

/// A second subprotocol entry `sovereign.token.<token>` carries a session token where no header can be set.
pub const SUBPROTOCOL_TOKEN_PREFIX: &str = "sovereign.token.";
