//! The one integration binary: real server processes, raw connections, the project's own client.

mod harness;
mod hostile;
mod people;
mod requests;
mod scenarios;
mod tidy;
