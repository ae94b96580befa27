//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::{
    chat, demo, exit, load,
    verbs::{contacts, devices, group, groups, history, join, listen, login, presence, receipts, send, trust, usage},
};

const AFTER_HELP: &str = "\
New here? `sov demo` starts a server on this machine, lets three people talk through a crash of it, and shows what holds.
`sov --help` shows examples and exit codes.";

const EXAMPLES: &str = "\
New here? `sov demo` starts a server on this machine, lets three people talk through a crash of it, and shows what holds.

Examples:
  sov join 'https://chat.example:8443/join#v=1&c=...&s=...&p=...' --username ann
  sov send --to bob 'Tea at four?'
  git log -1 | sov send --to bob,carol -
  sov chat
  sov listen
  sov listen --json --count 1 --for 60
  sov group create --name 'Tea club' --with bob,carol
  sov send --group 'Tea club' 'Welcome'

  Quote the link: a shell ends an unquoted one at its first `&`.

A second device:
  laptop$ sov login LINK --username ann     waits for approval and shows the command for it
  phone$  sov devices approve 3f2a9c01

Several commands may run on one home at the same time: the first one owns it, the others go through it.
With --json stdout holds one JSON object per line, each with \"event\"; everything else goes to stderr.
`listen` acknowledges a message only after its line was written and flushed.";

const JOIN: &str = "\
The password lets you add devices with `sov login`; it is asked for on a terminal, and is none where there is neither a
terminal nor --password-file.";

const SEND: &str = "\
Examples:
  sov send --to bob 'Tea at four?'
  sov send --to bob,carol - <minutes.txt
  sov send --group 'Tea club' 'Welcome'
  sov send --to bob --ttl 1h --urgent 'The code is 4711'

A message that is not accepted within --timeout stays in the outbox (exit code 75): the next sov command on this home
sends it.";

const CONTACTS: &str = "\
Relations:
  requested  you have written first, and were not accepted yet
  request    they have written first: you see their messages, and they see nothing of you
  accepted   you want to hear from them; if both do, both see presence and receipts
  blocked    to them you look like somebody who does not exist

Sending to somebody accepts their request. A message that is one has \"request\":true in its line of `sov listen --json`.";

const TRUST: &str = "\
The server hands out everybody's identity key, and this device pins the first it sees. Another one later means that they
began anew, or that somebody stands between: nothing is sent to them until you accept it. Ask them over another way which
fingerprint is theirs. Leaves of groups that the new identity does not vouch for are removed.";

const DEMO: &str = "\
Starts a server in a temporary directory, on a free port of this machine, and removes it afterwards. Three people join,
talk in pairs and in a group; one is away, the server is killed in the middle of traffic and started again. Each step says
what was verified. Exit code 0 if all of it held, 1 if not; takes less than a minute.";

const LOAD: &str = "\
Examples:
  sov load                                            ten pairs, on a server that is started for it
  sov load --pairs 50 --rate 2000 --duration 30       by a schedule that does not wait for answers
  sov load --idle 5000 --reconnect-storm 1000
  sov load 'LINK' --pairs 20 --groups 2 --members 100 --pid $(pidof sovereign)

Makes accounts (load-...), connections and groups as any client does; the messages only look encrypted, since no server
can tell. Latency counts from the time at which a message was meant to be sent. Exit code 0 only if everything was done
and everything accepted was delivered. The accounts stay on the server: give it one of its own.";

const LISTEN: &str = "\
With --json each message is a line like
  {\"event\":\"message\",\"group\":\"5c0f...\",\"title\":\"bob\",\"seq\":7,\"from\":\"bob\",\"text\":\"Tea?\",\"time_ms\":1763692200000}
Other lines: state, joined, left, renamed, reset, members, send_failed, device_state, alarm, typing, presence, receipt, contact,
signal, server_notice. Ignore those you do not know.

A message is told again if sov was killed before it could note that its line was flushed. Several listeners on one home
all get what arrives while they listen; what waited before goes to the first.";

/// End-to-end encrypted messages from the command line, against a Sovereign server.
#[derive(Debug, Parser)]
#[command(name = "sov", version, after_long_help = concat_help(), after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// For every verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Where this device keeps its keys and messages [default: `$XDG_DATA_HOME/sov`, else `~/.local/share/sov`]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// One JSON object per line on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Protect the keys by the passphrase in the first line of FILE; given at `join` or `login`, and ever after
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// How long to try (not for `listen`, which has --for)
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Say more on stderr; twice, three times: still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make an account from an invite link
    #[command(after_help = JOIN)]
    Join(join::Args),
    /// Make this a further device of your account
    Login(login::Args),
    /// List your devices; approve or revoke one
    Devices(devices::Args),
    /// Send a message; returns when the server has durably accepted it
    #[command(after_help = SEND)]
    Send(send::Args),
    /// Print new messages as they come
    #[command(after_help = LISTEN)]
    Listen(listen::Args),
    /// Talk on a full screen: conversations, messages, who is typing
    #[command(after_help = chat::HELP)]
    Chat(chat::Args),
    /// List your groups
    Groups(groups::Args),
    /// Make and change groups
    Group(group::Args),
    /// Print the messages of a group; with --json also who has received and read the own ones
    History(history::Args),
    /// Show who is there, or what you show of yourself
    Presence(presence::Args),
    /// Switch delivered and read marks on or off
    Receipts(receipts::Args),
    /// Show how much room the server has left for messages that wait for others
    Usage(usage::Args),
    /// List whom you hear from; accept, block or forget somebody
    #[command(after_help = CONTACTS)]
    Contacts(contacts::Args),
    /// Show the fingerprints of somebody's identity; accept a changed one
    #[command(after_help = TRUST)]
    Trust(trust::Args),
    /// See it all work on this machine: a server, three people, a crash
    #[command(after_help = DEMO)]
    Demo(demo::Args),
    /// Measure how much a server can take
    #[command(after_help = LOAD)]
    Load(load::Args),
}

fn concat_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::HELP)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_parses() {
        for line in [
            "sov join https://h/join#v=1 --username ann",
            "sov login https://h/join#v=1 --username ann --password-file f",
            "sov devices",
            "sov devices approve ab --json",
            "sov devices revoke ab",
            "sov --home d send --to a,b hi",
            "sov send --group ab -",
            "sov send --to a --ttl 1h --urgent hi",
            "sov listen --json --for 5 --count 2",
            "sov chat",
            "sov chat --ascii",
            "sov groups",
            "sov group create --name n --with a,b",
            "sov group add g a,b",
            "sov group remove g a",
            "sov group leave g",
            "sov group rename g n",
            "sov group reset g",
            "sov history g --limit 5 -vv",
            "sov presence",
            "sov presence hidden --json",
            "sov receipts off",
            "sov contacts",
            "sov contacts accept bob --json",
            "sov contacts block bob",
            "sov contacts remove bob",
            "sov trust ben",
            "sov trust ben --yes --json",
            "sov demo --server target/release/sovereign --keep --json",
            "sov load --server target/release/sovereign --pairs 5 --json",
            "sov load https://h/join#v=1 --groups 2 --members 9 --rate 10 --yes-this-is-my-server",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "sov",
            "sov send hi",
            "sov send --to a --group b hi",
            "sov join https://h/join#v=1",
            "sov join https://h/join#v=1 --username a --password secret",
            "sov listen --count 0",
            "sov group add g",
            "sov contacts accept",
            "sov --timeout 0 groups",
            "sov presence gone",
            "sov receipts",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn names_are_split_at_commas() {
        let Verb::Send(send) = parse("sov send --to a,b hi").expect("valid").verb else { panic!("send") };
        assert_eq!(send.to, ["a", "b"]);
    }

    #[test]
    fn help_teaches() {
        let help = Cli::command().render_long_help().to_string();
        for word in [
            "Examples:",
            "`sov demo`",
            "sov send --to bob",
            "Exit codes:",
            "  78  no account",
            "--passphrase-file",
            "--timeout",
            "join",
            "history",
        ] {
            assert!(help.contains(word), "{word}");
        }
        let help = Cli::command().find_subcommand_mut("listen").expect("a verb").render_long_help().to_string();
        assert!(help.contains("--for <SECONDS>") && help.contains("--count <MESSAGES>"));
    }
}
