//! How often each key, each address and each guesser may ask: token buckets, of which there are
//! never more than a bounded number.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use airunner_core::access::KeyId;
use airunner_core::{ErrorKind, Fault};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;

/// Addresses that have buckets of their own; more share one.
const BUCKETS_MAX: usize = 16_384;
/// Checks between two looks at how many there are.
const COUNT_EVERY: u32 = 64;
/// Checks between two looks for buckets that are full again and can go.
const SWEEP_EVERY: u32 = 4096;
/// Wrong keys of one address.
const WRONG_KEYS: Rate = Rate {
    count: NonZeroU32::MIN.saturating_add(59),
    within: Duration::from_secs(60),
};

type Limiter<K, C> = RateLimiter<K, DashMapStateStore<K>, C, StateInformationMiddleware>;

/// What is left of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    limit: u32,
    remaining: u32,
    /// Until it is full again.
    reset: Duration,
}

impl Standing {
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let seconds = self.reset.as_millis().div_ceil(1000);
        for (name, value) in [
            ("ratelimit-limit", u128::from(self.limit)),
            ("ratelimit-remaining", u128::from(self.remaining)),
            ("ratelimit-reset", seconds),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Too much was asked.
#[derive(Clone, Debug)]
pub(super) struct Exceeded {
    pub(super) standing: Standing,
    pub(super) fault: Fault,
}

/// Buckets of one kind.
struct Buckets<K: Clone + Eq + Hash, C: Clock = DefaultClock> {
    limiter: Limiter<K, C>,
    clock: C,
    limit: u32,
    /// For one token to come back.
    interval: Duration,
    /// Who comes when there are too many.
    others: K,
    checks: AtomicU32,
    /// There are too many.
    crowded: AtomicBool,
}

impl<K: Clone + Eq + Hash, C: Clock + Clone> Buckets<K, C> {
    fn new(rate: Rate, others: K, clock: C) -> Self {
        let interval = (rate.within / rate.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(rate.count))
            .allow_burst(rate.count);
        Self {
            limiter: Limiter::new(quota, DashMapStateStore::default(), clock.clone()),
            clock,
            limit: rate.count.get(),
            interval,
            others,
            checks: AtomicU32::new(0),
            crowded: AtomicBool::new(false),
        }
    }

    fn take(&self, key: &K) -> Result<Standing, Exceeded> {
        self.tidy();
        let crowded = self.crowded.load(Ordering::Relaxed);
        let key = if crowded { &self.others } else { key };
        match self.limiter.check_key(key) {
            Ok(state) => Ok(self.standing(state.remaining_burst_capacity())),
            Err(not_until) => {
                let wait = not_until
                    .wait_time_from(self.clock.now())
                    .max(Duration::from_millis(1));
                Err(Exceeded {
                    standing: self.standing(0),
                    fault: Fault::new(
                        ErrorKind::RateLimited,
                        "too many requests in too short a time: wait as long as Retry-After says",
                    )
                    .retry_after(wait),
                })
            }
        }
    }

    fn tidy(&self) {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        if checks % COUNT_EVERY == COUNT_EVERY - 1 {
            let crowded = self.limiter.len() >= BUCKETS_MAX;
            self.crowded.store(crowded, Ordering::Relaxed);
        }
    }

    fn standing(&self, remaining: u32) -> Standing {
        Standing {
            limit: self.limit,
            remaining,
            reset: self.interval * self.limit.saturating_sub(remaining),
        }
    }
}

/// All buckets.
pub(super) struct Rates {
    addresses: Option<Buckets<IpAddr>>,
    keys: Option<Buckets<Option<KeyId>>>,
    wrong_keys: Buckets<IpAddr>,
}

impl Rates {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let clock = DefaultClock::default;
        Self {
            addresses: rate.map(|rate| Buckets::new(rate, nobody, clock())),
            keys: rate.map(|rate| Buckets::new(rate, None, clock())),
            wrong_keys: Buckets::new(WRONG_KEYS, nobody, clock()),
        }
    }

    /// A request of that address by nobody who is known.
    pub(super) fn address(&self, address: IpAddr) -> Result<Option<Standing>, Exceeded> {
        let buckets = self.addresses.as_ref();
        buckets
            .map(|buckets| buckets.take(&neighbourhood(address)))
            .transpose()
    }

    /// A request with that key, or of the local user.
    pub(super) fn key(&self, key: Option<KeyId>) -> Result<Option<Standing>, Exceeded> {
        self.keys.as_ref().map(|buckets| buckets.take(&key)).transpose()
    }

    /// A wrong key from that address.
    pub(super) fn wrong_key(&self, address: IpAddr) -> Result<(), Exceeded> {
        self.wrong_keys.take(&neighbourhood(address)).map(drop)
    }
}

/// Whoever has one address of IPv6 has a whole network of them.
pub(in crate::http) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate {
            count: NonZeroU32::new(count).unwrap(),
            within: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(rate(3, 60), 0, clock.clone());
        let standing = |remaining, seconds| Standing {
            limit: 3,
            remaining,
            reset: Duration::from_secs(seconds),
        };
        assert_eq!(buckets.take(&1).unwrap(), standing(2, 20));
        assert_eq!(buckets.take(&1).unwrap(), standing(1, 40));
        assert_eq!(buckets.take(&1).unwrap(), standing(0, 60));
        let exceeded = buckets.take(&1).unwrap_err();
        assert_eq!(exceeded.fault.kind, ErrorKind::RateLimited);
        let wait = exceeded.fault.retry_after.unwrap();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(20),
            "{wait:?}"
        );
        // Another one has its own.
        assert_eq!(buckets.take(&2).unwrap(), standing(2, 20));
        clock.advance(wait);
        buckets.take(&1).unwrap();
        assert!(buckets.take(&1).is_err());
        clock.advance(Duration::from_secs(600));
        assert_eq!(buckets.take(&1).unwrap(), standing(2, 20));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(rate(10, 60), u32::MAX, clock.clone());
        for address in 0..50_000 {
            // The last ones share a bucket, which is soon empty.
            drop(buckets.take(&address));
        }
        assert!(buckets.limiter.len() <= BUCKETS_MAX + COUNT_EVERY as usize);
        assert!(buckets.take(&60_000).is_err());
        clock.advance(Duration::from_secs(120));
        for _ in 0..=SWEEP_EVERY {
            drop(buckets.take(&1));
        }
        assert!(buckets.limiter.len() < 10, "{}", buckets.limiter.len());
    }

    #[test]
    fn a_network_of_addresses_counts_as_one() {
        let rates = Rates::new(Some(rate(2, 3600)));
        for address in ["2001:db8::1", "2001:db8::2"] {
            assert!(rates.address(address.parse().unwrap()).is_ok());
        }
        assert!(rates.address("2001:db8::3".parse().unwrap()).is_err());
        assert!(rates.address("2001:db8:0:1::3".parse().unwrap()).is_ok());
        assert!(rates.address("192.0.2.1".parse().unwrap()).is_ok());
        assert!(rates.address("::ffff:192.0.2.1".parse().unwrap()).is_ok());
        assert!(rates.address("192.0.2.1".parse().unwrap()).is_err());
    }

    #[test]
    fn what_is_left_is_told_and_no_limit_tells_nothing() {
        let rates = Rates::new(Some(rate(5, 60)));
        rates.key(Some(KeyId(1))).unwrap();
        let told = rates.key(Some(KeyId(1))).unwrap().unwrap();
        assert_eq!(told.remaining, 3);
        let mut headers = HeaderMap::new();
        told.tell(&mut headers);
        assert_eq!(headers["ratelimit-limit"], "5");
        assert_eq!(headers["ratelimit-remaining"], "3");
        assert_eq!(headers["ratelimit-reset"], "24");
        let none = Rates::new(None);
        assert_eq!(none.address("192.0.2.1".parse().unwrap()).unwrap(), None);
        assert_eq!(none.key(None).unwrap(), None);
    }
}
