//! `sovereign config`: what is in force, and whether it is good.

use std::io::Write as _;

use clap::Subcommand;

use super::failure::Failure;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print every key with its value, what it does, and where the value came from; a file that reads back.
    Print {
        /// One JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Exit with 0 if the configuration is good, else say what is wrong and exit with 78.
    Check,
}

/// The configuration has been checked by being loaded.
pub(super) fn run(verb: &Verb, config: &Config) -> Result<(), Failure> {
    let text = match verb {
        Verb::Print { json: false } => config.to_toml(),
        Verb::Print { json: true } => config.to_json() + "\n",
        Verb::Check => {
            eprintln!("the configuration is good");
            return Ok(());
        }
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::io("standard output", &error))
}
