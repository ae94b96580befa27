//! The end-to-end encrypted client of Sovereign: accounts, devices, groups and messages over MLS (RFC 9420), with
//! everything durable in one encrypted vault. [`Client`] is the door; the rest is what it takes and gives.

mod client;
pub mod clock;
pub mod connection;
pub mod device_key;
mod engine;
mod enrolment;
mod entropy;
mod error;
mod event;
mod identity;
pub mod join_link;
pub mod load;
mod mls;
mod model;
pub mod vault;

pub use self::{
    client::Client,
    connection::{Cause, ConnectionState},
    engine::is_content,
    error::{Error, ErrorClass},
    event::{Alarm, Event},
    model::{
        AccountInfo, Availability, Contact, DeviceInfo, DeviceState, GroupInfo, GroupState, IdentityInfo, InboxItem, Member,
        Message, Notice, Options, Policy, Presence, Queued, Receipt, Relation, Room, SendOptions, Sent, Usage,
    },
};
