//! A lean client: frames in and out, many requests outstanding, no MLS.

mod connection;
mod peer;

pub use self::{
    connection::{Connection, route},
    peer::{Peer, Work, drive_all},
};
pub use sovereign_client::load::{ID_BYTES, Mint};
