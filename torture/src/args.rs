//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum as _, value_parser};

use crate::{measure::Measure, nemesis::Nemesis, sabotage::Wanted};

const ABOUT: &str = "Tortures a Sovereign server and checks what it promised.";

const LONG_ABOUT: &str = "Tortures a Sovereign server and checks what it promised.

Real clients and light devices talk, change groups, come and go, against the real server binary on a directory of its own, \
while the server is killed, put back from a backup, and the network breaks. Everything is written down; in the end a checker goes through the history \
alone and counts broken promises of the delivery contract by class. Needs no root, and nothing but the loopback interface.

The last line is: kills=N sends=N commits=N deliveries=N lost=N duplicate_effect=N …
A kill counts if sends were outstanding.

Ctrl-C: no further fault begins, everything comes to rest and is checked, and no result is written. Once more: it ends at once.";

const EXAMPLES: &str = "\
Examples:
  ./scripts/torture                              half a minute
  ./scripts/torture --kills 50 --seed 7          what is done and what breaks is that of seed 7, until 50 kills
  ./scripts/torture --nemesis kill,drop-answers  only these faults
  ./scripts/torture --full                       the figures of docs/reliability.md: half an hour on two cores
  ./scripts/torture --sabotage all               breaks each promise on purpose, and shows that the checker sees it
  ./scripts/torture --full --measure all         revocations, starts after kills and a stalled reader, timed: 10 minutes
  ./scripts/torture --report                     writes that page from the results of runs under target/reliability
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
    /// Go on without faults until so many distinct sends were acknowledged [default: 0, or 100,000 with --full]
    #[arg(long, value_name = "N")]
    pub(crate) sends: Option<u64>,
    /// And so many changes of groups [default: 0, or 20,000 with --full]
    #[arg(long, value_name = "N")]
    pub(crate) commits: Option<u64>,
    /// The server's binary [default: `sovereign` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// Where histories and results go
    #[arg(long, value_name = "DIRECTORY", default_value = "target")]
    pub(crate) target: PathBuf,
    /// Time this instead, separated by commas; without --full in tiny numbers, which show that it runs and nothing else
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', conflicts_with_all = ["kills", "seconds", "nemesis", "sends", "commits", "check", "sabotage"])]
    pub(crate) measure: Vec<Measure>,
    /// Break a promise on purpose, and see the checker find it; the script builds a server that can
    #[arg(long, value_name = "CLASS", value_enum, conflicts_with_all = ["kills", "seconds", "nemesis", "full", "sends", "commits", "check"])]
    pub(crate) sabotage: Option<Wanted>,
    /// Make docs/reliability.md of the results that are there
    #[arg(long, conflicts_with_all = ["kills", "seconds", "seed", "nemesis", "full", "sends", "commits", "server", "check"])]
    pub(crate) report: bool,
    /// Only check a history
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kills", "seconds", "seed", "nemesis", "full", "sends", "commits", "server"])]
    pub(crate) check: Option<PathBuf>,
}

impl Args {
    /// The faults that are wanted.
    pub(crate) fn nemeses(&self) -> Vec<Nemesis> {
        if self.nemesis.is_empty() { Nemesis::value_variants().to_vec() } else { self.nemesis.clone() }
    }

    /// How long to go on.
    pub(crate) fn wish(&self) -> Wish {
        let or = |given: Option<u64>, full: u64, short: u64| given.unwrap_or(if self.full { full } else { short });
        let kills = if self.nemeses().contains(&Nemesis::Kill) { or(self.kills, 1000, 5) } else { 0 };
        Wish {
            kills,
            seconds: or(self.seconds, 600, 10),
            sends: or(self.sends, 100_000, 0),
            commits: or(self.commits, 20_000, 0),
            seconds_max: u64::MAX,
        }
    }
}

/// When it is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// With faults, at least.
    pub(crate) seconds: u64,
    /// With sends outstanding.
    pub(crate) kills: u64,
    /// Distinct and acknowledged.
    pub(crate) sends: u64,
    /// Changes of groups that were accepted.
    pub(crate) commits: u64,
    /// And never more seconds than these.
    pub(crate) seconds_max: u64,
}
