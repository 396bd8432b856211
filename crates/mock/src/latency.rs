//! How long messages take.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Direction;
use crate::faults::{FaultError, FaultPlan, Faults, read_distribution, write_duration};
use crate::kinds::Kind;
use crate::limits::MAX_FAULT_TIME;
use crate::random::Random;

/// By what law a time is drawn. Nothing below 0 or above [`MAX_FAULT_TIME`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Fixed(Duration),
    /// Each time of the range is as likely as the others.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// The normal distribution, where what would be below 0 is 0.
    Normal {
        /// Its mean.
        mean: Duration,
        /// Its standard deviation.
        deviation: Duration,
    },
    /// The Pareto distribution: most are short, and a few are very long.
    Pareto {
        /// The shortest.
        scale: Duration,
        /// How soon long ones become rare, above 0. With 1.16 a fifth of the messages make four fifths of the waiting.
        shape: f64,
    },
}

impl Distribution {
    pub(crate) fn draw(&self, random: &mut Random) -> Duration {
        let drawn = match *self {
            Self::Fixed(duration) => return duration.min(MAX_FAULT_TIME),
            Self::Uniform { low, high } => {
                let span = high.saturating_sub(low).as_secs_f64();
                low.as_secs_f64() + span * random.fraction()
            }
            Self::Normal { mean, deviation } => {
                // Box and Muller, 1958. The logarithm is of a number above 0.
                let radius = (-2.0 * (1.0 - random.fraction()).ln()).sqrt();
                let angle = std::f64::consts::TAU * random.fraction();
                mean.as_secs_f64() + deviation.as_secs_f64() * radius * angle.cos()
            }
            Self::Pareto { scale, shape } => {
                scale.as_secs_f64() / (1.0 - random.fraction()).powf(shape.recip())
            }
        };
        Duration::from_secs_f64(drawn.clamp(0.0, MAX_FAULT_TIME.as_secs_f64()))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(duration) => write_duration(f, *duration),
            Self::Uniform { low, high } => {
                write_duration(f, *low)?;
                f.write_str("..")?;
                write_duration(f, *high)
            }
            Self::Normal { mean, deviation } => {
                f.write_str("normal(")?;
                write_duration(f, *mean)?;
                f.write_str(", ")?;
                write_duration(f, *deviation)?;
                f.write_str(")")
            }
            Self::Pareto { scale, shape } => {
                f.write_str("pareto(")?;
                write_duration(f, *scale)?;
                write!(f, ", {shape})")
            }
        }
    }
}

/// How long messages take, by kind if wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyProfile {
    pub(crate) distribution: Distribution,
    min: Duration,
    max: Duration,
    tags: BTreeMap<String, LatencyProfile>,
}

impl LatencyProfile {
    /// 5 to 30 ms: a server nearby.
    pub fn fast() -> Self {
        Self::uniform(Duration::from_millis(5), Duration::from_millis(30))
    }

    /// 50 to 200 ms. The normal distribution is [`LatencyProfile::normal_distribution`].
    pub fn normal() -> Self {
        Self::uniform(Duration::from_millis(50), Duration::from_millis(200))
    }

    /// 300 to 800 ms: a bad mobile network.
    pub fn slow() -> Self {
        Self::uniform(Duration::from_millis(300), Duration::from_millis(800))
    }

    /// The named profile: `fast`, `normal` or `slow`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "fast" => Some(Self::fast()),
            "normal" => Some(Self::normal()),
            "slow" => Some(Self::slow()),
            _ => None,
        }
    }

    /// Always the same.
    pub fn fixed(latency: Duration) -> Self {
        Self::of(Distribution::Fixed(latency))
    }

    /// Each time of the range is as likely as the others.
    pub fn uniform(low: Duration, high: Duration) -> Self {
        Self::of(Distribution::Uniform { low, high })
    }

    /// Around a mean, by the normal distribution with this standard deviation.
    pub fn normal_distribution(mean: Duration, deviation: Duration) -> Self {
        Self::of(Distribution::Normal { mean, deviation })
    }

    /// Mostly little above `scale`, and now and then very long; `shape` says how seldom. One that is no number above 0 is taken for 1.
    pub fn pareto(scale: Duration, shape: f64) -> Self {
        let shape = if shape.is_finite() && shape > 0.0 { shape } else { 1.0 };
        Self::of(Distribution::Pareto { scale, shape })
    }

    /// By any of the distributions.
    pub fn of(distribution: Distribution) -> Self {
        Self { distribution, min: Duration::ZERO, max: MAX_FAULT_TIME, tags: BTreeMap::new() }
    }

    /// Nothing is quicker than that.
    #[must_use]
    pub fn min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// Nothing is slower than that. Where it is below the minimum, it counts.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Messages of this kind take another time. The tag is the name of a kind or of a group of kinds, as in a fault plan: `yjs.step2`,
    /// `presence`, `yjs`. Where several fit, the longest name counts.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>, latency: LatencyProfile) -> Self {
        self.tags.insert(tag.into(), latency);
        self
    }

    pub(crate) fn draw(&self, random: &mut Random, kind: &Kind) -> Duration {
        let fitting = self.tags.iter().filter(|(tag, _)| kind.is(tag)).max_by_key(|(tag, _)| tag.len());
        match fitting {
            Some((_, latency)) => latency.draw(random, kind),
            None => self.distribution.draw(random).max(self.min).min(self.max),
        }
    }
}

/// Reads `fast`, `normal`, `slow`, or a time as in a fault plan: `400ms±100`, `50ms..200ms`, `normal(400ms, 100ms)`, `pareto(50ms, 1.5)`.
impl FromStr for LatencyProfile {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        read_distribution(text).map(Self::of)
    }
}

/// A latency, and the faults that come with it.
#[derive(Clone, Debug)]
pub struct LatencyInjector {
    pub(crate) profile: LatencyProfile,
    pub(crate) faults: FaultPlan,
}

impl LatencyInjector {
    /// Lets messages take as long as the profile says, in each direction. `Default::default()` has no faults.
    pub fn new(profile: LatencyProfile, faults: FaultPlan) -> Self {
        Self { profile, faults }
    }

    /// How long messages take.
    pub fn profile(&self) -> &LatencyProfile {
        &self.profile
    }

    /// What happens to one direction of a connection to this path. The same seed does the same to the same messages.
    pub fn machine(&self, direction: Direction, path: &str, seed: u64) -> Faults {
        Faults::new(&self.faults, Some(self.profile.clone()), direction, path, seed)
    }

    /// What else happens to them.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The times below which these shares of 20,000 draws are, in ms.
    fn percentiles(profile: &LatencyProfile, shares: [usize; 3]) -> [f64; 3] {
        let mut random = Random::new(42);
        let mut drawn = [(); 20_000].map(|()| profile.draw(&mut random, &Kind::Text));
        drawn.sort();
        shares.map(|share| drawn[share * 200].as_secs_f64() * 1_000.0)
    }

    fn near(measured: [f64; 3], expected: [f64; 3]) {
        for (measured, expected) in measured.into_iter().zip(expected) {
            assert!((measured - expected).abs() <= expected * 0.04, "{measured} is not {expected}");
        }
    }

    #[test]
    fn named_profiles_draw_from_their_ranges() {
        near(percentiles(&LatencyProfile::fast(), [0, 50, 99]), [5.0, 17.5, 29.75]);
        near(percentiles(&LatencyProfile::normal(), [0, 50, 99]), [50.0, 125.0, 198.5]);
        near(percentiles(&LatencyProfile::slow(), [0, 50, 99]), [300.0, 550.0, 795.0]);
        assert_eq!(LatencyProfile::named("slow"), Some(LatencyProfile::slow()));
        assert_eq!(LatencyProfile::named("slower"), None);
    }

    #[test]
    fn distributions_have_the_percentiles_of_their_laws() {
        near(percentiles(&LatencyProfile::fixed(ms(7)), [0, 50, 99]), [7.0; 3]);
        // The mean, and 1.645 and 2.326 standard deviations above it.
        let normal = LatencyProfile::normal_distribution(ms(400), ms(100));
        near(percentiles(&normal, [50, 95, 99]), [400.0, 564.5, 632.6]);
        // The scale, and the scale over the root of what is left.
        let pareto = LatencyProfile::pareto(ms(50), 1.5);
        near(percentiles(&pareto, [0, 50, 90]), [50.0, 79.37, 232.08]);
    }

    #[test]
    fn draws_stay_between_the_bounds() {
        let bounded = LatencyProfile::normal_distribution(ms(10), ms(100)).min(ms(5)).max(ms(20));
        let [low, _, high] = percentiles(&bounded, [0, 50, 99]);
        assert!((low - 5.0).abs() < 1e-9 && (high - 20.0).abs() < 1e-9);
        let unbounded = percentiles(&LatencyProfile::normal_distribution(ms(10), ms(100)), [0, 50, 99]);
        assert!(unbounded[0].abs() < 1e-9, "never below 0");
        let wild = LatencyProfile::pareto(ms(1), 0.001);
        assert!(percentiles(&wild, [0, 50, 99])[2] <= MAX_FAULT_TIME.as_secs_f64() * 1_000.0);
        assert_eq!(LatencyProfile::pareto(ms(1), f64::NAN), LatencyProfile::pareto(ms(1), 1.0));
    }

    #[test]
    fn the_longest_tag_that_fits_counts() {
        let fixed = |it| LatencyProfile::fixed(ms(it));
        let profile = fixed(1).tag("yjs", fixed(2)).tag("yjs.step2", fixed(3)).tag("presence", fixed(4));
        let draw = |kind| profile.draw(&mut Random::new(1), &kind);
        assert_eq!(draw(Kind::Yjs("step2")), ms(3));
        assert_eq!(draw(Kind::Yjs("step1")), ms(2));
        assert_eq!(draw(Kind::Rejoin("presence")), ms(4));
        assert_eq!(draw(Kind::Binary), ms(1));
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            [(); 32].map(|()| LatencyProfile::slow().draw(&mut random, &Kind::Text))
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn profiles_are_read_as_they_are_written_in_plans() {
        for (text, profile) in [
            ("slow", LatencyProfile::slow()),
            ("normal", LatencyProfile::normal()),
            ("1.5s", LatencyProfile::fixed(ms(1_500))),
            ("400ms±100", LatencyProfile::uniform(ms(300), ms(500))),
            ("normal(400ms, 100ms)", LatencyProfile::normal_distribution(ms(400), ms(100))),
            ("pareto(50ms, 1.5)", LatencyProfile::pareto(ms(50), 1.5)),
        ] {
            assert_eq!(text.parse::<LatencyProfile>().unwrap(), profile);
        }
        assert_eq!("slowly".parse::<LatencyProfile>().unwrap_err().column(), 1);
        assert_eq!("slow 3".parse::<LatencyProfile>().unwrap_err().column(), 6);
    }
}
