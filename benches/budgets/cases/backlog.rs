//! One device comes back to what has waited for it.

use super::pairs::Pair;
use crate::{
    client::{Connection, Work},
    harness::TestServer,
    limits::sqlite::{BATCH, Bare},
    measure::{best, watch},
    scale::Scale,
    table::{Row, Table},
    town,
};

/// Entries a second from signing in to the last acknowledgement.
pub async fn run(server: &TestServer, pairs: &mut Vec<Pair>, scale: &Scale, table: &mut Table) {
    let mut pair = pairs.swap_remove(0);
    let mut all = Vec::new();
    for _ in 0..scale.rounds {
        // The device goes away; what is sent meanwhile waits.
        drop(pair.receiver);
        pair.sender.drive(Work { send: scale.backlog, outstanding: 48, see: scale.backlog }).await;
        let drain = async {
            let connection = Connection::sign_in(server, &pair.receiver_keys).await;
            let mut receiver = town::seat(connection, &pair.group);
            receiver.drive(Work { send: 0, outstanding: 0, see: scale.backlog }).await;
            receiver
        };
        let (taken, receiver) = watch(server.pid(), drain).await;
        all.push(taken);
        pair.receiver = receiver;
    }
    let taken = best(all);
    pairs.insert(0, pair);
    let mut bare = Bare::new();
    bare.write(scale.backlog, BATCH);
    let (rows, first) = bare.read();
    let read = best(std::iter::once(first).chain((1..scale.rounds).map(|_| bare.read().1)));
    let what = format!("backlog of {} entries to one device: rate", scale.backlog);
    table.add(Row::context(what, taken.rate(scale.backlog), "/s").beside("SQLite alone reads", read.rate(rows)));
    let what = format!("backlog of {} entries to one device: server CPU an entry", scale.backlog);
    table.add(Row::context(what, taken.cpu_us(scale.backlog), "us").beside("SQLite alone reads", read.cpu_us(rows)));
}
