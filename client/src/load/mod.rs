//! What measures a server from outside (`sov load`, `./scripts/bench`): devices that live in memory, on connections
//! driven by hand. Accounts, sign-ins, key packages, commits and Envelopes are real. Messages only look like MLS's: a
//! server reads their header and nothing else, and so nothing is encrypted, decrypted or kept here.
//!
//! Nothing of this is for messengers; those are [`crate::Client`].

mod device;
mod hearing;
mod mint;

pub use self::{
    device::{Device, found},
    hearing::{Arrived, Heard},
    mint::{ID_BYTES, MESSAGE_BYTES_MIN, Mint},
};
pub use crate::connection::{Identity, Line, LineError, Route};
