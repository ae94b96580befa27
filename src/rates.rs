//! How often somebody may ask: buckets that fill with time, for devices, accounts, addresses and groups.
//!
//! A bucket is one number, the moment at which it is full again (the generic cell rate algorithm). A full bucket is the
//! same as none, so those that are full may be forgotten, and a restart forgives.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Instant,
    ids::{AccountId, DeviceId, GroupId},
    limits::{PURSES_PER_SHELF, Rate},
};

/// Parts of a shelf, each with its own lock.
const PARTS: usize = 16;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// What somebody may still do.
#[derive(Default)]
pub struct Purse {
    /// Messages.
    pub messages: Bucket,
    /// Everything else.
    pub requests: Bucket,
}

/// Fills with time and is emptied by what is done.
#[derive(Default)]
pub struct Bucket {
    /// When it is full again, in nanoseconds since the shelves were made.
    full_at: AtomicU64,
}

/// Everybody's purses.
pub struct Rates {
    began: Instant,
    random: RandomState,
    devices: Shelf<DeviceId>,
    accounts: Shelf<AccountId>,
    addresses: Shelf<IpAddr>,
    groups: Shelf<GroupId>,
}

/// The purses of one kind of somebody. Bounded: beyond it those are forgotten that are full, and then some of the rest.
struct Shelf<K>([Mutex<HashMap<K, Arc<Purse>>>; PARTS]);

impl Rates {
    /// Everything full, as of now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let (devices, accounts, addresses, groups) = (Shelf::new(), Shelf::new(), Shelf::new(), Shelf::new());
        Self { began: now, random: RandomState::new(), devices, accounts, addresses, groups }
    }

    /// A device's purse. It outlives the device's connections: who reconnects has no more than before.
    #[must_use]
    pub fn device(&self, device: DeviceId, now: Instant) -> Arc<Purse> {
        self.devices.purse(device, &self.random, self.at(now))
    }

    /// The purse that all devices of an account share.
    #[must_use]
    pub fn account(&self, account: AccountId, now: Instant) -> Arc<Purse> {
        self.accounts.purse(account, &self.random, self.at(now))
    }

    /// The purse of an IPv4 address or an IPv6 /64.
    #[must_use]
    pub fn address(&self, address: IpAddr, now: Instant) -> Arc<Purse> {
        self.addresses.purse(neighbourhood(address), &self.random, self.at(now))
    }

    /// The purse that all members of a group share.
    #[must_use]
    pub fn group(&self, group: GroupId, now: Instant) -> Arc<Purse> {
        self.groups.purse(group, &self.random, self.at(now))
    }

    /// The time as buckets have it.
    #[must_use]
    pub fn at(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Purses that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.devices.len() + self.accounts.len() + self.addresses.len() + self.groups.len()
    }
}

impl Bucket {
    /// How long it takes until there is enough for `cost`; zero: there is now.
    #[must_use]
    pub fn wait(&self, cost: u32, rate: Rate, at: u64) -> Duration {
        let begin = self.full_at.load(Ordering::Relaxed).max(at);
        // What costs more than there ever is can be done with a full bucket.
        let price = price(cost.min(rate.at_once), rate);
        let reach = price.saturating_add(begin - at);
        Duration::from_nanos(reach.saturating_sub(price_of_all(rate)))
    }

    /// Takes it. Whoever looked before finds enough, or leaves a debt of what was looked at meanwhile.
    pub fn spend(&self, cost: u32, rate: Rate, at: u64) {
        let price = price(cost.min(rate.at_once), rate);
        let spent = |full_at: u64| Some(full_at.max(at).saturating_add(price));
        let _always = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }

    fn is_full(&self, at: u64) -> bool {
        self.full_at.load(Ordering::Relaxed) <= at
    }
}

/// Nanoseconds in which so much comes in.
fn price(cost: u32, rate: Rate) -> u64 {
    u64::from(cost) * SECOND / u64::from(rate.per_second.max(1))
}

fn price_of_all(rate: Rate) -> u64 {
    price(rate.at_once, rate)
}

impl<K: Hash + Eq + Copy> Shelf<K> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    fn purse(&self, key: K, random: &RandomState, at: u64) -> Arc<Purse> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits do")]
        let part = &self.0[random.hash_one(key) as usize % PARTS];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(purse) = part.get(&key) {
            return Arc::clone(purse);
        }
        if part.len() >= PURSES_PER_SHELF / PARTS {
            make_room(&mut part, at);
        }
        Arc::clone(part.entry(key).or_default())
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(|part| part.lock().expect("not poisoned").len()).sum()
    }
}

/// Forgets purses that are full, and half of the others where that is not enough: of so many at once, no single one is
/// what the server suffers from.
fn make_room<K: Hash + Eq>(part: &mut HashMap<K, Arc<Purse>>, at: u64) {
    part.retain(|_, purse| Arc::strong_count(purse) > 1 || !(purse.messages.is_full(at) && purse.requests.is_full(at)));
    if part.len() >= PURSES_PER_SHELF / PARTS / 2 {
        let mut keep = false;
        part.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

/// The address itself for IPv4 (also when mapped into IPv6), the /64 for IPv6: the smallest block one customer gets.
#[must_use]
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const RATE: Rate = Rate { per_second: 10, at_once: 20 };

    /// Whether something of that cost may be done at this second; if so, it is done.
    fn takes(bucket: &Bucket, cost: u32, at: u64) -> Result<(), Duration> {
        let wait = bucket.wait(cost, RATE, at);
        if wait.is_zero() {
            bucket.spend(cost, RATE, at);
            return Ok(());
        }
        Err(wait)
    }

    #[test]
    fn so_much_comes_at_once_and_then_as_fast_as_it_fills() {
        let bucket = Bucket::default();
        assert!((0..20).all(|_| takes(&bucket, 1, 0).is_ok()));
        assert_eq!(takes(&bucket, 1, 0), Err(Duration::from_millis(100)));
        assert_eq!(takes(&bucket, 5, 0), Err(Duration::from_millis(500)), "more is there later");
        assert!(takes(&bucket, 1, SECOND / 10).is_ok(), "the wait that was named is enough");
        assert!(takes(&bucket, 1, SECOND / 10).is_err());
        assert!((0..20).all(|_| takes(&bucket, 1, 60 * SECOND).is_ok()), "a rest fills it");
        assert!(takes(&bucket, 1, 60 * SECOND).is_err(), "and no more than fill it");
    }

    #[test]
    fn what_costs_more_than_there_ever_is_waits_for_a_full_bucket_and_no_longer() {
        let bucket = Bucket::default();
        assert!(takes(&bucket, 1, 0).is_ok());
        assert_eq!(takes(&bucket, 1000, 0), Err(Duration::from_millis(100)));
        assert!(takes(&bucket, 1000, SECOND / 10).is_ok());
        assert_eq!(takes(&bucket, 1, SECOND / 10), Err(Duration::from_millis(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_has_no_more_than_before() {
        let now = monotonic();
        let rates = Rates::new(now);
        let device = DeviceId([1; 16]);
        rates.device(device, now).messages.spend(20, RATE, rates.at(now));
        assert!(!rates.device(device, now).messages.wait(1, RATE, rates.at(now)).is_zero());
        assert!(rates.device(DeviceId([2; 16]), now).messages.wait(1, RATE, rates.at(now)).is_zero(), "others notice nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_busy_are_remembered_before_the_idle() {
        let now = monotonic();
        let rates = Rates::new(now);
        let busy = rates.address(IpAddr::from([192, 0, 2, 1]), now);
        busy.requests.spend(20, RATE, rates.at(now));
        drop(busy);
        for number in 0..4 * u32::try_from(PURSES_PER_SHELF).expect("a small number") {
            drop(rates.address(IpAddr::from(number.to_be_bytes()), now));
        }
        assert!(rates.len() <= PURSES_PER_SHELF, "{} purses", rates.len());
        let busy = rates.address(IpAddr::from([192, 0, 2, 1]), now);
        assert!(!busy.requests.wait(1, RATE, rates.at(now)).is_zero(), "it was not forgotten");
    }

    #[test]
    fn a_v6_network_counts_as_one() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(neighbourhood(address("2001:db8::1")), neighbourhood(address("2001:db8::2:3:4:5")));
        assert_ne!(neighbourhood(address("2001:db8::1")), neighbourhood(address("2001:db8:0:1::1")));
        assert_eq!(neighbourhood(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
