//! Checks that cannot fail prove nothing: each planted fault is found by the claim that it breaks.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use rejoin_sim::{Claim, Plant, Violation, World};

/// Lines in a world.
const STEPS: u32 = 200;

/// The seeds that catch each fault: of ten thousand the first ones.
const CAUGHT: &[(&str, &[u64])] = &[
    ("rewrite-pending", &[4, 5]),
    ("push-twice", &[1, 2]),
    ("push-twice-afterward", &[26, 84]),
    ("clients-flush-late", &[1, 2]),
    ("authority-flushes-late", &[1, 2]),
    ("lose-flushed", &[1, 2]),
    ("rewrite-log", &[1, 2]),
    ("move-text", &[1, 2]),
    ("lose-pushes", &[1, 2]),
    ("cut-idle", &[1, 2]),
    ("empty-patches", &[1, 4]),
    ("add-value", &[1, 2]),
    ("alter-snapshots", &[2, 4]),
    ("drop-records", &[2, 6]),
    ("retitle-listed", &[1, 2]),
    ("accept-repeats", &[2, 11]),
    ("swap-order", &[5, 6]),
    ("half-patches", &[139, 234]),
    ("save-early", &[1, 2]),
    ("skip-bad-frames", &[1, 2]),
    ("send-forever", &[1, 2]),
    ("swallow-frames", &[1, 2]),
    ("reverse-pushes", &[1, 2]),
    ("lose-acknowledgements", &[1, 4]),
    ("keep-pending", &[1, 2]),
    ("drop-rejected", &[1]),
    ("lose-rows", &[1, 3]),
    ("revive-tombstones", &[2, 8]),
    ("keep-ghosts", &[4, 7]),
    ("omit-records", &[1, 4]),
    ("falsify-records", &[1, 2]),
    ("show-older", &[11, 13]),
    ("skip-write", &[2, 3]),
    ("overwrite-rivals", &[1, 2]),
    ("redate-history", &[1, 2]),
    ("ignore-rivals-alone", &[7, 31]),
    ("miss-rivals", &[2, 4]),
];

fn run(plant: Plant, seed: u64) -> Option<Violation> {
    World::new(plant.plan(seed, STEPS)).run().err().filter(|violation| violation.claim == plant.breaks())
}

#[test]
fn what_is_planted_is_caught_by_the_claim_that_it_breaks() {
    for (name, plant) in Plant::ALL {
        let (_, seeds) = CAUGHT.iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
            panic!("no seed is known that catches {name}");
        });
        for seed in *seeds {
            let claim = plant.breaks();
            assert!(
                run(plant, *seed).is_some(),
                "{claim:?} does not find {name} in the world of seed {seed}"
            );
        }
    }
}

#[test]
fn the_same_worlds_break_nothing_without_what_is_planted() {
    for (name, seeds) in CAUGHT {
        let plant = Plant::named(name).unwrap();
        for seed in *seeds {
            let plan = rejoin_sim::Plan { plant: None, ..plant.plan(*seed, STEPS) };
            let result = World::new(plan).run();
            assert!(result.is_ok(), "seed {seed} of {name}: {}", result.unwrap_err());
        }
    }
}

#[test]
fn rewriting_what_is_pending_is_caught() {
    let seeds = CAUGHT.iter().find(|(name, _)| *name == "rewrite-pending").unwrap().1;
    let violation = run(Plant::RewritePending, seeds[0]).unwrap();
    assert!(violation.what.contains("unseen and unrecorded"), "{violation}");
}

#[test]
fn every_claim_finds_a_fault_that_is_planted() {
    let found: BTreeSet<Claim> = Plant::ALL.iter().map(|(_, plant)| plant.breaks()).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), Claim::ALL);
}
