//! How much one address and one credential may ask for in a second.
//!
//! Each key has a bucket of its own (GCRA, by the `governor` crate). `governor`'s keyed limiter grows with every key that it ever saw, and
//! `tower_governor` knows HTTP requests only; here the number of buckets is bounded, and a socket keeps its own so that a message costs
//! one atomic operation.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// A key that was idle may use so many seconds' worth at once.
pub const BURST_SECONDS: u32 = 10;

/// Keys of one limit that have a bucket of their own; those that come when so many are in use share one.
const MAX_KEYS: usize = 65_536;

/// A full table is searched for idle keys at most this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Bits of an IPv6 address that tell networks apart: one subscriber has all addresses below.
const IPV6_NETWORK_BITS: u32 = 64;

/// Rates a second; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// WebSocket connections from one address.
    pub connections: u32,
    /// REST requests from one address.
    pub requests: u32,
    /// Messages over all WebSocket connections from one address.
    pub messages: u32,
    /// REST requests and new links of one credential.
    pub credential_requests: u32,
    /// Messages over all links of one credential.
    pub credential_messages: u32,
}

impl Rates {
    /// No limits: for a server that only its own machine reaches, or that has somebody in front who limits.
    pub const NONE: Self =
        Self { connections: 0, requests: 0, messages: 0, credential_requests: 0, credential_messages: 0 };

    /// What no person and no office behind one address reaches, but a program that runs wild does.
    pub const GENEROUS: Self = Self {
        connections: 50,
        requests: 200,
        messages: 5_000,
        credential_requests: 2_000,
        credential_messages: 50_000,
    };
}

/// What is left for one key.
pub(crate) struct Bucket {
    limiter: DefaultDirectRateLimiter,
    started: Instant,
    /// Milliseconds from the start to the last use.
    used: AtomicU64,
}

impl Bucket {
    fn new(quota: Quota, started: Instant) -> Self {
        Self { limiter: RateLimiter::direct(quota), started, used: AtomicU64::new(0) }
    }

    /// Takes one; says how long to wait when none is left.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
        self.limiter.check().map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    /// A bucket that nobody holds and that is full again says nothing that a new one would not say.
    fn is_idle(self: &Arc<Self>, now: Duration) -> bool {
        let used = Duration::from_millis(self.used.load(Ordering::Relaxed));
        Arc::strong_count(self) == 1 && now.saturating_sub(used) > Duration::from_secs(BURST_SECONDS.into())
    }
}

/// One rate for each of many keys.
pub(crate) struct Keyed<K> {
    quota: Quota,
    started: Instant,
    max_keys: usize,
    buckets: Mutex<Buckets<K>>,
    /// Of all keys that found the table full.
    shared: Arc<Bucket>,
}

struct Buckets<K> {
    of: HashMap<K, Arc<Bucket>>,
    swept: Option<Instant>,
}

impl<K: Eq + Hash> Keyed<K> {
    /// `None` where there is no limit.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        Self::bounded(per_second, MAX_KEYS)
    }

    fn bounded(per_second: u32, max_keys: usize) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let burst = NonZeroU32::new(per_second.saturating_mul(BURST_SECONDS)).unwrap_or(rate);
        let quota = Quota::per_second(rate).allow_burst(burst);
        let started = Instant::now();
        let buckets = Mutex::new(Buckets { of: HashMap::new(), swept: None });
        Some(Self { quota, started, max_keys, buckets, shared: Arc::new(Bucket::new(quota, started)) })
    }

    /// The bucket of a key.
    pub(crate) fn bucket(&self, key: K) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.of.get(&key) {
            return Arc::clone(bucket);
        }
        if buckets.of.len() >= self.max_keys && buckets.swept.is_none_or(|at| at.elapsed() >= SWEEP_INTERVAL)
        {
            buckets.swept = Some(Instant::now());
            let now = self.started.elapsed();
            buckets.of.retain(|_, bucket| !bucket.is_idle(now));
        }
        if buckets.of.len() >= self.max_keys {
            return Arc::clone(&self.shared);
        }
        let bucket = Arc::new(Bucket::new(self.quota, self.started));
        buckets.of.insert(key, Arc::clone(&bucket));
        bucket
    }
}

/// The limits of a server.
pub(crate) struct Limiters {
    pub(crate) connections: Option<Keyed<IpAddr>>,
    pub(crate) requests: Option<Keyed<IpAddr>>,
    pub(crate) messages: Option<Keyed<IpAddr>>,
    pub(crate) credential_requests: Option<Keyed<Arc<str>>>,
    pub(crate) credential_messages: Option<Keyed<Arc<str>>>,
}

impl Limiters {
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            connections: Keyed::new(rates.connections),
            requests: Keyed::new(rates.requests),
            messages: Keyed::new(rates.messages),
            credential_requests: Keyed::new(rates.credential_requests),
            credential_messages: Keyed::new(rates.credential_messages),
        }
    }
}

/// Takes one from a key's bucket, where there is a limit and a key.
pub(crate) fn take<K: Eq + Hash>(limit: Option<&Keyed<K>>, key: Option<K>) -> Result<(), Duration> {
    match (limit, key) {
        (Some(limit), Some(key)) => limit.bucket(key).take(),
        _ => Ok(()),
    }
}

/// The address that limits count a request under.
///
/// Behind `trusted_proxies` proxies this is the address that the outermost of them saw: each appends the one that it saw to
/// `X-Forwarded-For`. What stands before that was written by the client, and is not believed.
pub(crate) fn counted_address(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    trusted_proxies: usize,
) -> Option<IpAddr> {
    let forwarded = || {
        let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let entries: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        let entry = entries.get(entries.len().checked_sub(trusted_proxies)?)?;
        // Some proxies write the port too.
        entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
    };
    let believed = (trusted_proxies > 0).then(forwarded).flatten();
    believed.or(peer).map(network)
}

/// The part of an address that one subscriber can't change.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - IPV6_NETWORK_BITS))))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_says_how_long_to_wait() {
        let limit = Keyed::new(1).unwrap();
        let bucket = limit.bucket("ada");
        for _ in 0..BURST_SECONDS {
            assert_eq!(bucket.take(), Ok(()));
        }
        let wait = bucket.take().unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limit.bucket("ada").take().map_err(|wait| wait > Duration::ZERO), Err(true));
        assert_eq!(limit.bucket("bob").take(), Ok(()), "others have buckets of their own");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        assert!(Keyed::<u8>::new(0).is_none());
        assert_eq!(take::<u8>(None, Some(1)), Ok(()));
    }

    #[test]
    fn a_full_table_keeps_its_keys_and_new_ones_share_a_bucket() {
        let limit = Keyed::bounded(1, 2).unwrap();
        let known = [limit.bucket(1), limit.bucket(2)];
        let (third, fourth) = (limit.bucket(3), limit.bucket(4));
        assert!(Arc::ptr_eq(&third, &fourth) && !Arc::ptr_eq(&third, &known[0]));
        assert!(Arc::ptr_eq(&limit.bucket(1), &known[0]));
        assert_eq!(limit.buckets.lock().unwrap().of.len(), 2);
    }

    #[test]
    fn idle_keys_are_dropped_when_room_is_needed() {
        let limit = Keyed::bounded(1, 2).unwrap();
        let held = limit.bucket(1);
        drop(limit.bucket(2));
        let later = Duration::from_secs(u64::from(BURST_SECONDS) + 1);
        let mut buckets = limit.buckets.lock().unwrap();
        assert!(!buckets.of[&1].is_idle(later), "a socket holds it");
        assert!(!buckets.of[&2].is_idle(Duration::from_secs(BURST_SECONDS.into())), "not full again yet");
        buckets.of.retain(|_, bucket| !bucket.is_idle(later));
        assert_eq!(buckets.of.keys().copied().collect::<Vec<_>>(), [1]);
        drop((buckets, held));
    }

    #[test]
    fn forwarded_addresses_are_believed_only_as_far_as_proxies_are_trusted() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 2.2.2.2"));
        headers.append("x-forwarded-for", HeaderValue::from_static("3.3.3.3"));
        let counted = |proxies| counted_address(&headers, Some(peer), proxies).unwrap().to_string();
        assert_eq!(counted(0), "10.0.0.1");
        assert_eq!(counted(1), "3.3.3.3");
        assert_eq!(counted(2), "2.2.2.2");
        assert_eq!(counted(4), "10.0.0.1", "there are fewer entries than proxies");
        headers.insert("x-forwarded-for", HeaderValue::from_static("4.4.4.4:5678"));
        assert_eq!(counted_address(&headers, Some(peer), 1).unwrap().to_string(), "4.4.4.4");
        headers.insert("x-forwarded-for", HeaderValue::from_static("somewhere"));
        assert_eq!(counted_address(&headers, Some(peer), 1), Some(peer));
        assert_eq!(counted_address(&headers, None, 0), None);
    }

    #[test]
    fn addresses_of_one_network_are_counted_together() {
        let counted = |text: &str| counted_address(&HeaderMap::new(), text.parse().ok(), 0).unwrap();
        assert_eq!(counted("2001:db8::1"), counted("2001:db8::ffff:1"));
        assert_ne!(counted("2001:db8::1"), counted("2001:db8:0:1::1"));
        assert_eq!(counted("::ffff:10.0.0.1"), counted("10.0.0.1"));
        assert_ne!(counted("10.0.0.1"), counted("10.0.0.2"));
    }
}
