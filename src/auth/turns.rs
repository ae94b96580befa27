//! How many guess one password at the same time. Guesses are counted when they have turned out wrong, and a hash
//! takes its time: without a bound, hundreds that come at once would all be checked before the first one counts.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::attempts::{Guesser, TooMany};
use crate::limits::GUESSES_AT_ONCE;

/// When to come again: the hashes before are done by then.
const AGAIN_MS: u64 = 1000;

/// Those whose passwords are being checked. Holds as many as there are turns.
#[derive(Default)]
pub struct Turns {
    taken: Mutex<HashMap<Guesser, u32>>,
}

/// A guess that is being checked; dropping it ends it, whatever came of it.
pub struct Turn<'a> {
    turns: &'a Turns,
    guesser: Guesser,
}

impl Turns {
    /// Takes a turn at a name, whether there is an account of that name or not, or at the own account.
    pub fn take(&self, guesser: &Guesser) -> Result<Turn<'_>, TooMany> {
        let mut taken = self.taken();
        let count = taken.entry(guesser.clone()).or_default();
        if *count >= GUESSES_AT_ONCE {
            return Err(TooMany { retry_after_ms: AGAIN_MS });
        }
        *count += 1;
        drop(taken);
        Ok(Turn { turns: self, guesser: guesser.clone() })
    }

    /// Nothing panics between the steps of a change, so a poisoned map is still right.
    fn taken(&self) -> MutexGuard<'_, HashMap<Guesser, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken();
        if let Some(count) = taken.get_mut(&self.guesser) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.guesser);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_few_turns_and_they_come_back() {
        let (turns, ada) = (Turns::default(), Guesser::Name("ada".to_owned()));
        let mut held: Vec<_> = (0..GUESSES_AT_ONCE).map(|_| turns.take(&ada).expect("there is a turn")).collect();
        assert!(turns.take(&ada).is_err() && turns.take(&Guesser::Name("bob".to_owned())).is_ok());
        held.pop();
        assert!(turns.take(&ada).is_ok());
        drop(held);
        assert!(turns.taken().is_empty(), "nothing is left of them");
    }
}
