//! A lean client: frames in and out, many requests outstanding, no MLS.

mod connection;
mod message;
mod peer;

pub use self::{
    connection::Connection,
    message::{ID_BYTES, Mint},
    peer::{Peer, Work, drive_all},
};
