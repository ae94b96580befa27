//! A store of many entries that somebody still has to read, and a server that is killed in the middle of more.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sovereign_client::load::LineError;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Row,
    street::{Plan, Street},
};
use crate::{args::Args, look, results::RunResult, spread::Spread};

/// Groups of a sender and somebody who is away, for whom everything stays.
const GROUPS: usize = 4;
/// Messages that are answered before each kill.
const BEFORE_A_KILL: u64 = 2000;
/// More than are answered before a kill: sends are outstanding then.
const ENDLESS: u64 = 1_000_000_000;
/// Longest wait for the answers before a kill.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Fills, then kills again and again.
pub(super) async fn run(args: &Args, seed: u64, result: &mut RunResult) -> io::Result<Vec<Row>> {
    let (wanted, kills): (u64, u64) = if args.full { (1_000_000, 20) } else { (10_000, 3) };
    let (street, mut server) = Street::open(args, seed, &Plan { groups: GROUPS, members: 2, lanes: false }).await?;
    let (answered, mut pouring) = pour(&street, wanted.div_ceil(GROUPS as u64));
    let telling = async {
        loop {
            sleep(TELL_EVERY).await;
            eprintln!("{} of {wanted} entries", answered.load(Ordering::Relaxed));
        }
    };
    let filling = async {
        while let Some(poured) = pouring.join_next().await {
            poured.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        filled = filling => filled?,
        () = telling => {}
    }
    let mut ready = Vec::new();
    for kill in 1..=kills {
        let (answered, mut pouring) = pour(&street, ENDLESS);
        let enough = async {
            while answered.load(Ordering::Relaxed) < BEFORE_A_KILL {
                sleep(LOOK_EVERY).await;
            }
        };
        let poured = tokio::select! {
            poured = timeout(PATIENCE, enough) => poured.map_err(|_| "the server answers too slowly".to_owned()),
            Some(ended) = pouring.join_next() => Err(format!("a sender has ended: {ended:?}")),
        };
        poured.map_err(io::Error::other)?;
        server.kill().await?;
        pouring.shutdown().await;
        let took = server.restart().await?;
        eprintln!("kill {kill} of {kills}: {} ms", took.as_millis());
        ready.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
    // Only now: to count them is to read them all, and the server was to find them as a kill leaves them.
    let code = server.terminate().await?;
    if code != Some(0) {
        return Err(io::Error::other(format!("the server ended with {code:?} on SIGTERM: {}", server.last_words())));
    }
    let stored = look::entries(&server.data()).map_err(io::Error::other)?;
    let spread = Spread::of(&ready);
    result.count("entries", stored);
    spread.figures("ready").into_iter().for_each(|(name, value)| result.count(&name, value));
    Ok(vec![Row {
        figure: format!("ready after SIGKILL with {stored} stored entries: median / p99 / longest"),
        value: spread.to_string(),
        wanted: "≤ 1,000 ms",
    }])
}

/// What one sender came to.
type Poured = Result<(), LineError>;

/// All senders send so many each, as fast as they can.
fn pour(street: &Arc<Street>, each: u64) -> (Arc<AtomicU64>, JoinSet<Poured>) {
    let answered = Arc::new(AtomicU64::new(0));
    let mut pouring = JoinSet::new();
    for group in 0..GROUPS {
        let (street, answered) = (Arc::clone(street), Arc::clone(&answered));
        pouring.spawn(async move {
            let mut line = street.come(group * 2).await?;
            street.send(&mut line, group, each, None, &answered).await
        });
    }
    (answered, pouring)
}
