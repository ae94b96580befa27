//! A line now and then, so that nobody wonders.

use std::{io::IsTerminal as _, time::Duration};

use crate::{args::Wish, history::History};

/// How often there is a line where nobody sees it grow.
const EVERY: Duration = Duration::from_secs(30);

/// What is still to come.
pub(crate) struct Progress {
    wish: Wish,
    terminal: bool,
    last: Duration,
}

impl Progress {
    pub(crate) fn new(wish: &Wish) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { wish: *wish, terminal, last: Duration::ZERO }
    }

    pub(crate) fn show(&mut self, elapsed: Duration, kills: u64, history: &History) {
        let every = if self.terminal { Duration::from_secs(1) } else { EVERY };
        if elapsed < self.last + every {
            return;
        }
        self.last = elapsed;
        let line = format!(
            "{} of {} s, {kills} of {} kills, {} of {} sends answered, {} outstanding, {} of {} changes",
            elapsed.as_secs(),
            self.wish.seconds,
            self.wish.kills,
            history.answered(),
            self.wish.sends,
            history.outstanding(),
            history.changed(),
            self.wish.commits
        );
        if self.terminal { eprint!("\r{line}\x1b[K") } else { eprintln!("{line}") }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.last > Duration::ZERO {
            eprintln!();
        }
    }
}
