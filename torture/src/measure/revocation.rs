//! Devices are revoked while messages come to them all the time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sovereign_client::load::{Heard, Line, LineError};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Row,
    street::{Plan, Street},
};
use crate::{args::Args, results::RunResult, spread::Spread};

/// Between two messages to everybody.
const EVERY: Duration = Duration::from_millis(10);
/// More than are sent before the last one is revoked.
const ENDLESS: u64 = 1_000_000_000;
/// A device that is given something for longer than this after its revocation was asked for was not cut off.
const CUT_OFF: Duration = Duration::from_secs(10);

/// Revokes one after the other.
pub(super) async fn run(args: &Args, seed: u64, result: &mut RunResult) -> io::Result<Vec<Row>> {
    let count = if args.full { 60 } else { 5 };
    let (street, server) = Street::open(args, seed, &Plan { groups: 1, members: count + 1, lanes: true }).await?;
    let mut readers = Vec::new();
    for device in 1..=count {
        let (line, last) = (street.come(device).await.map_err(io::Error::other)?, Arc::new(AtomicU64::new(0)));
        readers.push((device, tokio::spawn(read(Arc::clone(&street), line, Arc::clone(&last))), last));
    }
    let mut sender = street.come(0).await.map_err(io::Error::other)?;
    let talking = Arc::clone(&street);
    let mut sending = tokio::spawn(async move { talking.send(&mut sender, 0, ENDLESS, Some(EVERY), &AtomicU64::new(0)).await });
    let (mut entries, mut bytes) = (Vec::new(), Vec::new());
    let revoking = async {
        for (device, reader, last) in readers {
            let listed = server.operate(&["device", "list", &street.names[device], "--json"]).await?;
            let listed: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap_or_default())?;
            let id = listed["device_id"].as_str().ok_or_else(|| io::Error::other(format!("no device in {listed}")))?;
            let lane = &street.lanes[device];
            lane.watch_connections();
            let begun = street.history.now();
            server.operate(&["device", "revoke", id]).await?;
            cut_off(reader).await?;
            // Both are there: messages came until the revocation.
            entries.extend(last.load(Ordering::Relaxed).checked_sub(begun));
            bytes.extend(lane.last_down().and_then(|last| last.checked_sub(begun)));
            if street.devices[device].sign_in(&street.routes[device]).await.is_ok() {
                return Err(io::Error::other("a device was let in after its revocation"));
            }
            if device % 10 == 0 {
                eprintln!("{device} of {count} devices");
            }
        }
        Ok(())
    };
    tokio::select! {
        revoked = revoking => revoked?,
        ended = &mut sending => return Err(io::Error::other(format!("the sender has ended: {ended:?}"))),
    }
    sending.abort();
    let (entries, bytes) = (Spread::of(&entries), Spread::of(&bytes));
    entries
        .figures("last_entry")
        .into_iter()
        .chain(bytes.figures("last_byte"))
        .for_each(|(name, value)| result.count(&name, value));
    let row = |what: &str, spread: Spread| Row {
        figure: format!("request to revoke to the last {what}: median / p99 / longest"),
        value: spread.to_string(),
        wanted: "≤ 1,000 ms",
    };
    Ok(vec![row("entry", entries), row("byte of the connection", bytes)])
}

/// Reads until the connection ends; `last`: when an entry came last.
async fn read(street: Arc<Street>, mut line: Line, last: Arc<AtomicU64>) -> LineError {
    loop {
        match line.hear().await {
            Ok(Heard::Entries { log, last: seq, .. }) => {
                last.store(street.history.now(), Ordering::Relaxed);
                line.acknowledge(log, seq);
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Waits until the device has seen its connection end: nothing comes on it after that.
async fn cut_off(reader: JoinHandle<LineError>) -> io::Result<()> {
    match timeout(CUT_OFF, reader).await {
        Ok(Ok(_ended)) => Ok(()),
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::Error::other(format!("a revoked device was not cut off within {} s", CUT_OFF.as_secs()))),
    }
}
