//! What was done and what was verified, step by step, for people or for programs; and whether all of it held.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use crate::{render::Style, text::safe};

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[1;31m";
const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// Something that was looked at.
#[derive(Serialize)]
struct Check {
    what: String,
    held: bool,
}

/// One line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Step { number: usize, title: &'a str, did: &'a [String], checks: &'a [Check], held: bool },
    Verdict { held: bool, steps: usize, checks: usize, failed: usize, seconds: f64 },
}

/// The step that is under way.
struct Step {
    title: String,
    did: Vec<String>,
    checks: Vec<Check>,
}

/// Writes while things happen: a person sees the step begin, a program gets it when it is over.
pub(super) struct Transcript<W> {
    out: W,
    style: Style,
    steps: usize,
    checks: usize,
    failed: usize,
    current: Option<Step>,
}

impl<W: Write> Transcript<W> {
    /// An empty one.
    pub(super) fn new(out: W, style: Style) -> Self {
        Self { out, style, steps: 0, checks: 0, failed: 0, current: None }
    }

    /// The step before is over, the next begins.
    pub(super) fn step(&mut self, title: &str) -> io::Result<()> {
        self.end_step()?;
        self.steps += 1;
        self.current = Some(Step { title: title.to_owned(), did: Vec::new(), checks: Vec::new() });
        let (bold, reset) = self.colours(BOLD);
        self.human(&format!("{bold}{:>2}  {}{reset}", self.steps, safe(title)))
    }

    /// Something that was done in it.
    pub(super) fn did(&mut self, text: impl Into<String>) -> io::Result<()> {
        let text = text.into();
        let (dim, reset) = self.colours(DIM);
        self.human(&format!("      {dim}{}{reset}", safe(&text)))?;
        self.current.iter_mut().for_each(|step| step.did.push(text.clone()));
        Ok(())
    }

    /// Something that was verified in it.
    pub(super) fn check(&mut self, what: impl Into<String>, held: bool) -> io::Result<()> {
        let what = what.into();
        self.checks += 1;
        self.failed += usize::from(!held);
        let (colour, reset) = self.colours(if held { GREEN } else { RED });
        let sign = if held { "✓" } else { "✗ FAILED:" };
        self.human(&format!("      {colour}{sign}{reset} {}", safe(&what)))?;
        self.current.iter_mut().for_each(|step| step.checks.push(Check { what: what.clone(), held }));
        Ok(())
    }

    /// The last line, and whether everything held. Nothing verified is nothing that held.
    pub(super) fn verdict(&mut self, took: Duration) -> io::Result<bool> {
        self.end_step()?;
        let Self { steps, checks, failed, .. } = *self;
        let (held, seconds) = (failed == 0 && checks > 0, took.as_secs_f64());
        if self.style == Style::Json {
            self.json(&Line::Verdict { held, steps, checks, failed, seconds })?;
        }
        let (colour, reset) = self.colours(if held { GREEN } else { RED });
        let text = if held {
            format!("All {checks} checks held, in {seconds:.1} s.")
        } else {
            format!("{failed} of {checks} checks FAILED, after {seconds:.1} s.")
        };
        self.human(&format!("\n{colour}{text}{reset}"))?;
        Ok(held)
    }

    fn end_step(&mut self) -> io::Result<()> {
        let Some(step) = self.current.take().filter(|_| self.style == Style::Json) else { return Ok(()) };
        let held = step.checks.iter().all(|check| check.held);
        self.json(&Line::Step { number: self.steps, title: &step.title, did: &step.did, checks: &step.checks, held })
    }

    fn human(&mut self, line: &str) -> io::Result<()> {
        if self.style == Style::Json {
            return Ok(());
        }
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    fn json(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    fn colours(&self, colour: &'static str) -> (&'static str, &'static str) {
        if self.style == Style::Coloured { (colour, RESET) } else { ("", "") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Two steps with so many failures; the text and the verdict.
    fn transcript(style: Style, held: &[bool]) -> (String, bool) {
        let mut out = Vec::new();
        let mut transcript = Transcript::new(&mut out, style);
        transcript.step("First").expect("written");
        transcript.did("something was done").expect("written");
        for held in held {
            transcript.check("it is so", *held).expect("written");
        }
        transcript.step("Second").expect("written");
        let verdict = transcript.verdict(Duration::from_millis(1234)).expect("written");
        (String::from_utf8(out).expect("UTF-8"), verdict)
    }

    #[test]
    fn one_failed_check_turns_the_last_line_and_the_verdict() {
        let (text, held) = transcript(Style::Plain, &[true, true]);
        assert!(held && text.ends_with("\nAll 2 checks held, in 1.2 s.\n"), "{text}");
        let (text, held) = transcript(Style::Plain, &[true, false, true]);
        assert!(!held && text.ends_with("\n1 of 3 checks FAILED, after 1.2 s.\n"), "{text}");
        assert!(text.contains("✗ FAILED: it is so"), "{text}");
        assert!(!transcript(Style::Plain, &[]).1, "nothing was verified");
    }

    #[test]
    fn programs_get_an_object_for_each_step_and_one_for_the_verdict() {
        let (text, held) = transcript(Style::Json, &[true, false]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(!held);
        assert_eq!((&lines[0]["event"], &lines[0]["number"], &lines[0]["held"]), (&"step".into(), &1.into(), &false.into()));
        assert_eq!((&lines[0]["checks"][0]["held"], &lines[0]["checks"][1]["held"]), (&true.into(), &false.into()));
        assert_eq!((&lines[1]["title"], &lines[1]["held"]), (&"Second".into(), &true.into()));
        assert_eq!((&lines[2]["event"], &lines[2]["failed"], &lines[2]["held"]), (&"verdict".into(), &1.into(), &false.into()));
    }

    #[test]
    fn only_a_terminal_gets_colours() {
        assert!(!transcript(Style::Plain, &[true]).0.contains('\u{1b}'));
        assert!(transcript(Style::Coloured, &[false]).0.contains(RED));
    }
}
