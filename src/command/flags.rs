//! One flag for each key of the configuration, made from the table of keys.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::failure::Failure;
use crate::config::{self, Config, ConfigError, KEYS, Override, Sources};

/// Shown by `-h`; the others by `--help`.
const COMMON: [&str; 4] = ["data", "listen", "public_url", "server_name"];

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    /// `--config`.
    pub(super) config: Option<PathBuf>,
    /// In the order of the table.
    pub(super) values: Vec<Override>,
}

impl Flags {
    /// The configuration of all sources.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        Ok(self.read()?)
    }

    /// The same, for whoever goes on without it.
    pub(super) fn read(&self) -> Result<Config, ConfigError> {
        config::load(&Sources::of_process(self.config.clone(), self.values.clone()))
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .global(true)
            .value_parser(value_parser!(PathBuf))
            .help_heading("Configuration")
            .help("Read this file instead of sovereign.toml in the data directory");
        let command = command.arg(file);
        KEYS.iter().fold(command, |command, key| {
            let default = if key.default.is_empty() { "none" } else { key.default };
            let bounds = if key.bounds.is_empty() { String::new() } else { format!(", {}", key.bounds.replace('_', "")) };
            let flag = Arg::new(key.name)
                .long(&*key.name.replace('_', "-").leak())
                .value_name("VALUE")
                .global(true)
                .allow_negative_numbers(true)
                .hide_short_help(!COMMON.contains(&key.name))
                .help_heading("Configuration")
                .help(format!("{} [default: {default}{bounds}]", key.help.trim()));
            command.arg(flag)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        let given = KEYS.iter().filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())));
        self.values = given.collect();
        Ok(())
    }
}
