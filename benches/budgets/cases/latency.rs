//! How long an answer takes while little happens.

use sovereign::clock::monotonic;

use super::pairs::Pair;
use crate::{
    client::Work,
    limits::disk,
    measure::{micros, percentile},
    scale::Scale,
    table::{Row, Table},
};

/// One message after the other, each timed from sending to the answer; its receiver is live.
pub async fn run(pair: &mut Pair, scale: &Scale, table: &mut Table) {
    let syncs = disk::syncs(scale.timed);
    let see = Work { send: 0, outstanding: 0, see: scale.timed };
    let (sender, receiver) = (&mut pair.sender, &mut pair.receiver);
    let sending = async {
        let mut times = Vec::with_capacity(scale.timed);
        for _ in 0..scale.timed {
            let start = monotonic();
            sender.drive(Work { send: 1, outstanding: 1, see: 1 }).await;
            times.push(start.elapsed());
        }
        times
    };
    let (mut times, ()) = tokio::join!(sending, receiver.drive(see));
    times.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let what = format!("accepted and seen by its sender, one at a time: {name}");
        let row = Row::context(what, micros(percentile(&times, share)), "us");
        table.add(row.beside("fdatasync of 4 KiB", micros(percentile(&syncs, share))));
    }
}
