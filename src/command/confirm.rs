//! Before what cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::failure::{Exit, Failure};

/// Goes on only if `yes` was said, or if the person at the terminal types `word` after reading `question`.
pub(super) fn irreversible(yes: bool, question: &str, word: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "this cannot be undone, and nobody is here to be asked: add --yes"));
    }
    eprint!("{question}\nType {word} to go on: ");
    let failed = |error: io::Error| Failure::io("the terminal", &error);
    io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    if answer.trim() == word { Ok(()) } else { Err(Failure::new(Exit::Usage, "nothing was done")) }
}
