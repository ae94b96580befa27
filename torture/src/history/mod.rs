//! What happened, as an append-only file of JSON lines on one monotonic clock. The checker knows nothing else.

mod record;
mod writer;

pub(crate) use self::{
    record::{Class, Item, Kind, Record, Upset, What},
    writer::History,
};
