//! Back-off for guesses: of passwords per account name, and of passwords and invites per address; and of the old password
//! by an account's own devices, apart from what strangers guess. Nobody is locked out: a device that signs in by its key
//! never passes here.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Instant, ids::AccountId};

/// Wrong guesses that cost nothing but the check itself.
const FREE: u32 = 10;
/// The first wait; each further wrong guess doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A guesser that rested this long starts anew.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// Guessers remembered; beyond it the ones that rested longest are forgotten.
const REMEMBERED: usize = 50_000;

/// Come back no sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Milliseconds to wait.
    pub retry_after_ms: u64,
}

/// Whose guesses are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// Everybody who guesses the password of the account of this name, whether there is one or not.
    Name(String),
    /// The devices of this account.
    Account(AccountId),
    /// An IPv4 address, or an IPv6 /64.
    Address(IpAddr),
}

/// By a clock that nobody sets: a machine whose time jumps neither forgives nor locks out.
#[derive(Clone, Copy)]
struct Record {
    wrong: u32,
    last: Instant,
    /// No guess is taken before.
    until: Instant,
}

/// Wrong guesses of late. In memory only: a restart forgives.
#[derive(Default)]
pub struct Attempts {
    records: Mutex<HashMap<Guesser, Record>>,
}

impl Attempts {
    /// Whether a guess may be made now that counts for all of these.
    pub fn check(&self, guessers: &[Guesser], now: Instant) -> Result<(), TooMany> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let until = guessers.iter().filter_map(|guesser| records.get(guesser)).map(|record| record.until).max();
        match until.map(|until| until.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => {
                Err(TooMany { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) })
            }
            _ => Ok(()),
        }
    }

    /// A guess was wrong.
    pub fn wrong(&self, guessers: &[Guesser], now: Instant) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= REMEMBERED {
            forget(&mut records, now);
        }
        for guesser in guessers {
            let fresh = Record { wrong: 0, last: now, until: now };
            let record = records.entry(guesser.clone()).or_insert(fresh);
            if now.saturating_duration_since(record.last) > FORGOTTEN {
                *record = fresh;
            }
            record.wrong += 1;
            record.last = now;
            if let Some(over @ 1..) = record.wrong.checked_sub(FREE) {
                let wait = FIRST_WAIT.saturating_mul(1 << (over - 1).min(16)).min(LONGEST_WAIT);
                record.until = now + wait;
            }
        }
    }
}

impl Guesser {
    /// Whoever guesses from this address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
            IpAddr::V4(_) => address,
        })
    }
}

fn forget<K: Hash + Eq>(records: &mut HashMap<K, Record>, now: Instant) {
    records.retain(|_, record| now.saturating_duration_since(record.last) <= FORGOTTEN);
    if records.len() >= REMEMBERED {
        let mut times: Vec<Instant> = records.values().map(|record| record.last).collect();
        let (_, middle, _) = times.select_nth_unstable(REMEMBERED / 2);
        let middle = *middle;
        records.retain(|_, record| record.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    fn of(address: [u8; 4], name: Option<&str>) -> Vec<Guesser> {
        let name = name.map(|name| Guesser::Name(name.to_owned()));
        std::iter::once(Guesser::address(address.into())).chain(name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_slows_down_and_rest_forgives() {
        let attempts = Attempts::default();
        let mut now = monotonic();
        let (here, anybody) = (of([127, 0, 0, 1], Some("ada")), of([127, 0, 0, 1], None));
        for _ in 0..FREE {
            assert_eq!(attempts.check(&here, now), Ok(()));
            attempts.wrong(&here, now);
        }
        for wait in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(attempts.check(&here, now), Ok(()));
            attempts.wrong(&here, now);
            assert_eq!(attempts.check(&anybody, now), Err(TooMany { retry_after_ms: wait }));
            let elsewhere = [192, 0, 2, 1];
            assert!(attempts.check(&of(elsewhere, Some("ada")), now).is_err(), "the name is protected from every address");
            assert_eq!(attempts.check(&of(elsewhere, Some("bob")), now), Ok(()), "others notice nothing");
            assert_eq!(attempts.check(&[Guesser::Account(AccountId([1; 16]))], now), Ok(()), "nor do devices that are there");
            now += Duration::from_millis(wait);
        }
        now += FORGOTTEN + Duration::from_millis(1);
        attempts.wrong(&here, now);
        assert_eq!(attempts.check(&here, now), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let (attempts, now) = (Attempts::default(), monotonic());
        for number in 0..200_000_u32 {
            attempts.wrong(&of(number.to_be_bytes(), None), now + Duration::from_millis(number.into()));
        }
        assert!(attempts.records.lock().expect("not poisoned").len() <= REMEMBERED);
    }
}
