//! Very many live connections: what they hold, how newcomers are turned away when memory is short, how all are drained.

use futures_util::{StreamExt as _, future::join_all, stream};
use sovereign::clock::monotonic;
use sovereign_proto::v1::PingRequest;
use tokio::time::{Duration, interval, timeout};

use super::idle::settled;
use crate::{
    client::Connection,
    harness::{TestServer, raw::Keys},
    measure::as_f64,
    options::{Name, Options},
    process,
    table::{Gate, Row, Table},
    town,
};

/// Files that neither side spends on connections.
const OTHER_FILES: usize = 200;
/// Connections that are opened at the same time.
const AT_ONCE: usize = 16;
/// Room above what a server has without anybody, for those who come before it is short of memory.
const ROOM: u64 = 24 << 20;
/// What the server promises for a drain (`drain_seconds`), and a second to close the store.
const DRAIN_SECONDS: f64 = 6.0;

/// Opens them, fills a small server, and drains half of them.
pub async fn run(options: &Options, table: &mut Table) {
    if !options.wants(Name::Capacity) {
        return;
    }
    let scale = options.scale();
    let fit = process::file_limit().saturating_sub(OTHER_FILES);
    if fit < scale.capacity {
        eprintln!("capacity: {} connections were meant; the limit of open files leaves {fit}", scale.capacity);
    }
    let count = scale.capacity.min(fit);
    let server = town::server().await;
    let before = settled(&server).await;
    let began = monotonic();
    let mut connections = arrive(&server, count).await;
    table.add(Row::context(format!("{count} sign-ups until live"), began.elapsed().as_secs_f64(), "s"));
    let held = settled(&server).await.saturating_sub(before);
    table.add(Row::context(format!("{count} live connections: anonymous memory"), mebibytes(held), "MiB"));
    let each = mebibytes(held) * 1024.0 / as_f64(count);
    table.add(Row::context("each of them", each, "KiB"));
    for connection in connections.iter_mut().step_by((count / 100).max(1)) {
        connection.call(PingRequest { client_time_ms: 0 }).await;
    }
    connections.truncate(scale.drained.min(count));
    drained(server, connections, table).await;
    turned_away(table).await;
}

/// So many new people, each with a live connection.
async fn arrive(server: &TestServer, count: usize) -> Vec<Connection> {
    let arrivals = (0..count).map(|number| async move {
        let mut connection = Connection::sign_up(server, format!("live{number:05}"), &Keys::new()).await;
        connection.until_live().await;
        connection
    });
    stream::iter(arrivals).buffered(AT_ONCE).collect().await
}

/// SIGTERM with all of these live: everybody is told, and the server ends in time.
async fn drained(mut server: TestServer, connections: Vec<Connection>, table: &mut Table) {
    let count = connections.len();
    let endings = tokio::spawn(join_all(connections.into_iter().map(Connection::ended)));
    let began = monotonic();
    let code = server.terminate().await;
    let took = began.elapsed().as_secs_f64();
    let endings = endings.await.expect("nobody panics");
    let told = endings.iter().filter(|ended| ended.to_string().contains("1012")).count();
    table.add(Row::context(format!("drain of {count} live connections"), took, "s").gated(Gate::AtMost(DRAIN_SECONDS)));
    table.add(Row::context("  exit code", f64::from(code.unwrap_or(-1)), "").gated(Gate::AtMost(0.0)));
    table.add(Row::context("  cut without a word (1012)", as_f64(count - told), "").gated(Gate::AtMost(0.0)));
    if let Some(other) = endings.iter().find(|ended| !ended.to_string().contains("1012")) {
        eprintln!("capacity: one of them ended with: {other}");
    }
}

/// A server that may have little more memory than it has without anybody: people come until they are turned away; who is
/// there goes on, and when some go, others may come.
async fn turned_away(table: &mut Table) {
    let server = town::server().await;
    settled(&server).await;
    let limit = (process::resident_bytes(server.pid()) + ROOM) * 10 / 9;
    drop(server);
    let server = town::server_with(&["--memory-bytes-max", &limit.to_string()]).await;
    let mut connections = Vec::new();
    let refused = loop {
        let name = format!("guest{:05}", connections.len());
        match Connection::try_sign_up(&server, name, &Keys::new()).await {
            Ok(connection) => connections.push(connection),
            Err(refused) => break refused,
        }
    };
    let came = connections.len();
    table.add(Row::context("live connections until memory is short", as_f64(came), ""));
    eprintln!("capacity: short of {} MiB, newcomers are told: {refused}", limit >> 20);
    table.add(Row::context(
        "  memory then, of what it may have",
        as_f64(percent(process::resident_bytes(server.pid()), limit)),
        "%",
    ));
    let mut served = 0;
    for connection in &mut connections {
        connection.call(PingRequest { client_time_ms: 0 }).await;
        served += 1;
    }
    table.add(
        Row::context("  of them served then", as_f64(served), "").beside("all", as_f64(came)).gated(Gate::RatioAtLeast(1.0)),
    );
    drop(connections);
    let again = timeout(Duration::from_secs(30), async {
        let mut ticks = interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            if Connection::try_sign_up(&server, "again".to_owned(), &Keys::new()).await.is_ok() {
                return;
            }
        }
    });
    let again = if again.await.is_ok() { 1.0 } else { 0.0 };
    table.add(Row::context("  when they have gone others may come (1: within 30 s)", again, ""));
}

fn mebibytes(bytes: u64) -> f64 {
    as_f64(usize::try_from(bytes).unwrap_or(usize::MAX)) / 1024.0 / 1024.0
}

fn percent(part: u64, whole: u64) -> usize {
    usize::try_from(part * 100 / whole.max(1)).unwrap_or(usize::MAX)
}
