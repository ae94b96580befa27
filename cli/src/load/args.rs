//! What may be asked for, and how much of it.

use std::path::PathBuf;

use clap::value_parser;

use crate::exit::{self, Exit};

/// Accounts of one run: an invite has at most as many uses.
const ACCOUNTS_MAX: usize = 10_000;
/// Pairs, where nothing at all was asked for.
const PAIRS: u32 = 10;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An invite link of the server, in quotes, good for everybody who takes part [default: start a server here]
    #[arg(conflicts_with = "server")]
    pub(super) link: Option<String>,
    /// The binary of the server to start [default: `sovereign` beside sov, else on the PATH]
    #[arg(long, value_name = "PATH")]
    pub(super) server: Option<PathBuf>,
    /// Conversations of two, in which one sends [default: 10, if nothing else is asked for]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=5000))]
    pub(super) pairs: Option<u32>,
    /// Groups, in each of which one sends to everybody else
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(0..=1000))]
    pub(super) groups: u32,
    /// Members of each group
    #[arg(long, value_name = "M", default_value_t = 10, value_parser = value_parser!(u32).range(2..=1000))]
    pub(super) members: u32,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = value_parser!(u32).range(160..=65_536))]
    pub(super) size: u32,
    /// Messages of one sender that wait for their answer at most
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = value_parser!(u32).range(1..=64))]
    pub(super) outstanding: u32,
    /// Messages of all senders together, by a schedule that does not wait for answers [default: as fast as K allow]
    #[arg(long, value_name = "MSGS_PER_S", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: Option<u32>,
    /// Further connections that are signed in and do nothing
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(0..=10_000))]
    pub(super) idle: u32,
    /// Further connections that break at half time, and come back all at once
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(0..=10_000))]
    pub(super) reconnect_storm: u32,
    /// Seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = value_parser!(u32).range(1..=3600))]
    pub(super) duration: u32,
    /// The server's process on this machine, to tell its CPU and memory
    #[arg(long, value_name = "PID", requires = "link", value_parser = value_parser!(u32).range(1..))]
    pub(super) pid: Option<u32>,
    /// Load a server that is not on this machine
    #[arg(long)]
    pub(super) yes_this_is_my_server: bool,
}

/// The same, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) pairs: u32,
    pub(super) groups: u32,
    pub(super) members: u32,
    pub(super) size: u32,
    pub(super) outstanding: u32,
    pub(super) rate: Option<u32>,
    pub(super) idle: u32,
    pub(super) storm: u32,
    pub(super) seconds: u32,
}

impl Args {
    /// What will be done. Refuses what adds up to too much.
    pub(super) fn plan(&self) -> Result<Plan, Exit> {
        let anything = self.groups + self.idle + self.reconnect_storm > 0;
        let plan = Plan {
            pairs: self.pairs.unwrap_or(if anything { 0 } else { PAIRS }),
            groups: self.groups,
            members: self.members,
            size: self.size,
            outstanding: self.outstanding,
            rate: self.rate,
            idle: self.idle,
            storm: self.reconnect_storm,
            seconds: self.duration,
        };
        let usage = |text: String| Err(Exit::failed(exit::USAGE, text));
        match plan.accounts() {
            0 => usage("nothing to do: ask for --pairs, --groups, --idle or --reconnect-storm".to_owned()),
            accounts if accounts > ACCOUNTS_MAX => {
                usage(format!("this takes {accounts} accounts; at most {ACCOUNTS_MAX} fit one invite link"))
            }
            _ if plan.rate.is_some() && plan.senders() == 0 => usage("--rate needs --pairs or --groups to send in".to_owned()),
            _ => Ok(plan),
        }
    }
}

impl Plan {
    /// How many send.
    pub(super) fn senders(&self) -> u32 {
        self.pairs + self.groups
    }

    /// Accounts that are made, each with one device and one connection.
    pub(super) fn accounts(&self) -> usize {
        let Self { pairs, groups, members, idle, storm, .. } = *self;
        [(pairs, 2), (groups, members), (idle, 1), (storm, 1)].iter().map(|(count, each)| *count as usize * *each as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, Exit> {
        let parsed = Alone::try_parse_from(format!("load {line}").split_whitespace());
        parsed.map_err(|error| Exit::failed(exit::USAGE, error.to_string()))?.args.plan()
    }

    #[test]
    fn ten_pairs_are_what_is_measured_unless_something_is_asked_for() {
        assert_eq!(plan("").expect("ten pairs").pairs, 10);
        let idle = plan("--idle 100 --reconnect-storm 20").expect("nobody sends");
        assert_eq!((idle.pairs, idle.accounts()), (0, 120));
        let all = plan("link --pairs 3 --groups 2 --members 50 --idle 4 --reconnect-storm 5 --rate 7").expect("all of it");
        assert_eq!((all.senders(), all.accounts()), (5, 6 + 100 + 4 + 5));
    }

    #[test]
    fn what_is_too_much_or_nothing_is_refused() {
        for line in [
            "--pairs 0",
            "--pairs 5001",
            "--groups 1000 --members 11",
            "--members 1",
            "--members 1001",
            "--size 159",
            "--size 65537",
            "--outstanding 0",
            "--outstanding 65",
            "--rate 0",
            "--idle 10 --rate 5",
            "--idle 10001",
            "--pairs 1 --idle 10000",
            "--duration 0",
            "--duration 3601",
            "--pid 1",
            "link --pid 0",
            "link --server path",
        ] {
            assert_eq!(plan(line).expect_err(line).code, exit::USAGE);
        }
    }
}
