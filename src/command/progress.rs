//! A line that says how far something long is, for somebody who watches; silent where nobody does.

use std::io::{self, IsTerminal as _, Write as _};

/// The line on standard error.
pub(super) struct Progress {
    what: &'static str,
    shown: Option<u64>,
    watched: bool,
}

impl Progress {
    /// Something begins.
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, shown: None, watched: io::stderr().is_terminal() }
    }

    /// So much of it is done.
    pub(super) fn at(&mut self, done: u64, of: u64) {
        let percent = done.saturating_mul(100).checked_div(of).unwrap_or(100).min(100);
        if self.watched && self.shown != Some(percent) {
            self.shown = Some(percent);
            eprint!("\r{}  {percent:>3} %", self.what);
            let _ = io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            eprintln!();
        }
    }
}
