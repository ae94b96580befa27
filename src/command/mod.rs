//! The operator's verbs. Composes the parts of the server and runs them.

mod authority;
mod backup;
mod compose;
mod configuration;
mod confirm;
mod device;
mod doctor;
mod duration;
mod failure;
mod flags;
mod hardening;
mod invite;
mod listing;
mod manifest;
mod memory;
mod notice;
mod operator;
mod progress;
mod ready;
mod reload;
mod restore;
mod serve;
mod service_manager;
mod session;
mod status;
mod upkeep;
mod user;
mod welcome;

use std::{panic::catch_unwind, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{
    failure::{Exit, Failure},
    flags::Flags,
};

const EXAMPLES: &str = "\
Examples:
  sovereign                                        run with the defaults; the first start prints an invite link
  sovereign serve --data /var/lib/sovereign --listen 0.0.0.0:8443 --public-url https://chat.example:8443
  sovereign invite create --data /var/lib/sovereign --uses 10 --expires 7d
  sovereign status                                 connections, backlog, disk
  sovereign user disable ada                       cut ada's connections and refuse its sign-ins
  sovereign device list ada --json                 one object a line, for scripts
  sovereign config print                           every key with its value, and where that came from
  sovereign doctor                                 is all well, and if not, what to do; exit 1 if something is broken
  sovereign backup /mnt/backup/today               everything, verified, while the server runs
  sovereign restore /mnt/backup/today              that, into an empty data directory
  sovereign ca export > ca.pem                     the local authority, for clients that ask for a file

A key of the configuration is a flag (--server-name), a variable (SOVEREIGN_SERVER_NAME) and a line of sovereign.toml
(server_name = \"…\"); flags win over variables, variables over the file.

Exit codes: 0 done, 1 doctor found something broken, 64 usage, 70 a bug, 74 input or output, 75 already running, 78 configuration or schema.";

/// A messaging server that relays end-to-end encrypted groups and can read none of it.
#[derive(Parser)]
#[command(name = "sovereign", version, about, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the server until SIGTERM or SIGINT (the default). SIGHUP reads certificate and configuration again.
    Serve,
    /// Make, list and revoke invites; works whether the server runs or not.
    #[command(subcommand)]
    Invite(invite::Verb),
    /// List accounts, shut them out, give them new passwords, delete them.
    #[command(subcommand)]
    User(user::Verb),
    /// List devices, and cut one off for good.
    #[command(subcommand)]
    Device(device::Verb),
    /// List live connections, and end one.
    #[command(subcommand)]
    Session(session::Verb),
    /// Say something to everybody, or to one account. Not end-to-end encrypted.
    Notice(notice::Arguments),
    /// Tell how the server is: connections, backlog, disk.
    Status(status::Arguments),
    /// Look the server over: clock, disk, files, database, certificate, groups; and say what to do.
    Doctor(doctor::Arguments),
    /// Copy the whole server, verified, into a new directory, while it runs or not.
    Backup(backup::Arguments),
    /// Put a backup back, into a directory in which no server is.
    Restore(restore::Arguments),
    /// The local certificate authority.
    #[command(subcommand)]
    Ca(authority::Verb),
    /// The configuration.
    #[command(subcommand)]
    Config(configuration::Verb),
}

/// Runs the verb that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    hardening::leave_no_dumps();
    // The panic has been printed where it happened.
    let result = catch_unwind(|| verb(std::env::args_os())).unwrap_or(Err(Failure::silent(Exit::Bug)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn verb(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<(), Failure> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors to clap, and go to standard output.
            let _ = error.print();
            return if error.use_stderr() { Err(Failure::silent(Exit::Usage)) } else { Ok(()) };
        }
    };
    let flags = arguments.flags;
    match arguments.verb.unwrap_or(Verb::Serve) {
        Verb::Serve => serve::run(flags),
        Verb::Invite(verb) => invite::run(verb, &flags.load()?),
        Verb::User(verb) => user::run(verb, &flags.load()?),
        Verb::Device(verb) => device::run(verb, &flags.load()?),
        Verb::Session(verb) => session::run(verb, &flags.load()?),
        Verb::Notice(arguments) => notice::run(arguments, &flags.load()?),
        Verb::Status(arguments) => status::run(&arguments, &flags.load()?),
        Verb::Doctor(arguments) => doctor::run(&arguments, &flags.load()?),
        Verb::Backup(arguments) => backup::run(&arguments, &flags.load()?),
        Verb::Restore(arguments) => restore::run(&arguments, &flags.load()?),
        Verb::Ca(verb) => authority::run(&verb, &flags.load()?),
        Verb::Config(verb) => configuration::run(&verb, &flags.load()?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_every_key_is_a_flag() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for key in crate::config::KEYS {
            assert!(command.get_arguments().any(|flag| flag.get_id() == key.name), "{}", key.name);
        }
    }

    #[test]
    fn flags_may_stand_before_and_behind_the_verb() {
        for line in
            ["sovereign --data x serve", "sovereign serve --data x", "sovereign --data=x", "sovereign invite create --data x"]
        {
            let arguments = Arguments::try_parse_from(line.split(' ')).expect("it is good");
            assert_eq!(arguments.flags.values, [("data", "x".to_owned())], "{line}");
        }
        assert!(Arguments::try_parse_from(["sovereign", "--dta", "x"]).is_err());
    }
}
