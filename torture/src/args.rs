//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum as _, value_parser};

use crate::nemesis::Nemesis;

const ABOUT: &str = "Tortures a Sovereign server and checks what it promised.";

const LONG_ABOUT: &str = "Tortures a Sovereign server and checks what it promised.

Real clients and light devices talk, change groups, come and go, against the real server binary on a directory of its own, \
while the server is killed and the network breaks. Everything is written down; in the end a checker goes through the history \
alone and counts broken promises of the delivery contract by class. Needs no root, and nothing but the loopback interface.

The last line is: kills=N sends=N commits=N deliveries=N lost=N duplicate_effect=N …
A kill counts if sends were outstanding.";

const EXAMPLES: &str = "\
Examples:
  ./scripts/torture                              a quarter of a minute
  ./scripts/torture --kills 50 --seed 7          what is done and what breaks is that of seed 7, until 50 kills
  ./scripts/torture --nemesis kill,drop-answers  only these faults
  ./scripts/torture --full                       the figures of docs/reliability.md: 15 to 20 minutes on two cores
  ./scripts/torture --check FILE                 checks a history that was kept

Exit codes:
    0  every class is 0
    1  promises were broken: the findings and the history's path are printed
   64  the command line makes no sense
   70  the run could not be carried out to its end
   74  reading or writing failed";

/// What is wanted.
#[derive(Debug, Parser)]
#[command(name = "torture", about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES, max_term_width = 120)]
pub(crate) struct Args {
    /// Kills with sends outstanding, at least [default: 5, or 1,000 with --full]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(0..=1_000_000))]
    pub(crate) kills: Option<u64>,
    /// Seconds of faults, at least [default: 10, or 600 with --full]
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(1..=604_800))]
    pub(crate) seconds: Option<u64>,
    /// Decides what is done and what breaks [default: drawn, and printed]
    #[arg(long, value_name = "X")]
    pub(crate) seed: Option<u64>,
    /// Faults, separated by commas [default: all of them]
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    pub(crate) nemesis: Vec<Nemesis>,
    /// As many people and messages as the figures of docs/reliability.md need
    #[arg(long)]
    pub(crate) full: bool,
    /// Go on until so many distinct sends were acknowledged, too [default: 0, or 100,000 with --full]
    #[arg(long, value_name = "N")]
    pub(crate) sends: Option<u64>,
    /// The server's binary [default: `sovereign` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// Where histories and results go
    #[arg(long, value_name = "DIRECTORY", default_value = "target")]
    pub(crate) target: PathBuf,
    /// Only check a history
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kills", "seconds", "seed", "nemesis", "full", "sends", "server"])]
    pub(crate) check: Option<PathBuf>,
}

impl Args {
    /// The faults that are wanted.
    pub(crate) fn nemeses(&self) -> Vec<Nemesis> {
        if self.nemesis.is_empty() { Nemesis::value_variants().to_vec() } else { self.nemesis.clone() }
    }

    pub(crate) fn kills(&self) -> u64 {
        let kills = self.kills.unwrap_or(if self.full { 1000 } else { 5 });
        if self.nemeses().contains(&Nemesis::Kill) { kills } else { 0 }
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.full { 600 } else { 10 })
    }

    pub(crate) fn sends(&self) -> u64 {
        self.sends.unwrap_or(if self.full { 100_000 } else { 0 })
    }
}
