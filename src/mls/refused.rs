//! Why a peer's MLS bytes are not taken.

use std::fmt;

use crate::ids::{DeviceId, Epoch};

/// A refusal of MLS bytes. Its text names what is wrong and is safe to tell the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The bytes are not the MLS message that belongs here, or something stands behind it.
    Malformed,
    /// The bytes say something valid in another encoding than the one RFC 9420 prescribes.
    NotCanonical,
    /// Another cipher suite or protocol version than the server's.
    WrongSuite,
    /// The message belongs to another group.
    WrongGroup,
    /// The message belongs to another epoch than the group's current one.
    WrongEpoch {
        /// The group's epoch.
        current: Epoch,
        /// The message's epoch.
        got: Epoch,
    },
    /// The sender's leaf, credential or signature key is not the caller's.
    NotSender,
    /// Well-formed MLS that the server does not allow.
    Policy(&'static str),
    /// The key package is not acceptable.
    BadKeyPackage(&'static str),
    /// The commit adds this device with a key package that is not acceptable.
    BadAdd(DeviceId),
    /// The Welcome is not for exactly the added key packages, or of another suite.
    BadWelcome,
    /// The `GroupInfo` is not acceptable, or does not describe the epoch that it should.
    BadGroupInfo(&'static str),
    /// openmls found it invalid; the text is openmls's reason, shortened.
    Invalid(String),
}

impl Refused {
    /// A refusal for openmls's own reason, at most 200 characters of it.
    pub(super) fn invalid(reason: &impl fmt::Display) -> Self {
        Self::Invalid(reason.to_string().chars().take(200).collect())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the sender's bytes are not the expected MLS message"),
            Self::NotCanonical => f.write_str("the sender's MLS message is not canonically encoded"),
            Self::WrongSuite => f.write_str("the sender uses a cipher suite or version that this server does not take"),
            Self::WrongGroup => f.write_str("the sender's message belongs to another group"),
            Self::WrongEpoch { current, got } => write!(f, "the sender's message is of epoch {got}, the group is at {current}"),
            Self::NotSender => f.write_str("the message's leaf, credential or key is not the sender's own"),
            Self::Policy(rule) => write!(f, "not allowed: {rule}"),
            Self::BadKeyPackage(reason) => write!(f, "the key package cannot be used: {reason}"),
            Self::BadAdd(device) => write!(f, "the key package added for device {device:?} cannot be used"),
            Self::BadWelcome => f.write_str("the Welcome is not for exactly the devices that the commit adds"),
            Self::BadGroupInfo(reason) => write!(f, "the GroupInfo cannot be used: {reason}"),
            Self::Invalid(reason) => write!(f, "invalid MLS: {reason}"),
        }
    }
}

impl std::error::Error for Refused {}
