//! `sov`: end-to-end encrypted messages from the command line.
//!
//! `sov chat` is the same commands behind a screen ([`chat`]). A command line becomes a [`command::Command`]; it runs on a client of the vault in the home directory, or, where
//! another `sov` owns that vault, through its [`agent`]. Everything told goes through [`output`] as an [`event::Event`].

mod agent;
mod args;
mod chat;
mod client;
mod command;
mod demo;
mod event;
mod exit;
mod here;
mod home;
mod load;
mod local_server;
mod output;
mod render;
mod run;
mod secret;
mod telemetry;
mod text;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and mistakes to stderr; where neither can be written there is nobody to tell.
            drop(error.print());
            return if error.use_stderr() { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    telemetry::start(cli.global.verbose, matches!(cli.verb, args::Verb::Chat(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sov: {error}");
            return exit::IO.into();
        }
    };
    let exit = runtime.block_on(run::run(cli));
    if !exit.message.is_empty() {
        eprintln!("sov: {}", text::safe(&exit.message));
    }
    exit.code.into()
}
