//! What a peer may learn when a request is not done: a code, a safe text, a retry hint.

use std::borrow::Cow;

use sovereign_proto::v1::{self, FailureCode, failure::Details};

/// When to ask again for room on the disk, in milliseconds.
const NO_ROOM_MS: u64 = 5000;
/// When to ask again for room within a quota: trimming takes its turn twice a minute.
const QUOTA_MS: u64 = 30_000;

/// A request that is not done. Holds nothing internal: everything in it leaves.
pub struct Refusal {
    code: FailureCode,
    message: Cow<'static, str>,
    retry_after_ms: u64,
    details: Option<Details>,
}

impl Refusal {
    /// Whose fault it is and what to do, in a sentence or two.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0, details: None }
    }

    /// The caller did not prove who it is, or what it offered is not good (any more).
    #[must_use]
    pub fn unauthenticated(message: &'static str) -> Self {
        Self::new(FailureCode::Unauthenticated, message)
    }

    /// The caller is known and may not do this.
    #[must_use]
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(FailureCode::Forbidden, message)
    }

    /// Does not exist, or the caller may not know that it does: the same bytes for both.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(FailureCode::NotFound, "not found")
    }

    /// The request itself is wrong; sending it again changes nothing.
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureCode::InvalidArgument, message)
    }

    /// One item of a batch is wrong.
    #[must_use]
    pub fn invalid_item(index: usize, message: impl Into<Cow<'static, str>>) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self { details: Some(Details::InvalidItem(v1::InvalidItem { index })), ..Self::invalid(message) }
    }

    /// Something else stands in the way.
    #[must_use]
    pub fn conflict(message: &'static str) -> Self {
        Self::new(FailureCode::Conflict, message)
    }

    /// Above a limit that `Hello` announced.
    #[must_use]
    pub fn too_large(message: &'static str) -> Self {
        Self::new(FailureCode::TooLarge, message)
    }

    /// The message's epoch is past; what was missed comes along.
    #[must_use]
    pub fn stale_epoch(stale: v1::StaleEpoch) -> Self {
        let message = "the group has moved on: apply the missed entries and send again under the same client_id";
        Self { details: Some(Details::StaleEpoch(stale)), ..Self::new(FailureCode::StaleEpoch, message) }
    }

    /// The server cannot do it now.
    #[must_use]
    pub fn unavailable(message: &'static str, retry_after_ms: u64) -> Self {
        Self { retry_after_ms, ..Self::new(FailureCode::Unavailable, message) }
    }

    /// The caller has to slow down.
    #[must_use]
    pub fn rate_limited(message: &'static str, retry_after_ms: u64) -> Self {
        Self { retry_after_ms, ..Self::new(FailureCode::RateLimited, message) }
    }

    /// There is no room now, and nobody knows when there will be.
    #[must_use]
    pub fn no_room(message: &'static str) -> Self {
        Self { retry_after_ms: NO_ROOM_MS, ..Self::new(FailureCode::QuotaExceeded, message) }
    }

    /// An account's messages, or a group's, take all the room that they may.
    #[must_use]
    pub fn over_quota(of_group: bool, used_bytes: u64, limit_bytes: u64) -> Self {
        let message = if of_group {
            "the group has as many messages waiting for its members as it may: room comes as they read, or with time"
        } else {
            "this account has as many messages waiting for others as it may: room comes as they read, or with time"
        };
        let quota = Some(v1::Quota { used_bytes, limit_bytes });
        let details = Some(Details::QuotaExceeded(v1::QuotaExceeded { of_group, quota }));
        Self { retry_after_ms: QUOTA_MS, details, ..Self::new(FailureCode::QuotaExceeded, message) }
    }

    /// The server's fault. The incident id stands in its log beside the cause.
    #[must_use]
    pub fn internal(incident: &str) -> Self {
        Self::new(FailureCode::Internal, format!("internal error, incident {incident}"))
    }

    /// The code, for metrics and decisions.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        self.code
    }

    /// As it travels.
    #[must_use]
    pub fn into_failure(self) -> v1::Failure {
        v1::Failure {
            code: self.code.into(),
            message: self.message.into_owned(),
            retry_after_ms: self.retry_after_ms,
            details: self.details,
        }
    }
}

/// Why a connection is closed: the one table of close codes (RFC 6455, section 7.4; 4000 and above are ours). Each
/// tells the client exactly one thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// Asked for: by the client, or by signing out.
    Normal = 1000,
    /// No WebSocket frame: mend the client.
    Malformed = 1002,
    /// A text frame: mend the client.
    Text = 1003,
    /// A frame above the limit: mend the client.
    TooBig = 1009,
    /// The server's fault: retry after a delay.
    Fault = 1011,
    /// The server restarts: retry after the announced delay.
    Restart = 1012,
    /// Too much load: retry after a delay.
    Overloaded = 1013,
    /// Not authenticated in time: retry after a delay.
    AuthenticationDeadline = 4001,
    /// The proof, password, token or ticket was not good: authenticate again in another way, or tell the person.
    AuthenticationFailed = 4002,
    /// Session or device revoked: authenticate again, or tell the person.
    SessionEnded = 4004,
    /// The account is disabled: tell the person.
    AccountDisabled = 4005,
    /// A request that is not allowed in this state: mend the client.
    Order = 4006,
    /// Frames that are no Envelope: mend the client.
    MalformedEnvelope = 4007,
    /// Floods: retry after a long delay.
    RateAbuse = 4008,
    /// A newer connection of the same device: stop and tell the person.
    Superseded = 4009,
    /// Nothing was heard: retry now.
    HeartbeatLost = 4011,
    /// Nothing was read: retry now.
    SlowReader = 4012,
}

impl CloseCode {
    /// Every code this server sends.
    pub const ALL: [Self; 17] = [
        Self::Normal,
        Self::Malformed,
        Self::Text,
        Self::TooBig,
        Self::Fault,
        Self::Restart,
        Self::Overloaded,
        Self::AuthenticationDeadline,
        Self::AuthenticationFailed,
        Self::SessionEnded,
        Self::AccountDisabled,
        Self::Order,
        Self::MalformedEnvelope,
        Self::RateAbuse,
        Self::Superseded,
        Self::HeartbeatLost,
        Self::SlowReader,
    ];

    /// The text of the close frame.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "goodbye",
            Self::Malformed => "not a WebSocket frame",
            Self::Text => "text frames are not spoken here",
            Self::TooBig => "frame above the limit",
            Self::Fault => "server fault",
            Self::Restart => "server restarts",
            Self::Overloaded => "overloaded",
            Self::AuthenticationDeadline => "not authenticated in time",
            Self::AuthenticationFailed => "authentication failed",
            Self::SessionEnded => "session ended or device revoked",
            Self::AccountDisabled => "account disabled",
            Self::Order => "request not allowed in this state",
            Self::MalformedEnvelope => "malformed Envelope",
            Self::RateAbuse => "too many control frames, signals or requests",
            Self::Superseded => "superseded by a newer connection of this device",
            Self::HeartbeatLost => "nothing heard",
            Self::SlowReader => "nothing read",
        }
    }
}
