//! Runs of seeds, each a process of its own: this test binary, asked for one seed.

use std::{
    collections::BTreeMap,
    env, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sovereign::{
    config::{LogFormat, LogLevel},
    telemetry::Telemetry,
};

use super::story;
use crate::harness::faulty_disk::native;

/// Names the seed that this process is to run.
const SEED: &str = "SIMULATED_SEED";
/// How many seeds to run, 200 without it, and from which on.
const SEEDS: &str = "SIMULATION_SEEDS";
const FIRST: &str = "SIMULATION_FIRST";
/// Says that the traces are wanted.
const TRACE: &str = "SIMULATION_TRACE";
/// Says that what the server and the clients log is wanted, too.
const LOG: &str = "SIMULATION_LOG";
/// Where the figures go, and what stands beside them.
const RESULT: &str = "SIMULATION_RESULT";
const DATE: &str = "SIMULATION_DATE";
const COMMIT: &str = "SIMULATION_COMMIT";

/// How one seed went.
struct Run {
    seed: u64,
    passed: bool,
    output: String,
}

/// Runs two ways: as the parent of many processes, and, asked for a seed, as one of them.
#[test]
fn the_contract_of_delivery_holds_whatever_the_seed() {
    if let Some(seed) = number(SEED) {
        return one(seed);
    }
    let (first, seeds) = (number(FIRST).unwrap_or(0), number(SEEDS).unwrap_or(200));
    let (library, trace) = (seeded_library(), env::var_os(TRACE).is_some());
    let (next, runs) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            let run = run(&library, seed, trace);
            let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.push(run);
            if runs.len().is_multiple_of(500) {
                println!("{} of {seeds} seeds", runs.len());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|run| run.seed);
    report(&runs, trace);
}

/// Shows the failed ones, keeps the figures, and fails if any seed did.
fn report(runs: &[Run], trace: bool) {
    let failed: Vec<&Run> = runs.iter().filter(|run| !run.passed).collect();
    let shown = if trace { runs.iter().collect() } else { failed.clone() };
    for run in shown.iter().take(3) {
        println!("{}", run.output);
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::from([("seeds", runs.len() as u64), ("failed", failed.len() as u64)]);
    let summaries = runs.iter().filter_map(|run| run.output.lines().find_map(|line| line.split_once("counts: ")));
    for part in summaries.flat_map(|(_, summary)| summary.split(' ')) {
        let (name, count) = part.split_once('=').expect("a summary is made of counts");
        *counts.entry(name).or_default() += count.parse::<u64>().expect("a count is a number");
    }
    if let Some(place) = env::var_os(RESULT) {
        let named = |name| env::var(name).unwrap_or_default();
        let seeds: Vec<u64> = failed.iter().map(|run| run.seed).collect();
        let result = serde_json::json!({
            "kind": "simulation", "date": named(DATE), "commit": named(COMMIT),
            "from": runs.first().map(|run| run.seed), "to": runs.last().map(|run| run.seed), "failed_seeds": seeds, "counts": counts,
        });
        fs::write(place, format!("{result}\n")).expect("the figures can be kept");
    }
    let first = ["seeds", "failed"].map(|name| (name, counts[name]));
    let others = counts.iter().filter(|(name, _)| !["seeds", "failed"].contains(*name)).map(|(name, count)| (*name, *count));
    let figures = first.into_iter().chain(others).map(|(name, count)| format!("{name}={count}"));
    println!("{}", figures.collect::<Vec<_>>().join(" "));
    let seeds: Vec<u64> = failed.iter().map(|run| run.seed).collect();
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed: {seeds:?}; ./scripts/simulate --seed N shows one",
        failed.len(),
        runs.len()
    );
}

#[test]
fn a_seed_is_replayed_to_the_byte() {
    let library = seeded_library();
    let [once, again] = [(); 2].map(|()| run(&library, 7, true).output);
    // The harness says how long it took.
    let [once, again] = [once, again].map(|output| output.split("\ntest result").next().unwrap_or_default().to_owned());
    assert!(once.lines().count() > 200, "a trace tells what happened: {once}");
    let differs = once.lines().zip(again.lines()).find(|(a, b)| a != b);
    assert!(once == again, "the same seed went another way: {differs:?}");
}

/// What a child does.
fn one(seed: u64) {
    let _log = env::var_os(LOG).map(|_| Telemetry::start(LogLevel::Debug, LogFormat::Text));
    let world = story::run(seed);
    let truth = world.ledger.look();
    if env::var_os(TRACE).is_some() {
        println!("{}", truth.trace);
    } else if !truth.violations.is_empty() {
        let lines: Vec<&str> = truth.trace.lines().collect();
        println!("seed {seed}, its last lines:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
    }
    println!("counts: {}", truth.counts.named().map(|(name, count)| format!("{name}={count}")).join(" "));
    assert!(truth.violations.is_empty(), "seed {seed}: {:#?}", truth.violations);
}

fn run(library: &Path, seed: u64, trace: bool) -> Run {
    let mut child = Command::new(env::current_exe().expect("this binary has a path"));
    child.args(["simulation::runs::the_contract_of_delivery_holds_whatever_the_seed", "--exact"]);
    child.args(["--nocapture", "--test-threads=1"]);
    child.env(SEED, seed.to_string()).env("SEEDED", seed.to_string()).env("LD_PRELOAD", library);
    child.env("RUST_BACKTRACE", "0").env_remove(TRACE);
    if trace {
        child.env(TRACE, "1");
    }
    let output = child.output().expect("this binary starts again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Run { seed, passed: output.status.success(), output: text }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, and has to be a number")))
}

/// Compiles the library by which a process draws everything from its seed.
fn seeded_library() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native");
    native::library(&sources, "seeded", Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("the library compiles")
}
