//! Figures that no torture comes by: each is measured on a server of its own, in a situation made for it. Nothing is
//! asserted; a machine that is busy otherwise tells worse figures.

mod ready;
mod revocation;
mod stalled;
mod street;

use std::io;

use clap::ValueEnum;
use sovereign_client::clock::Clock;

use crate::{args::Args, results::RunResult, server, stop::Stop};

/// What `--measure` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Each in turn.
    All,
    /// How long messages take to others while one reader stands still, and while none does.
    StalledReader,
    /// How long a killed server with many stored entries takes to take connections again.
    Ready,
    /// How long a revoked device is still given something.
    Revocation,
}

/// A line of docs/reliability.md.
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) value: String,
    /// The goal; empty: there is none.
    pub(crate) wanted: &'static str,
}

/// Measures what is wanted, and prints it.
pub(crate) async fn run(args: &Args, seed: u64, stop: &Stop) -> io::Result<()> {
    let all = [Measure::StalledReader, Measure::Ready, Measure::Revocation];
    let wanted = |measure: &&Measure| args.measure.contains(measure) || args.measure.contains(&Measure::All);
    for measure in all.iter().filter(wanted) {
        let binary = server::find(args.server.as_deref())?;
        let name = measure.name();
        let mut result = RunResult::begin("measured", Clock::default().now_ms(), &binary);
        eprintln!("{name}:");
        let rows = stop.unless(1, Box::pin(measure.carry_out(args, seed, &mut result))).await?;
        for Row { figure, value, wanted } in &rows {
            println!("{figure}: {value}{}", if wanted.is_empty() { String::new() } else { format!(" (wanted: {wanted})") });
        }
        let rows: Vec<serde_json::Value> =
            rows.into_iter().map(|Row { figure, value, wanted }| serde_json::json!([figure, value, wanted])).collect();
        result.more.insert("rows".to_owned(), rows.into());
        result.more.insert("seed".to_owned(), seed.to_string().into());
        eprintln!("result: {}", result.write(&args.target, name)?.display());
    }
    Ok(())
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::StalledReader => "stalled-reader",
            Self::Ready => "ready",
            Self::Revocation => "revocation",
        }
    }

    async fn carry_out(self, args: &Args, seed: u64, result: &mut RunResult) -> io::Result<Vec<Row>> {
        match self {
            Self::All => Ok(Vec::new()),
            Self::StalledReader => stalled::run(args, seed, result).await,
            Self::Ready => ready::run(args, seed, result).await,
            Self::Revocation => revocation::run(args, seed, result).await,
        }
    }
}
