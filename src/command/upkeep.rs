//! What a running server does by itself, again and again.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::{Interval, MissedTickBehavior, interval},
};

use super::memory;
use crate::{
    limits::MEMORY_LOOK,
    memory::Memory,
    requests::{nomination, presence, receipts},
    server::Server,
    transport::tls::Tls,
};

/// How long an acknowledgement may wait in memory.
const ACKNOWLEDGEMENTS: Duration = Duration::from_millis(250);
/// How often members are looked for who should commit what a group needs.
const NOMINATIONS: Duration = Duration::from_secs(1);
/// How often watchers are told what has changed, and relations in doubt are looked at.
const PRESENCE: Duration = Duration::from_millis(250);
/// How often members are told who has got further.
const RECEIPTS: Duration = Duration::from_secs(1);
/// How often what has served its time is deleted; each time a bounded part of it.
const TRIM: Duration = Duration::from_secs(30);
/// Parts deleted in one go: a backlog goes without waiting, and without keeping others from the writer for long.
const TRIMS_MAX: usize = 16;
/// How often the local certificate is looked at; it is renewed weeks before it expires.
const CERTIFICATE: Duration = Duration::from_hours(12);

/// Starts all of it; ends when `stopped` turns true. A failing store ends the process elsewhere, so what fails here is
/// tried again.
pub(super) fn start(server: &Arc<Server>, tls: &Tls, memory_max: Option<u64>, stopped: &watch::Receiver<bool>) -> JoinHandle<()> {
    let keeping = keep(Arc::clone(server), tls.clone(), stopped.clone());
    // Beside the rest: who has much to tell must not delay what is durable.
    let telling = tell(Arc::clone(server), stopped.clone());
    let watching = watch_memory(Arc::clone(server), memory_max, stopped.clone());
    tokio::spawn(async { _ = tokio::join!(keeping, telling, watching) })
}

async fn keep(server: Arc<Server>, tls: Tls, mut stopped: watch::Receiver<bool>) {
    let [mut acknowledgements, mut nominations, mut trim, mut certificate] =
        [ACKNOWLEDGEMENTS, NOMINATIONS, TRIM, CERTIFICATE].map(ticks);
    loop {
        tokio::select! {
            () = told(&mut stopped) => return,
            _ = acknowledgements.tick() => report(server.store.flush_acknowledgements().await),
            _ = nominations.tick() => report(nomination::tick(&server).await),
            _ = trim.tick() => trim_on(&server).await,
            _ = certificate.tick() => if let Err(error) = tls.reload(server.clock.now_ms()) {
                tracing::error!(%error, "the certificate could not be renewed");
            },
        }
    }
}

async fn tell(server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
    let [mut presences, mut progress] = [PRESENCE, RECEIPTS].map(ticks);
    loop {
        tokio::select! {
            () = told(&mut stopped) => return,
            _ = presences.tick() => report(presence::tick(&server).await),
            _ = progress.tick() => report(receipts::tick(&server).await),
        }
    }
}

/// Has new connections turned away while memory is short. Before that is said, what is free is given back: only what is used
/// counts.
async fn watch_memory(server: Arc<Server>, memory_max: Option<u64>, mut stopped: watch::Receiver<bool>) {
    let Some(memory_max) = memory_max else { return };
    let mut look = ticks(MEMORY_LOOK);
    loop {
        tokio::select! {
            () = told(&mut stopped) => return,
            _ = look.tick() => {}
        }
        let Some(mut resident) = memory::resident() else { return };
        if Memory::is_much(resident, memory_max) {
            let _ = spawn_blocking(memory::give_back).await;
            resident = memory::resident().unwrap_or(resident);
        }
        if server.memory.resident(resident, memory_max) {
            let short = server.memory.is_short();
            tracing::warn!(
                short,
                resident_bytes = resident,
                memory_bytes_max = memory_max,
                "memory: new connections wait while it is short"
            );
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Resolves when it turns true or nobody is left to turn it.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Deletes what has served its time.
async fn trim_on(server: &Server) {
    for _ in 0..TRIMS_MAX {
        let trimmed = server.store.trim(server.clock.settled_ms()).await;
        if !trimmed.as_ref().is_ok_and(|trimmed| trimmed.more) {
            return report(trimmed);
        }
    }
}

fn report<T, E: std::fmt::Debug>(result: Result<T, E>) {
    if let Err(error) = result {
        tracing::debug!(?error, "upkeep waits for its next turn");
    }
}
