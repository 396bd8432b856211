//! Time and chance as arguments: the machine has neither clock nor randomness of its own.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of a monotonic clock, in microseconds since an arbitrary start.
///
/// `std::time::Instant` panics on wasm32 and cannot be written into a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Randomness from outside, given once at construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u128);

/// The generator that a seed starts: PCG XSL RR 128/64 (O'Neill, 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: u128,
}

impl Random {
    const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
    const INCREMENT: u128 = 0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f;

    /// Starts a generator.
    pub fn new(seed: Seed) -> Self {
        let mut random = Self { state: seed.0.wrapping_add(Self::INCREMENT) };
        random.next_u64();
        random
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(Self::MULTIPLIER).wrapping_add(Self::INCREMENT);
        let rotation = (self.state >> 122) as u32;
        #[expect(clippy::cast_possible_truncation, reason = "the generator's output is the folded half")]
        let folded = ((self.state >> 64) as u64) ^ (self.state as u64);
        folded.rotate_right(rotation)
    }

    /// The next 128 bits.
    pub fn next_u128(&mut self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// A number in `0 ..= most`, evenly enough for timing.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let range = u128::from(most) + 1;
        u64::try_from((u128::from(self.next_u64()) * range) >> 64).unwrap_or(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut random = Random::new(Seed(seed));
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn up_to_stays_in_its_range_and_reaches_its_ends() {
        let mut random = Random::new(Seed(1));
        let drawn: Vec<u64> = (0..200).map(|_| random.up_to(3)).collect();
        assert!(drawn.iter().all(|number| *number <= 3));
        assert!((0..=3).all(|number| drawn.contains(&number)));
        assert_eq!(random.up_to(0), 0);
    }

    #[test]
    fn instants_never_overflow() {
        assert_eq!(Instant(5) + Duration::MAX, Instant(u64::MAX));
        assert_eq!(Instant(5) - Duration::from_secs(1), Instant(0));
        assert_eq!(Instant(5).since(Instant(9)), Duration::ZERO);
    }
}
