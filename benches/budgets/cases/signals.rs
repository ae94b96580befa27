//! Signals of many pairs at once: relayed, stored nowhere, answered by nobody.

use tokio::task::JoinSet;

use super::{durable, pairs::Pair};
use crate::{
    harness::TestServer,
    limits::relay_load::Relay,
    measure::{best, watch},
    scale::Scale,
    table::{Gate, Row, Table},
};

/// Signals of one pair on their way at once, and what server CPU for each may be over the raw relay's.
const CASES: [(usize, f64); 2] = [(1, 1.35), (64, 2.0)];

/// Server CPU for a signal, one by one and many at once.
pub async fn run(server: &TestServer, pairs: Vec<Pair>, scale: &Scale, table: &mut Table) -> Vec<Pair> {
    let relay = Relay::start().await;
    // Whoever has seen a message is in its group for good.
    let mut pairs = durable::round(pairs, 1, 1).await;
    pairs = round(pairs, scale.messages / 4, 1).await;
    for (outstanding, most) in CASES {
        let each_way = if outstanding == 1 { scale.messages / 4 } else { scale.messages };
        let total = 2 * scale.pairs * each_way;
        let mut all = Vec::new();
        for _ in 0..scale.rounds {
            let (taken, back) = watch(server.pid(), round(pairs, each_way, outstanding)).await;
            all.push(taken);
            pairs = back;
        }
        let (taken, raw) = (best(all), best(relay.measure_signals(scale, each_way, outstanding).await));
        let what = format!("signal, {} pairs x {outstanding} outstanding: server CPU", scale.pairs);
        let row = Row::context(what, taken.cpu_us(total), "us").beside("raw relay", raw.cpu_us(total));
        table.add(row.gated(Gate::RatioAtMost(most)));
        let what = format!("signal, {} pairs x {outstanding} outstanding: rate", scale.pairs);
        table.add(Row::context(what, taken.rate(total), "/s").beside("raw relay", raw.rate(total)));
    }
    pairs
}

/// Every pair plays so many each way.
async fn round(pairs: Vec<Pair>, each_way: usize, outstanding: usize) -> Vec<Pair> {
    let mut playing = JoinSet::new();
    for mut pair in pairs {
        playing.spawn(async move {
            tokio::join!(pair.sender.play(outstanding, each_way), pair.receiver.play(0, each_way));
            pair
        });
    }
    playing.join_all().await
}
