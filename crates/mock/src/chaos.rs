//! Plans of faults that are drawn.

use std::fmt;
use std::str::FromStr;

use crate::random::Random;
use crate::{FaultError, FaultPlan};

/// How much goes wrong in a plan that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosProfile {
    /// What a bad network does: messages are late, come in bursts, and seldom twice, in another order or not at all. No connection ends by it.
    Mild,
    /// All of it and more often, and messages are damaged, and connections stand still, are half open and closed.
    Wild,
}

impl ChaosProfile {
    /// The plan that follows from a seed, always the same. It has between 2 and 10 rules.
    ///
    /// ```
    /// use rejoin_mock::ChaosProfile;
    ///
    /// let plan = ChaosProfile::Mild.plan(7)?;
    /// assert_eq!(plan.to_string(), ChaosProfile::Mild.plan(7)?.to_string());
    /// # Ok::<(), rejoin_mock::FaultError>(())
    /// ```
    pub fn plan(self, seed: u64) -> Result<FaultPlan, FaultError> {
        let mut random = Random::new(seed);
        let mut rules = match self {
            Self::Mild => mild(&mut random),
            Self::Wild => wild(&mut random),
        };
        let (wanted, of) = match self {
            Self::Mild => (1, 2),
            Self::Wild => (3, 4),
        };
        // Two are there in any case, so that something does go wrong; which, is drawn.
        let sure = [random.below(rules.len()), random.below(rules.len() - 1)];
        let sure = [sure[0], if sure[1] >= sure[0] { sure[1] + 1 } else { sure[1] }];
        let mut index = 0;
        rules.retain(|_| {
            let kept = random.below(of) < wanted || sure.contains(&index);
            index += 1;
            kept
        });
        rules.join("; ").parse()
    }
}

fn mild(random: &mut Random) -> Vec<String> {
    let low = random.between(5, 50);
    let high = low + random.between(20, 250);
    vec![
        format!("delay {low}ms..{high}ms p={}", chance(random, 50, 300)),
        format!("duplicate p={}", chance(random, 5, 20)),
        format!("reorder by {} p={}", random.between(1, 2), chance(random, 5, 20)),
        format!("drop p={}", chance(random, 5, 20)),
        format!("throttle {}KiB/s", random.between(64, 512)),
        format!("stall {}ms p={}", random.between(100, 800), chance(random, 2, 10)),
    ]
}

fn wild(random: &mut Random) -> Vec<String> {
    let mean = random.between(50, 400);
    let codes = [1_001, 1_011, 1_012, 4_000];
    let code = codes.get(random.below(codes.len())).copied().unwrap_or(1_011);
    vec![
        format!("delay normal({mean}ms, {}ms) p={}", random.between(20, 400), chance(random, 200, 600)),
        format!("duplicate by {} p={}", random.between(1, 3), chance(random, 20, 100)),
        format!("reorder by {} p={}", random.between(1, 5), chance(random, 20, 100)),
        format!("drop p={}", chance(random, 20, 100)),
        format!("corrupt {} bytes p={}", random.between(1, 4), chance(random, 10, 50)),
        format!("truncate p={}", chance(random, 10, 50)),
        format!("throttle {}KiB/s", random.between(4, 64)),
        format!("stall {}ms p={}", random.between(500, 4_000), chance(random, 5, 20)),
        format!("half-open p={} after 10 messages", chance(random, 2, 8)),
        format!("close({code} \"chaos\") p={} after 10 messages", chance(random, 5, 20)),
    ]
}

/// A chance between so many thousandths, as a plan writes it.
fn chance(random: &mut Random, low: i64, high: i64) -> String {
    format!("0.{:03}", random.between(low, high))
}

/// Reads `mild` or `wild`.
impl FromStr for ChaosProfile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mild" => Ok(Self::Mild),
            "wild" => Ok(Self::Wild),
            _ => Err("take mild or wild"),
        }
    }
}

impl fmt::Display for ChaosProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mild => "mild",
            Self::Wild => "wild",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::{Direction, Frame, Time};

    #[test]
    fn each_seed_has_a_plan_of_its_own_and_always_the_same() {
        for profile in [ChaosProfile::Mild, ChaosProfile::Wild] {
            let plan = |seed| profile.plan(seed).unwrap().to_string();
            let plans: BTreeSet<String> = (0..200).map(plan).collect();
            assert_eq!(plans.len(), 200);
            for seed in 0..200 {
                assert!(plan(seed).split("; ").count() >= 2, "{}", plan(seed));
                assert_eq!(plan(seed), plan(seed));
            }
        }
    }

    #[test]
    fn a_mild_plan_ends_and_damages_nothing_and_wild_ones_do() {
        let all = |profile: ChaosProfile| {
            (0..200).map(|seed| profile.plan(seed).unwrap().to_string()).collect::<String>()
        };
        let (mild, wild) = (all(ChaosProfile::Mild), all(ChaosProfile::Wild));
        for fault in ["close", "half-open", "corrupt", "truncate"] {
            assert!(!mild.contains(fault) && wild.contains(fault), "{fault}");
        }
        for fault in ["delay", "duplicate", "reorder", "drop", "throttle", "stall"] {
            assert!(mild.contains(fault) && wild.contains(fault), "{fault}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_faults_to_the_same_messages() {
        let run = |seed| {
            let mut faults = ChaosProfile::Wild.plan(seed).unwrap().machine(Direction::In, "/ws", seed);
            let (mut made, mut passed) = (Vec::new(), Vec::new());
            for number in 0..400_u32 {
                let now = Time { elapsed: Duration::from_millis(u64::from(number) * 10), unix_ms: 0 };
                faults.push(now, Frame::Text(number.to_string()));
                passed.extend(std::iter::from_fn(|| faults.poll(now)));
                made.extend(std::iter::from_fn(|| faults.made()).map(|fault| fault.to_string()));
            }
            (made, passed)
        };
        assert!(!run(1).0.is_empty());
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0, run(2).0);
    }
}
