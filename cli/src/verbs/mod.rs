//! One file per verb: its arguments, and what it does with a client.

pub(crate) mod contacts;
pub(crate) mod devices;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod join;
pub(crate) mod listen;
pub(crate) mod login;
pub(crate) mod presence;
pub(crate) mod receipts;
pub(crate) mod send;
pub(crate) mod trust;
pub(crate) mod usage;
