//! What the connection tells: where it stands, why, and what the server pushed.

use std::fmt;

use sovereign_proto::v1::{self, FailureCode};

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// TCP, TLS and the WebSocket upgrade.
    Connecting {
        /// Attempts in a row, this one included.
        attempt: u32,
    },
    /// The server's Hello is awaited, checked and answered by a sign-in.
    Authenticating,
    /// Signed in; what was missed meanwhile arrives.
    Syncing,
    /// Everything up to the sign-in has arrived; commits may be created.
    Live,
    /// Waiting for the next attempt.
    Backoff {
        /// How long, in milliseconds.
        wait_ms: u64,
    },
    /// Over: nothing is tried any more.
    Stopped,
}

/// Why the connection is where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Cause {
    /// This program asked for it.
    Requested,
    /// The step before succeeded, or the wait is over.
    Proceeding,
    /// The way to the server failed; the text is for people.
    Network(String),
    /// The server was not heard in time.
    HeartbeatLost,
    /// The server closed with a code of the protocol's table.
    Closed {
        /// The WebSocket close code; 1006 where there was none.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The server refused the sign-in.
    Refused {
        /// Its code.
        code: FailureCode,
        /// The server's words, safe to show.
        message: String,
    },
    /// What the server sent is no valid protocol.
    Protocol(String),
    /// It is not the server this device joined, or its certificate is not valid. Nothing was told to it.
    ServerUntrusted(String),
    /// The same device connected elsewhere; the newer connection wins.
    Superseded,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("as asked"),
            Self::Proceeding => f.write_str("going on"),
            Self::Network(text) => write!(f, "the server cannot be reached: {text}"),
            Self::HeartbeatLost => f.write_str("the server has gone silent"),
            Self::Closed { code: 1006, .. } => f.write_str("the connection broke off"),
            Self::Closed { code, reason } if reason.is_empty() => write!(f, "the server closed the connection ({code})"),
            Self::Closed { code, reason } => write!(f, "the server closed the connection ({code}): {reason}"),
            Self::Refused { message, .. } => write!(f, "the server refused to sign this device in: {message}"),
            Self::Protocol(text) => write!(f, "the server's words make no sense: {text}"),
            Self::ServerUntrusted(text) => write!(f, "the server is not to be trusted: {text}"),
            Self::Superseded => f.write_str("this device connected elsewhere"),
        }
    }
}

/// The words for people, with the name of a failure code beside them.
impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, .. } => write!(f, "{}: {self}", code.as_str_name()),
            _ => write!(f, "{self}"),
        }
    }
}

/// In the order in which things happened.
pub enum ConnectionEvent {
    /// The connection changed its state.
    State(ConnectionState, Cause),
    /// The answer to the sign-in; follows `State(Syncing)` and comes before every push of this connection.
    SignedIn {
        /// Where this device stands.
        session: v1::Session,
        /// The generation of the server's store.
        generation: u64,
    },
    /// Something the server pushed; Hello and Closing are handled inside. `Live` follows `State(Live)`.
    Push(v1::push::Body),
}
