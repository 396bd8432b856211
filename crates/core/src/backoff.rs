//! When to connect again after a link was lost.

use std::time::Duration;

use crate::time::{Instant, Random};

/// The longest wait before the second attempt; doubles with each one that fails.
pub const BACKOFF_BASE: Duration = Duration::from_millis(250);

/// No wait is longer: a server that comes back is found within this time.
pub const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// A link that held for so long counts as good: the next wait starts small again. A server that takes links and drops
/// them at once is not hurried by that.
pub const BACKOFF_STABLE_AFTER: Duration = Duration::from_secs(10);

/// Exponential backoff with full jitter: each wait is drawn evenly from zero up to a bound that doubles with every
/// failure.
///
/// Full jitter spreads the clients of a restarted server over the whole interval, where plain doubling sends them
/// back in waves (Brooker, "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    stable_after: Duration,
    failures: u32,
    opened: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(BACKOFF_BASE, BACKOFF_CAP, BACKOFF_STABLE_AFTER)
    }
}

impl Backoff {
    /// Starts without any failure.
    pub const fn new(base: Duration, cap: Duration, stable_after: Duration) -> Self {
        Self { base, cap, stable_after, failures: 0, opened: None }
    }

    /// A link opened.
    pub const fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// A link was lost, or an attempt failed; returns when to try again.
    ///
    /// After a link that held for the stable time this is the first failure.
    #[must_use]
    pub fn failed(&mut self, now: Instant, random: &mut Random) -> Instant {
        if self.opened.take().is_some_and(|opened| now.since(opened) >= self.stable_after) {
            self.failures = 0;
        }
        let most = self.bound();
        self.failures = self.failures.saturating_add(1);
        now + Duration::from_micros(random.up_to(u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Forgets all failures: the network has changed, or a person asks to connect now.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The longest that the next wait can be.
    fn bound(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::time::Seed;

    fn second(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    /// The waits of so many failures in a row, from many seeds: the shortest and the longest of each place.
    fn spread(failures: usize) -> Vec<(Duration, Duration)> {
        let mut spread = vec![(Duration::MAX, Duration::ZERO); failures];
        for seed in 0..2_000 {
            let (mut backoff, mut random) = (Backoff::default(), Random::new(Seed(seed)));
            for (shortest, longest) in &mut spread {
                let wait = backoff.failed(second(7), &mut random).since(second(7));
                (*shortest, *longest) = (wait.min(*shortest), wait.max(*longest));
            }
        }
        spread
    }

    #[test]
    fn waits_are_drawn_from_zero_to_a_bound_that_doubles_up_to_the_cap() {
        let bounds_ms = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        for ((shortest, longest), bound_ms) in spread(bounds_ms.len()).into_iter().zip(bounds_ms) {
            let bound = Duration::from_millis(bound_ms);
            assert!(shortest < bound / 100, "{shortest:?} of {bound:?}");
            assert!(longest <= bound && longest > bound / 100 * 99, "{longest:?} of {bound:?}");
        }
    }

    #[test]
    fn one_seed_gives_the_same_waits() {
        let waits = |seed| {
            let (mut backoff, mut random) = (Backoff::default(), Random::new(Seed(seed)));
            [(); 5].map(|()| backoff.failed(second(0), &mut random))
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn only_a_link_that_held_starts_the_waits_anew() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(Seed(3)));
        for _ in 0..4 {
            let _ = backoff.failed(second(0), &mut random);
        }
        backoff.opened(second(100));
        let _ = backoff.failed(second(110) - Duration::from_micros(1), &mut random);
        assert_eq!(backoff.failures(), 5);
        backoff.opened(second(200));
        let _ = backoff.failed(second(210), &mut random);
        assert_eq!(backoff.failures(), 1);
        // The good link counts once: attempts that fail after it add up again.
        let _ = backoff.failed(second(300), &mut random);
        assert_eq!(backoff.failures(), 2);
        backoff.reset();
        assert!(backoff.failed(second(0), &mut random).since(second(0)) <= BACKOFF_BASE);
    }

    #[test]
    fn endless_failures_neither_overflow_nor_pass_the_cap() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(Seed(4)));
        backoff.failures = u32::MAX - 1;
        for _ in 0..3 {
            assert!(backoff.failed(second(0), &mut random).since(second(0)) <= BACKOFF_CAP);
        }
        let mut longest = Backoff::new(Duration::MAX, Duration::MAX, Duration::ZERO);
        let _ = longest.failed(Instant(u64::MAX), &mut random);
    }
}
