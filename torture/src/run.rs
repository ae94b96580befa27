//! One run: a server, people, faults, rest, an end, a verdict.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sovereign_client::clock::monotonic;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    actors::{Phase, Town},
    args::Args,
    checker::{Checker, Verdict},
    history::{History, What},
    nemesis::{Hand, Nemesis, Strikes},
    progress::Progress,
    server::{self, Server},
    setup,
    shape::Shape,
};

/// Longest wait for everybody to come to rest after the last fault.
const REST: Duration = Duration::from_mins(2);
/// Nothing was said for so long: everybody has come to rest.
const QUIET: Duration = Duration::from_millis(2500);
/// Longest wait for everybody to tell what they have.
const FAREWELL: Duration = Duration::from_mins(2);

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) history: PathBuf,
}

/// Carries a run out and checks it.
pub(crate) async fn run(args: &Args, seed: u64) -> io::Result<Outcome> {
    let shape = if args.full { Shape::LARGE } else { Shape::SMALL };
    let directory = std::path::absolute(args.target.join("torture"))?;
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{seed}.jsonl"));
    let history = Arc::new(History::create(&path)?);
    history.record(What::Run { seed, what: format!("{shape:?} {:?}", args.nemeses()) });

    let scratch = tempfile::Builder::new().prefix("sovereign-torture-").tempdir()?;
    let homes = homes()?;
    let place = scratch.path().join("server");
    fs::create_dir(&place)?;
    let binary = server::find(args.server.as_deref())?;
    let server = Server::start(binary, place, arguments(), Vec::new()).await?;
    let cast = setup::gather(seed, &shape, &server, Arc::clone(&history), homes.path()).await.map_err(io::Error::other)?;

    let (phase, phases) = watch::channel(Phase::Work);
    let mut actors = JoinSet::new();
    for person in cast.persons {
        actors.spawn(person.live(phases.clone()));
    }
    for courier in cast.couriers {
        actors.spawn(courier.live(phases.clone()));
    }
    let town = cast.town;
    let strikes = Strikes::new(seed, args.nemeses(), shape.devices(), cast.sacrifices);
    let mut hand = Hand { town: Arc::clone(&town), server };
    torment(args, &town, &mut hand, strikes).await?;

    hand.heal();
    phase.send_replace(Phase::Settle);
    let settled = timeout(REST, rest(&town)).await.is_ok();
    phase.send_replace(Phase::End);
    let farewell = async { while actors.join_next().await.is_some() {} };
    let told = timeout(FAREWELL, farewell).await.is_ok();
    let code = hand.server.terminate().await?;
    if code != Some(0) {
        return Err(io::Error::other(format!("the server ended with {code:?} on SIGTERM: {}", hand.server.last_words())));
    }
    history.record(What::End { settled: settled && told });
    history.flush()?;
    let verdict = Checker::read(&path)?;
    Ok(Outcome { verdict, history: path })
}

/// Faults, one after the other, until there were enough; or until somebody is tired of it.
async fn torment(args: &Args, town: &Arc<Town>, hand: &mut Hand, mut strikes: Strikes) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut progress = Progress::new(args);
    let begun = monotonic();
    let mut kills = 0;
    loop {
        let history = &town.history;
        if begun.elapsed() >= Duration::from_secs(args.seconds()) && kills >= args.kills() && history.answered() >= args.sends() {
            return Ok(());
        }
        progress.show(begun.elapsed(), kills, history);
        let strike = strikes.draw();
        tokio::select! {
            struck = hand.strike(&strike) => struck?,
            _ = interrupt.recv() => return stopped(hand).await,
            _ = terminate.recv() => return stopped(hand).await,
        }
        kills += u64::from(strike.nemesis == Nemesis::Kill);
    }
}

/// Ctrl-C: the fault may be half done, so the server is brought up once more; what was done is checked.
async fn stopped(hand: &mut Hand) -> io::Result<()> {
    eprintln!("stopped; letting everything come to rest, and checking");
    let _it_may_stand_still = hand.server.signal(rustix::process::Signal::CONT);
    hand.server.kill().await?;
    hand.server.restart().await.map(drop)
}

/// Until nothing is outstanding and nobody has said anything for a while.
async fn rest(town: &Town) {
    let mut last = (0, monotonic());
    loop {
        sleep(Duration::from_millis(100)).await;
        let lines = town.history.lines();
        if lines != last.0 {
            last = (lines, monotonic());
        } else if last.1.elapsed() > QUIET {
            return;
        }
    }
}

/// What the server is told besides its place: nobody here is a flood, although all of them come from one address.
fn arguments() -> Vec<String> {
    ["--log-level", "warn", "--heartbeat-interval-seconds", "5"].map(str::to_owned).to_vec()
}

/// Vaults are written often; what they hold need not outlive the run, so they go where writing is cheap.
fn homes() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("sovereign-torture-");
    if memory.is_dir() { builder.tempdir_in(memory).or_else(|_| builder.tempdir()) } else { builder.tempdir() }
}
