//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::scale::Scale;

/// Measures the server beside bare limits and prints a table.
#[derive(Parser)]
pub struct Options {
    /// What to measure; everything without a name.
    pub names: Vec<Name>,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Tiny numbers: shows that everything runs, measures nothing worth reading.
    #[arg(long)]
    pub quick: bool,
    /// Be something that the server is compared with.
    #[arg(long, hide = true)]
    pub be: Option<Bare>,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What does a part of the server's work and nothing else, in a process of its own.
#[derive(Clone, Copy, ValueEnum)]
pub enum Bare {
    /// Relays from memory to memory.
    Relay,
    /// Shakes hands and upgrades to a WebSocket.
    Door,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Pairs that play signals back and forth, which are stored nowhere.
    Signal,
    /// Pairs that send, each message accepted after fsync, delivered and acknowledged.
    Durable,
    /// The answer's latency while little happens.
    Latency,
    /// One device reads what has waited for it.
    Backlog,
    /// The store's group commit against a commit for each message.
    GroupCommit,
    /// Memory of a connection that does nothing, and what signing in costs.
    Idle,
    /// Coming back with twenty groups, by full and by resumed TLS handshakes.
    Reconnect,
    /// One message to many live members.
    FanOut,
    /// One message to members who are away.
    Storing,
    /// Commits of groups of several sizes.
    Commits,
    /// Ten thousand live connections: what they hold, how they are turned away when memory is short, how they are drained.
    Capacity,
}

impl Options {
    /// Whether it was asked for.
    pub fn wants(&self, name: Name) -> bool {
        self.names.is_empty() || self.names.contains(&name)
    }

    /// How much is measured.
    pub fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::FULL }
    }
}
