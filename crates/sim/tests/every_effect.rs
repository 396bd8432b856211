//! A process ends at every one of its effects in turn.

#![allow(clippy::unwrap_used)]

use rejoin_sim::{Plan, World};

/// Worlds that are small, with relays and without.
const SEEDS: [u64; 3] = [2, 5, 11];

const LINES: u32 = 24;

#[test]
fn a_process_may_end_between_any_two_of_its_effects() {
    let mut ends = 0;
    for seed in SEEDS {
        let plan = Plan::of_seed(seed, LINES);
        let report =
            World::new(plan.clone()).run().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        for effect in 0..report.effects {
            let ended = World::new(Plan { ends_at: Some(effect), ..plan.clone() }).run();
            let ended = ended
                .unwrap_or_else(|violation| panic!("seed {seed}, ended at effect {effect}: {violation}"));
            assert_ne!(ended.trace, report.trace, "seed {seed}: nothing ended at effect {effect}");
            ends += 1;
        }
    }
    assert!(ends > 300, "{ends} ends are too few to mean much");
}
