//! The identifiers of the house. Each is its own type, so that one cannot stand where another belongs.

use std::fmt;

/// The bytes have not the length of the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The bytes as they travel and as they are stored.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = WrongLength;

            fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
                bytes.try_into().map(Self).map_err(|_| WrongLength)
            }
        }

        /// The first four bytes in hex: enough to follow something through a log, not enough to address it.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

id!(
    /// A person's identity on this server.
    AccountId, 16
);
id!(
    /// One installation; one MLS leaf per group.
    DeviceId, 16
);
id!(
    /// One RFC 9420 group, and its log.
    GroupId, 32
);
id!(
    /// Chosen by the sender of a message; the key of its idempotency.
    ClientId, 16
);
id!(
    /// Chosen by the claimer of key packages; the key of a claim's idempotency.
    ClaimId, 16
);
id!(
    /// SHA-256 of the server's long-term public key.
    ServerId, 32
);

/// Whose a leaf of a group is. A device has at most one leaf in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaf {
    /// The person.
    pub account_id: AccountId,
    /// The person's device.
    pub device_id: DeviceId,
}

/// Position of an entry in its log, contiguous from 1. 0 stands before the first.
pub type Seq = u64;

/// An MLS epoch of a group (RFC 9420).
pub type Epoch = u64;

/// A log: of a group, or of one device (Welcomes and other unicast things).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum LogId {
    /// The log of a group.
    Group(GroupId),
    /// The device's own log. On the wire it has an empty group id.
    Device(DeviceId),
}
