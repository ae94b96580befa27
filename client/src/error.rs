//! What can go wrong, in words for people, and a class for programs.

use std::fmt;

use sovereign_proto::v1::{self, FailureCode};

use crate::{
    connection::{CallError, EnrolError},
    join_link::JoinLinkError,
    mls::MlsError,
    vault::{OpenError, VaultError},
};

/// Why something was not done.
#[derive(Clone, PartialEq, Eq)]
pub enum Error {
    /// The caller asked for something that makes no sense; the text says what.
    Usage(String),
    /// Another process owns this account's vault now.
    VaultOwned,
    /// There is no account in this directory.
    NoAccount,
    /// The vault could not be opened or written.
    Vault(String),
    /// The server refused.
    Refused {
        /// One of the closed list.
        code: FailureCode,
        /// The server's words, safe to show.
        message: String,
        /// Do not try again sooner, in milliseconds; 0: no hint.
        retry_after_ms: u64,
    },
    /// The server could not be reached, or the connection ended before its answer.
    Network(String),
    /// It is not the server this device joined.
    Untrusted(String),
    /// Somebody's identity key is not the one pinned before: nothing is sent to them.
    IdentityChanged(String),
    /// Somebody's new identity cannot be accepted: the reason.
    Identity(String),
    /// A group holds a device that no manifest of its account lists: nothing is sent there.
    UnknownDevice(String),
    /// No such person, group or device.
    NotFound(String),
    /// The group takes nothing from this device any more: the reason.
    GroupClosed(String),
    /// It took too long.
    Timeout,
    /// This client was closed.
    Closed,
    /// MLS refused: damaged or foreign input, or a fault of this program.
    Mls(String),
}

/// A refusal for longer than this is told rather than waited for.
const PATIENCE_MS: u64 = 60_000;

/// What a program does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Ask differently.
    Usage,
    /// Somebody said no.
    Refused,
    /// This device, or who uses it, may not do that.
    NotPermitted,
    /// Try again when the network is back.
    Network,
    /// Look at the disk, the passphrase, the other process.
    Vault,
    /// Go through the owner of the vault.
    Owned,
    /// Join or log in first.
    NoAccount,
    /// Do not go on before a person has looked.
    Untrusted,
    /// It does not exist.
    NotFound,
    /// Wait longer.
    Timeout,
    /// A fault.
    Internal,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Usage(_) => ErrorClass::Usage,
            Self::VaultOwned => ErrorClass::Owned,
            Self::NoAccount => ErrorClass::NoAccount,
            Self::Vault(_) => ErrorClass::Vault,
            Self::Refused { code: FailureCode::NotFound, .. } | Self::NotFound(_) => ErrorClass::NotFound,
            Self::Refused { code: FailureCode::Unauthenticated | FailureCode::Forbidden, .. } => ErrorClass::NotPermitted,
            Self::Refused { .. } | Self::GroupClosed(_) => ErrorClass::Refused,
            Self::Network(_) => ErrorClass::Network,
            Self::Untrusted(_) | Self::IdentityChanged(_) | Self::Identity(_) | Self::UnknownDevice(_) => ErrorClass::Untrusted,
            Self::Timeout => ErrorClass::Timeout,
            Self::Closed | Self::Mls(_) => ErrorClass::Internal,
        }
    }

    /// The server's hint not to come back sooner; 0: none.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        if let Self::Refused { retry_after_ms, .. } = self { *retry_after_ms } else { 0 }
    }

    /// Whether the server has named the time after which the same request is done: waiting longer each time is of no use.
    pub(crate) fn is_limited(&self) -> bool {
        matches!(self, Self::Refused { code: FailureCode::RateLimited, .. })
    }

    /// Whether the same request may succeed later without anything else changing.
    pub(crate) fn passes(&self) -> bool {
        use FailureCode::{DeadlineExceeded, Internal, QuotaExceeded, RateLimited, Unavailable};
        match self {
            Self::Network(_) | Self::Timeout => true,
            // Longer than anybody waits.
            Self::Refused { code: RateLimited, retry_after_ms, .. } if *retry_after_ms > PATIENCE_MS => false,
            Self::Refused { code, .. } => {
                matches!(code, Unavailable | DeadlineExceeded | RateLimited | QuotaExceeded | Internal)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Vault(text) | Self::NotFound(text) | Self::Identity(text) => f.write_str(text),
            Self::VaultOwned => f.write_str("another process uses this account now"),
            Self::NoAccount => f.write_str("there is no account in this directory: join or log in first"),
            Self::Refused { message, retry_after_ms, .. } if *retry_after_ms > PATIENCE_MS => {
                let minutes = retry_after_ms.div_ceil(60_000);
                let (number, unit) = if minutes < 120 { (minutes, "minutes") } else { (minutes.div_ceil(60), "hours") };
                write!(f, "the server refused: {message} (try again in {number} {unit})")
            }
            Self::Refused { message, .. } => write!(f, "the server refused: {message}"),
            Self::Network(text) => write!(f, "the server cannot be reached: {text}"),
            Self::Untrusted(text) => write!(f, "the server is not the one this device joined: {text}"),
            Self::IdentityChanged(name) => {
                write!(
                    f,
                    "the server shows another identity of {name} than the one known here: nothing is sent to them until you accept it"
                )
            }
            Self::UnknownDevice(text) => write!(f, "nothing is sent to this group: {text}"),
            Self::GroupClosed(text) => write!(f, "the group takes no messages from this device: {text}"),
            Self::Timeout => f.write_str("it took too long"),
            Self::Closed => f.write_str("the client was closed"),
            Self::Mls(text) => write!(f, "MLS: {text}"),
        }
    }
}

/// The text for people: it holds no secret, and the generated failure codes print in no other form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.class())
    }
}

impl std::error::Error for Error {}

impl From<v1::Failure> for Error {
    fn from(failure: v1::Failure) -> Self {
        Self::Refused { code: failure.code(), message: failure.message, retry_after_ms: failure.retry_after_ms }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(failure) => failure.into(),
            CallError::Disconnected => Self::Network("the connection ended before an answer".to_owned()),
            CallError::Unsendable(reason) => Self::Usage(reason),
        }
    }
}

impl From<EnrolError> for Error {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Refused(failure) => failure.into(),
            EnrolError::ServerUntrusted(reason) => Self::Untrusted(reason),
            EnrolError::Network(reason) => Self::Network(reason),
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Owned => Self::VaultOwned,
            OpenError::Missing => Self::NoAccount,
            other => Self::Vault(other.to_string()),
        }
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Self::Vault(error.to_string())
    }
}

impl From<MlsError> for Error {
    fn from(error: MlsError) -> Self {
        match error {
            MlsError::Vault(error) => error.into(),
            other => Self::Mls(other.to_string()),
        }
    }
}

impl From<JoinLinkError> for Error {
    fn from(error: JoinLinkError) -> Self {
        Self::Usage(error.to_string())
    }
}
