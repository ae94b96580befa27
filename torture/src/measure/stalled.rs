//! One of a group signs in and reads nothing. Do the others notice?

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use sovereign_client::load::LineError;
use tokio::task::JoinSet;

use super::{
    Row,
    street::{Plan, Street},
};
use crate::{
    args::Args,
    results::RunResult,
    spread::{Spread, millis},
};

/// Between two messages: far below what the server can do, so that what is seen is the time of one message.
const EVERY: Duration = Duration::from_millis(5);
/// Messages at the beginning of a round that are not timed: everybody comes in just before.
const WARM_UP: usize = 200;
/// Who reads.
const READERS: usize = 8;

/// Rounds with and without, in turns, so that whatever else the machine does befalls both.
pub(super) async fn run(args: &Args, seed: u64, result: &mut RunResult) -> io::Result<Vec<Row>> {
    let (rounds, messages) = if args.full { (15, 1000) } else { (2, 100) };
    // The sender, the readers, and the one that stands still.
    let (street, _server) = Street::open(args, seed, &Plan { groups: 1, members: READERS + 2, lanes: false }).await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for number in 0..rounds {
        for stalled in if number % 2 == 0 { [false, true] } else { [true, false] } {
            let took = round(&street, messages, stalled).await.map_err(io::Error::other)?;
            let spread = Spread::of(&took);
            eprintln!("round {} of {rounds}, {}: {spread}", number + 1, if stalled { "beside one" } else { "without" });
            if stalled { &mut with } else { &mut without }.push(spread);
        }
    }
    // The round in the middle: one in which the machine was busy says nothing about readers.
    let middle = |spreads: &[Spread], of: fn(&Spread) -> u64| Spread::of(&spreads.iter().map(of).collect::<Vec<_>>()).median;
    let p99 = |spreads: &[Spread]| middle(spreads, |spread| spread.p99);
    let (beside, alone) = (p99(&with), p99(&without));
    result.count("rounds", rounds);
    result.count("p99_beside_us", beside);
    result.count("p99_without_us", alone);
    result.count("median_beside_us", middle(&with, |spread| spread.median));
    result.count("median_without_us", middle(&without, |spread| spread.median));
    let (beside_us, alone_us) = (i64::try_from(beside).unwrap_or(i64::MAX), i64::try_from(alone.max(1)).unwrap_or(i64::MAX));
    let tenths = (beside_us - alone_us) * 1000 / alone_us;
    let sign = if tenths < 0 { "-" } else { "+" };
    let more = format!("{sign}{}.{} %", tenths.abs() / 10, tenths.abs() % 10);
    Ok(vec![Row {
        figure: "p99 of the others beside a reader that stands still, and without".to_owned(),
        value: format!("{} and {} ms: {more}", millis(beside), millis(alone)),
        wanted: "within 10 %",
    }])
}

/// How long each message was on its way to each reader.
async fn round(street: &Arc<Street>, messages: usize, stalled: bool) -> Result<Vec<u64>, LineError> {
    let still = if stalled { Some(street.devices[READERS + 1].sign_in(&street.routes[READERS + 1]).await?) } else { None };
    let mut sender = street.come(0).await?;
    let mut readers = JoinSet::new();
    for reader in 1..=READERS {
        let (street, mut line) = (Arc::clone(street), street.come(reader).await?);
        readers.spawn(async move {
            let took = street.read(&mut line, WARM_UP + messages).await?.split_off(WARM_UP);
            line.close().await;
            Ok::<_, LineError>(took)
        });
    }
    street.send(&mut sender, 0, (WARM_UP + messages) as u64, Some(EVERY), &AtomicU64::new(0)).await?;
    sender.close().await;
    let mut took = Vec::new();
    while let Some(read) = readers.join_next().await {
        took.extend(read.map_err(|error| LineError::Unusable(error.to_string()))??);
    }
    drop(still);
    Ok(took)
}
