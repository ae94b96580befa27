//! Connections that are authenticated and do nothing, and what it takes to get there.

use futures_util::{StreamExt as _, stream};
use tokio::time::{Duration, interval};

use crate::{
    client::Connection,
    harness::{TestServer, raw::Keys},
    measure::{as_f64, watch},
    options::{Name, Options},
    process,
    table::{Gate, Row, Table},
    town,
};

/// The allocator's arenas and the store's caches are there before the first connection counts.
const WARM: usize = 64;
/// Readings that agree before memory counts as settled.
const STEADY: usize = 5;

/// Memory and CPU of a connection, on a server that has just started.
pub async fn run(options: &Options, table: &mut Table) {
    if !options.wants(Name::Idle) {
        return;
    }
    let count = options.scale().idle;
    let mut server = town::server().await;
    let people = town::settle(&server, "idle", count + WARM, 0).await;
    server.terminate().await;
    server.restart().await;
    let at_start = settled(&server).await;
    let (first, rest) = people.split_at(WARM);
    let warm = sign_in(&server, first).await;
    let before = settled(&server).await;
    let (taken, connections) = watch(server.pid(), sign_in(&server, rest)).await;
    let after = settled(&server).await;
    let each = as_f64(usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)) / as_f64(count) / 1024.0;
    table.add(Row::context(format!("idle connection of {count}: anonymous memory"), each, "KiB").gated(Gate::AtMost(24.0)));
    table.add(Row::context("reconnect (TLS, upgrade, sign-in, live): server CPU", taken.cpu_us(count), "us"));
    let mebibytes = as_f64(usize::try_from(at_start).unwrap_or(usize::MAX)) / 1024.0 / 1024.0;
    table.add(Row::context("memory after start, anonymous", mebibytes, "MiB"));
    drop((warm, connections));
}

async fn sign_in(server: &TestServer, people: &[Keys]) -> Vec<Connection> {
    let arrivals = people.iter().map(|keys| async move {
        let mut connection = Connection::sign_in(server, keys).await;
        connection.until_live().await;
        connection
    });
    stream::iter(arrivals).buffered(8).collect().await
}

/// Anonymous memory once it has stopped moving.
pub async fn settled(server: &TestServer) -> u64 {
    let mut ticks = interval(Duration::from_millis(200));
    let (mut last, mut steady) = (0, 0);
    while steady < STEADY {
        ticks.tick().await;
        let now = process::anonymous_bytes(server.pid());
        steady = if now.abs_diff(last) <= 64 * 1024 { steady + 1 } else { 0 };
        last = now;
    }
    last
}
