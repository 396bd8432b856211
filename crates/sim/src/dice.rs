//! Chance, from one seed.

use rejoin_core::{Random, Seed};

/// A generator with the draws that a world needs.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u128) -> Self {
        Self(Random::new(Seed(seed)))
    }

    /// A stream of its own for each purpose and number.
    pub(crate) fn of(seed: u64, purpose: u64, number: u64) -> Self {
        let high = mixed(seed ^ mixed(purpose));
        Self::new(u128::from(high) << 64 | u128::from(mixed(high ^ mixed(number))))
    }

    /// A seed for something else that needs chance.
    pub(crate) fn seed(&mut self) -> Seed {
        Seed(self.0.next_u128())
    }

    /// A number in `least ..= most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.up_to(most.saturating_sub(least))
    }

    /// A number below `count`, which is not zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.0.up_to(count as u64 - 1)).unwrap_or(0)
    }

    /// True so many times in ten thousand.
    pub(crate) fn chance(&mut self, in_ten_thousand: u32) -> bool {
        self.0.up_to(9_999) < u64::from(in_ten_thousand)
    }

    /// One of some.
    pub(crate) fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }

    /// One of some kinds, by weight.
    pub(crate) fn weighted<T: Copy>(&mut self, some: &[(u32, T)]) -> T {
        let total: u64 = some.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = self.0.up_to(total - 1);
        for (weight, one) in some {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return *one,
            }
        }
        some[some.len() - 1].1
    }
}

/// Bits of which each depends on each (the finish of SplitMix64).
const fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
