//! Why a call, or an enrolment, has no answer.

use std::fmt;

use sovereign_proto::v1;

/// Why a call has no response.
pub enum CallError {
    /// The server refused; the failure says why and whether another try makes sense.
    Refused(v1::Failure),
    /// There is no connection, or it ended before the answer: the outcome is unknown, send it again later.
    Disconnected,
    /// It was never sent, and sending the same again is of no use: the reason.
    Unsendable(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) => write!(f, "the server refused: {}", failure.message),
            Self::Disconnected => f.write_str("the connection ended before an answer"),
            Self::Unsendable(reason) => write!(f, "cannot be sent: {reason}"),
        }
    }
}

/// Code and message; details may hold entries, which no log needs.
impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) => write!(f, "Refused({}, {:?})", failure.code().as_str_name(), failure.message),
            Self::Disconnected => f.write_str("Disconnected"),
            Self::Unsendable(reason) => write!(f, "Unsendable({reason:?})"),
        }
    }
}

impl std::error::Error for CallError {}

/// Why an account was not made, or a device not enrolled.
pub enum EnrolError {
    /// The server refused.
    Refused(v1::Failure),
    /// It is not the server of the link, or its certificate is not valid. Nothing was told to it.
    ServerUntrusted(String),
    /// The server could not be reached, or the connection ended before its answer: the outcome is unknown.
    Network(String),
}

impl fmt::Display for EnrolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) => write!(f, "the server refused: {}", failure.message),
            Self::ServerUntrusted(reason) => write!(f, "the server is not to be trusted: {reason}"),
            Self::Network(reason) => write!(f, "the server cannot be reached: {reason}"),
        }
    }
}

impl fmt::Debug for EnrolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolError({self})")
    }
}

impl std::error::Error for EnrolError {}
