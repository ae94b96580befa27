//! The one integration binary: real server processes, raw connections, the project's own client.

#![allow(clippy::large_futures, reason = "a test's story is one long future, and there is room for it")]

mod faults;
mod harness;
mod hostile;
mod operator;
mod people;
mod power;
mod requests;
mod scenarios;
mod tidy;
