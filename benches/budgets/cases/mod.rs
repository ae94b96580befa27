//! What is measured. Cases that can share a server and its people do.

mod backlog;
mod capacity;
mod commits;
mod durable;
mod fan_out;
mod group_commit;
mod groups;
mod idle;
mod latency;
mod pairs;
mod reconnect;
mod signals;
mod storing;

use crate::{options::Options, table::Table};

/// Measures what was asked for.
pub async fn run(options: &Options, table: &mut Table) {
    Box::pin(pairs::run(options, table)).await;
    idle::run(options, table).await;
    Box::pin(reconnect::run(options, table)).await;
    groups::run(options, table).await;
    capacity::run(options, table).await;
}
