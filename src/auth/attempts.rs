//! Back-off for guesses: of passwords per account name, and of passwords and invites per address. Nobody is locked out:
//! a device that signs in by its key never passes here.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Instant;

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
#[derive(Clone, PartialEq, Eq, Hash)]
enum Guesser {
    /// Everybody who guesses this account's password.
    Name(String),
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
    /// Whether a guess may be made now.
    pub fn check(&self, address: IpAddr, name: Option<&str>, now: Instant) -> Result<(), TooMany> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let until = guessers(address, name).filter_map(|guesser| records.get(&guesser)).map(|record| record.until).max();
        match until.map(|until| until.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => {
                Err(TooMany { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) })
            }
            _ => Ok(()),
        }
    }

    /// A guess was wrong.
    pub fn wrong(&self, address: IpAddr, name: Option<&str>, now: Instant) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= REMEMBERED {
            forget(&mut records, now);
        }
        for guesser in guessers(address, name) {
            let fresh = Record { wrong: 0, last: now, until: now };
            let record = records.entry(guesser).or_insert(fresh);
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

fn guessers(address: IpAddr, name: Option<&str>) -> impl Iterator<Item = Guesser> {
    let address = match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        IpAddr::V4(_) => address,
    };
    std::iter::once(Guesser::Address(address)).chain(name.map(|name| Guesser::Name(name.to_owned())))
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

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn guessing_slows_down_and_rest_forgives() {
        let attempts = Attempts::default();
        let mut now = monotonic();
        for _ in 0..FREE {
            assert_eq!(attempts.check(ADDRESS, Some("ada"), now), Ok(()));
            attempts.wrong(ADDRESS, Some("ada"), now);
        }
        for wait in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(attempts.check(ADDRESS, Some("ada"), now), Ok(()));
            attempts.wrong(ADDRESS, Some("ada"), now);
            assert_eq!(attempts.check(ADDRESS, None, now), Err(TooMany { retry_after_ms: wait }));
            let elsewhere = IpAddr::from([192, 0, 2, 1]);
            assert!(attempts.check(elsewhere, Some("ada"), now).is_err(), "the name is protected from every address");
            assert_eq!(attempts.check(elsewhere, Some("bob"), now), Ok(()), "others notice nothing");
            now += Duration::from_millis(wait);
        }
        now += FORGOTTEN + Duration::from_millis(1);
        attempts.wrong(ADDRESS, Some("ada"), now);
        assert_eq!(attempts.check(ADDRESS, Some("ada"), now), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let (attempts, now) = (Attempts::default(), monotonic());
        for number in 0..200_000_u32 {
            attempts.wrong(IpAddr::from(number.to_be_bytes()), None, now + Duration::from_millis(number.into()));
        }
        assert!(attempts.records.lock().expect("not poisoned").len() <= REMEMBERED);
    }
}
