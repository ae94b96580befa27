//! Whom this device trusts to be whom: accounts are pinned by their identity key, and their devices by the signed,
//! hash-chained manifests behind it. The server cannot slip a device in.

mod own;
mod pin;

pub(crate) use self::{
    own::{genesis, next},
    pin::{Pin, PinError, PinnedDevice},
};
