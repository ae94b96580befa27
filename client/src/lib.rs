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
mod identity;
pub mod join_link;
pub mod load;
mod mls;
mod model;
pub mod vault;

pub use self::{
    client::Client,
    connection::{Cause, ConnectionState},
    error::{Error, ErrorClass},
    model::{
        AccountInfo, Alarm, Availability, Contact, DeviceInfo, DeviceState, Event, GroupInfo, GroupState, IdentityInfo,
        InboxItem, Member, Message, Notice, Options, Policy, Presence, Queued, Receipt, Relation, SendOptions, Sent,
    },
};
