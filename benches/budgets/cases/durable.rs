//! Messages of many pairs at once: accepted after the sync, delivered, acknowledged.

use super::pairs::Pair;
use crate::{
    client::{Work, drive_all},
    harness::TestServer,
    limits::{
        relay_load::Relay,
        sqlite::{BATCH, Bare},
    },
    measure::{Taken, as_f64, best, micros, watch},
    scale::Scale,
    table::{Gate, Row, Table},
};

/// Server CPU for a message, with many outstanding and with one.
pub async fn run(server: &TestServer, mut pairs: Vec<Pair>, scale: &Scale, table: &mut Table) -> Vec<Pair> {
    let relay = Relay::start().await;
    let total = scale.pairs * scale.messages;
    let mut warm = *scale;
    warm.rounds = 1;
    (_, pairs) = rounds(server, pairs, &warm, scale.messages / 4, scale.outstanding).await;
    for (outstanding, gate) in [(scale.outstanding, Some(Gate::AtMost(15.0))), (1, None)] {
        let messages = if outstanding == 1 { scale.messages / 4 } else { scale.messages };
        let total = scale.pairs * messages;
        let (taken, back) = rounds(server, pairs, scale, messages, outstanding).await;
        pairs = back;
        let raw = best(relay.measure(scale, scale.pairs, 2, messages, outstanding).await);
        let what = format!("durable message, {} pairs x {outstanding} outstanding: server CPU", scale.pairs);
        let row = Row::context(what, taken.cpu_us(total), "us").beside("raw relay", raw.cpu_us(total));
        table.add(Row { gate, ..row });
        let what = format!("durable message, {} pairs x {outstanding} outstanding: rate", scale.pairs);
        table.add(Row::context(what, taken.rate(total), "/s").beside("raw relay", raw.rate(total)));
    }
    let mut bare = Bare::new();
    let taken = best((0..scale.rounds).map(|_| bare.write(total, BATCH)));
    let written = total.div_ceil(BATCH) * BATCH;
    table.add(Row::context(
        "bare SQLite, the same rows, 256 a transaction: CPU a message",
        micros(taken.cpu) / as_f64(written),
        "us",
    ));
    pairs
}

async fn rounds(server: &TestServer, mut pairs: Vec<Pair>, scale: &Scale, send: usize, outstanding: usize) -> (Taken, Vec<Pair>) {
    let mut all = Vec::new();
    for _ in 0..scale.rounds {
        let (taken, back) = watch(server.pid(), round(pairs, send, outstanding)).await;
        all.push(taken);
        pairs = back;
    }
    (best(all), pairs)
}

/// Every sender sends so many, and every receiver sees them.
pub async fn round(pairs: Vec<Pair>, send: usize, outstanding: usize) -> Vec<Pair> {
    let (mut working, mut rest) = (Vec::new(), Vec::new());
    for Pair { sender, receiver, receiver_keys, group, stored } in pairs {
        working.push((sender, Work { send, outstanding, see: send }));
        working.push((receiver, Work { send: 0, outstanding: 0, see: send }));
        rest.push((receiver_keys, group, stored));
    }
    let mut done = drive_all(working).await.into_iter();
    let mut again = Vec::with_capacity(rest.len());
    for (receiver_keys, group, stored) in rest {
        let (Some(sender), Some(receiver)) = (done.next(), done.next()) else { panic!("peers come back in their order") };
        again.push(Pair { sender, receiver, receiver_keys, group, stored });
    }
    again
}
