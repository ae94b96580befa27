//! One run: a server, people, faults, rest, an end, a verdict.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sovereign_client::clock::{Clock, monotonic};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    actors::{Phase, Town},
    args::{Args, Wish},
    checker::{Checker, Verdict},
    disk::Disk,
    history::{Class, History, What},
    nemesis::{Hand, Nemesis, Strikes},
    progress::Progress,
    restores::Plan,
    results::RunResult,
    sabotage::VARIABLE,
    server::{self, Server},
    setup,
    shape::Shape,
    stop::{self, Stop},
};

/// Longest wait for everybody to come to rest after the last fault.
const REST: Duration = Duration::from_mins(2);
/// The same where the server is broken, and not everybody ever does.
const REST_OF_THE_BROKEN: Duration = Duration::from_secs(10);
/// Nothing was said for so long: everybody has come to rest.
const QUIET: Duration = Duration::from_millis(2500);
/// Between two looks at a calm.
const CALM: Duration = Duration::from_millis(200);
/// Longest wait for everybody to tell what they have.
const FAREWELL: Duration = Duration::from_mins(2);

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) history: PathBuf,
    /// `None`: the run was stopped, and its figures are those of no run.
    pub(crate) result: Option<PathBuf>,
}

/// A promise that the server breaks on purpose.
pub(crate) struct Broken {
    pub(crate) class: Class,
    pub(crate) nemeses: Vec<Nemesis>,
    pub(crate) shape: Shape,
    pub(crate) wish: Wish,
}

/// Carries a run out and checks it.
pub(crate) async fn run(args: &Args, seed: u64, broken: Option<Broken>, stop: &Stop) -> io::Result<Outcome> {
    let binary = server::find(args.server.as_deref())?;
    let kind = if broken.is_some() { "sabotage" } else { "torture" };
    let mut result = RunResult::begin(kind, Clock::default().now_ms(), &binary);
    let mut variables: Vec<_> = broken.iter().map(|broken| (VARIABLE.into(), broken.class.name().into())).collect();
    let (nemeses, wish, most) = match &broken {
        Some(broken) => (broken.nemeses.clone(), broken.wish, REST_OF_THE_BROKEN),
        None => (args.nemeses(), args.wish(), REST),
    };
    let shape = match &broken {
        Some(broken) => broken.shape,
        None if args.full => Shape::LARGE,
        None => Shape::SMALL,
    };
    let directory = std::path::absolute(args.target.join("torture"))?;
    fs::create_dir_all(&directory)?;
    let of = broken.as_ref().map_or_else(String::new, |broken| format!("-{}", broken.class.name()));
    let path = directory.join(format!("{seed}{of}.jsonl"));
    let history = Arc::new(History::create(&path)?);
    history.record(What::Run { seed, what: format!("{shape:?} {nemeses:?}") });

    let scratch = tempfile::Builder::new().prefix("sovereign-torture-").tempdir()?;
    let homes = homes()?;
    let place = scratch.path().join("server");
    fs::create_dir(&place)?;
    let wants_disk = nemeses.iter().any(|nemesis| nemesis.is_of_the_disk());
    let disk = wants_disk.then(|| Disk::below(&place, scratch.path())).transpose()?;
    variables.extend(disk.iter().flat_map(Disk::variables));
    // The same from the first to the last start, whatever is built meanwhile.
    let kept = scratch.path().join("sovereign");
    fs::copy(&binary, &kept)?;
    let server = Server::start(kept, place, arguments(), variables).await?;
    let gathering = async {
        let history = Arc::clone(&history);
        setup::gather(seed, &shape, &server, history, homes.path()).await.map_err(io::Error::other)
    };
    let cast = stop.unless(1, Box::pin(gathering)).await?;

    let (phase, phases) = watch::channel(Phase::Work);
    let mut actors = JoinSet::new();
    for person in cast.persons {
        actors.spawn(person.live(phases.clone()));
    }
    for courier in cast.couriers {
        actors.spawn(courier.live(phases.clone()));
    }
    let town = cast.town;
    let restores = Plan::new(seed, nemeses.contains(&Nemesis::Restore), wish.seconds);
    let strikes = Strikes::new(seed, nemeses, shape.devices(), cast.sacrifices);
    let mut hand = Hand { town: Arc::clone(&town), server, disk, revoked: Vec::new() };
    let ending = async {
        torment(&wish, &town, &mut hand, (strikes, restores), stop).await?;
        hand.heal();
        eprintln!("coming to rest");
        phase.send_replace(Phase::Settle);
        let settled = timeout(most, rest(&town)).await.is_ok();
        eprintln!("everybody tells what they have");
        phase.send_replace(Phase::End);
        let farewell = async { while actors.join_next().await.is_some() {} };
        let told = timeout(FAREWELL, farewell).await.is_ok();
        let code = hand.server.terminate().await?;
        if code != Some(0) {
            return Err(io::Error::other(format!("the server ended with {code:?} on SIGTERM: {}", hand.server.last_words())));
        }
        Ok(settled && told)
    };
    let settled = stop.unless(2, Box::pin(ending)).await?;
    history.record(What::End { settled });
    history.flush()?;
    let seconds = history.now() / 1_000_000;
    eprintln!("checking {} lines", history.lines());
    let verdict = Checker::read(&path)?;
    if stop.asked() {
        return if broken.is_some() { Err(stop::stopped()) } else { Ok(Outcome { verdict, history: path, result: None }) };
    }
    result.count("seconds", seconds);
    verdict.figures().into_iter().for_each(|(name, count)| result.count(&name, count));
    result.more.insert("seed".to_owned(), seed.to_string().into());
    if let Some(broken) = &broken {
        result.more.insert("broken".to_owned(), broken.class.name().into());
    }
    let result = result.write(&args.target, &format!("{seed}{of}"))?;
    Ok(Outcome { verdict, history: path, result: Some(result) })
}

/// Faults, one after the other, until there were enough; then a calm in which much is said; or until somebody is tired: a
/// fault undoes itself, so none is left half done.
async fn torment(wish: &Wish, town: &Arc<Town>, hand: &mut Hand, of: (Strikes, Plan), stop: &Stop) -> io::Result<()> {
    let (mut strikes, mut restores) = of;
    let mut progress = Progress::new(wish);
    let begun = monotonic();
    let mut kills = 0;
    loop {
        let history = &town.history;
        progress.show(begun.elapsed(), kills, history);
        let part = |done: u64, wanted: u64| (done * 100).checked_div(wanted).unwrap_or(100);
        let at = part(begun.elapsed().as_secs(), wish.seconds).min(part(kills, wish.kills));
        let stormy = at < 100 || restores.is_healing();
        if !stormy && history.answered() >= wish.sends && history.changed() >= wish.commits {
            return Ok(());
        }
        if stop.asked() {
            eprintln!("stopped; letting everything come to rest, and checking. Once more ends it at once");
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(wish.seconds_max) {
            return Ok(());
        }
        if stormy {
            restores.go_on(hand, at).await?;
        }
        if let Some(strike) = stormy.then(|| strikes.draw()).flatten() {
            hand.strike(&strike).await?;
            kills += u64::from(strike.nemesis == Nemesis::Kill);
        } else {
            hand.heal();
            sleep(CALM).await;
            hand.lives()?;
        }
    }
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
    ["--log-level", "warn", "--heartbeat-interval-seconds", "5", "--sign-ins-per-second-max", "100000"]
        .map(str::to_owned)
        .to_vec()
}

/// Vaults are written often; what they hold need not outlive the run, so they go where writing is cheap.
fn homes() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("sovereign-torture-");
    if memory.is_dir() { builder.tempdir_in(memory).or_else(|_| builder.tempdir()) } else { builder.tempdir() }
}
