//! Numbers by chance that a seed repeats.

/// A seeded generator (SplitMix64): small, quick and the same on every platform. It keeps no secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        // As many bits as a double holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from 0 to below `count`; 0 where there is none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let last = i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX);
        usize::try_from(self.between(0, last)).unwrap_or_default()
    }

    /// A number of the range, both ends included, each as likely as the others.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.wrapping_sub(low).cast_unsigned();
        let Some(count) = span.checked_add(1) else {
            return self.next().cast_signed();
        };
        // What lies above the last whole multiple would make the first numbers more likely.
        let limit = u64::MAX - (u64::MAX % count + 1) % count;
        loop {
            let bits = self.next();
            if bits <= limit {
                return low.wrapping_add((bits % count).cast_signed());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference() {
        // The first outputs for the seed 1234567 of Vigna's splitmix64.c.
        let mut random = Random::new(1_234_567);
        let drawn = [(); 3].map(|()| random.next());
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn every_number_of_a_range_comes_and_no_other() {
        let mut random = Random::new(7);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            let drawn = random.between(-2, 3);
            assert!((-2..=3).contains(&drawn));
            seen[usize::try_from(drawn + 2).unwrap_or_default()] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
    }

    #[test]
    fn the_widest_range_is_drawn_from_too() {
        let mut random = Random::new(1);
        assert_eq!(random.between(5, 5), 5);
        let drawn = [(); 64].map(|()| random.between(i64::MIN, i64::MAX));
        assert!(drawn.iter().any(|&it| it < 0) && drawn.iter().any(|&it| it > 0));
    }
}
