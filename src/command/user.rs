//! `sovereign user`: who may use this server.

use clap::Subcommand;
use sovereign_proto::v1::SetAccountEnabledRequest;

use super::{failure::Failure, operator};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Cut the account's connections and refuse its sign-ins; its messages stay.
    Disable {
        /// The account's username.
        username: String,
    },
    /// Let a disabled account in again.
    Enable {
        /// The account's username.
        username: String,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    let (username, enabled) = match verb {
        Verb::Disable { username } => (username, false),
        Verb::Enable { username } => (username, true),
    };
    operator::call(config, SetAccountEnabledRequest { username, enabled })?;
    eprintln!("{}", if enabled { "enabled" } else { "disabled" });
    Ok(())
}
