//! Tortures a server and checks what it promised. See `--help`, and docs/delivery-contract.md for the promises.
//!
//! A run ([`run`]) writes a history; the [`checker`] knows nothing but the history. People and light devices are in
//! [`actors`], faults in [`nemesis`] and [`proxy`]. Figures that need no fault, or a single one, are in [`measure`].

mod actors;
mod args;
mod checker;
mod disk;
mod history;
mod look;
mod measure;
mod nemesis;
mod progress;
mod proxy;
mod random;
mod report;
mod restores;
mod results;
mod run;
mod sabotage;
mod server;
mod setup;
mod shape;
mod spread;
mod stop;

use std::{io, path::Path, process::ExitCode};

use clap::Parser as _;
use sovereign_client::clock::Clock;

/// Promises were broken.
const BROKEN: u8 = 1;
const USAGE: u8 = 64;
const UNFINISHED: u8 = 70;
const IO: u8 = 74;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    if let Some(path) = &args.check {
        return match checker::Checker::read(path) {
            Ok(verdict) => tell(&verdict),
            Err(error) => failed(&error, IO),
        };
    }
    if args.report {
        return match report::write(&args.target, Path::new("docs/reliability.md")) {
            Ok(count) => {
                println!("docs/reliability.md: {count} results");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error, IO),
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, IO),
    };
    // The wall clock is seed enough where nobody chose one.
    let seed = args.seed.unwrap_or_else(|| Clock::default().now_ms());
    eprintln!("seed {seed}");
    let stop = match runtime.block_on(async { stop::Stop::listen() }) {
        Ok(stop) => stop,
        Err(error) => return failed(&error, IO),
    };
    if let Some(wanted) = args.sabotage {
        return match runtime.block_on(sabotage::run(&args, wanted, seed, &stop)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => BROKEN.into(),
            Err(error) => failed(&error, UNFINISHED),
        };
    }
    if !args.measure.is_empty() {
        return match runtime.block_on(measure::run(&args, seed, &stop)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, UNFINISHED),
        };
    }
    match runtime.block_on(run::run(&args, seed, None, &stop)) {
        Ok(outcome) => {
            eprintln!("history: {}", outcome.history.display());
            if let Some(result) = &outcome.result {
                eprintln!("result: {}", result.display());
            }
            tell(&outcome.verdict)
        }
        Err(error) => failed(&error, UNFINISHED),
    }
}

fn tell(verdict: &checker::Verdict) -> ExitCode {
    for found in verdict.told() {
        println!("{found}");
    }
    println!("{}", verdict.line());
    if verdict.is_clean() { ExitCode::SUCCESS } else { BROKEN.into() }
}

fn failed(error: &io::Error, code: u8) -> ExitCode {
    eprintln!("torture: {error}");
    code.into()
}
