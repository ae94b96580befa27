//! How far a connection has proven who it is.

use std::fmt;

use crate::ids::{AccountId, DeviceId, Leaf};

/// How far a connection has proven who it is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nothing proven yet.
    Guest,
    /// A device whose account vouches for it.
    Active(Device),
    /// Knows the password; listed in no manifest.
    Pending(Device),
    /// On the control socket, which only the operator's user can open.
    Operator,
}

/// An authenticated device.
#[derive(Clone)]
pub struct Device {
    /// Whose device it is.
    pub account: AccountId,
    /// Which one.
    pub device: DeviceId,
    /// Its Ed25519 public key.
    pub key: [u8; 32],
    /// From this connection's `Hello`: what proofs in requests sign.
    pub challenge: [u8; 32],
}

impl Device {
    /// Its leaf in the groups that it is in.
    #[must_use]
    pub fn leaf(&self) -> Leaf {
        Leaf { account_id: self.account, device_id: self.device }
    }
}

/// Its shortened ids; neither key nor challenge.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.account, self.device)
    }
}
