//! `sovereign doctor`: looks the server over, running or stopped, and says of everything it finds what to do.

mod database;
mod files;
mod machine;

use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::{Value, json};

use super::{
    compose,
    failure::{Exit, Failure},
    listing, operator,
};
use crate::{clock::UnixMs, config::Config};

#[derive(Args)]
pub(super) struct Arguments {
    /// Compare every index of the database with its table, too; may take minutes.
    #[arg(long)]
    deep: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What the checks look at.
struct Patient<'a> {
    config: &'a Config,
    running: bool,
    now: UnixMs,
    deep: bool,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// It works, and will not for ever.
    Warning,
    /// It has to be mended.
    Problem,
}

/// What one check found.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    state: State,
    says: String,
    /// Empty where all is well.
    remedy: String,
}

impl Finding {
    fn well(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Well, says: says.into(), remedy: String::new() }
    }

    fn warning(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warning, says: says.into(), remedy: remedy.into() }
    }

    fn problem(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Problem, says: says.into(), remedy: remedy.into() }
    }
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    if !config.data.is_dir() {
        let text = format_args!("no server has run on {}: name its directory with --data", config.data.display());
        return Err(Failure::new(Exit::Configuration, text));
    }
    let (running, now) = (operator::is_running(config), compose::clock(config).now_ms());
    let patient = Patient { config, running, now, deep: arguments.deep };
    let findings: Vec<Finding> =
        [machine::check(&patient), files::check(&patient), database::check(&patient)].into_iter().flatten().collect();
    if arguments.json {
        listing::print(&format!("{}\n", object(running, &findings)))?;
    } else {
        listing::print(&text(running, &findings, io::stdout().is_terminal()))?;
    }
    if findings.iter().any(|finding| finding.state == State::Problem) { Err(Failure::silent(Exit::Unwell)) } else { Ok(()) }
}

fn object(running: bool, findings: &[Finding]) -> Value {
    let name = |state| match state {
        State::Well => "ok",
        State::Warning => "warning",
        State::Problem => "problem",
    };
    let checks: Vec<Value> = findings
        .iter()
        .map(|finding| json!({"check": finding.check, "state": name(finding.state), "says": finding.says, "do": finding.remedy}))
        .collect();
    let healthy = findings.iter().all(|finding| finding.state != State::Problem);
    json!({"healthy": healthy, "running": running, "checks": checks})
}

fn text(running: bool, findings: &[Finding], colours: bool) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", if running { "running" } else { "stopped" });
    for Finding { check, state, says, remedy } in findings {
        let (mark, colour) = match state {
            State::Well => ("ok  ", "32"),
            State::Warning => ("warn", "33"),
            State::Problem => ("BAD ", "31"),
        };
        let mark = if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() };
        text.extend([format!("  {mark}  {check:<width$}  {says}\n")]);
        if !remedy.is_empty() {
            text.extend([format!("        {:<width$}  -> {remedy}\n", "")]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_to_do_and_colours_are_for_terminals() {
        let findings = [Finding::well("clock", "is right"), Finding::problem("disk", "is full", "make room")];
        let plain = text(false, &findings, false);
        assert_eq!(plain, "stopped\n  ok    clock  is right\n  BAD   disk   is full\n               -> make room\n");
        assert!(text(true, &findings, true).contains("\x1b[31mBAD \x1b[0m"));
        let object = object(true, &findings);
        assert_eq!((&object["healthy"], &object["checks"][1]["do"]), (&false.into(), &"make room".into()));
    }
}
