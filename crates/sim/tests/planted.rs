//! Checks that cannot fail prove nothing: each claim here finds the fault that is planted to break it.

use rejoin_sim::{Claim, Plant, Violation, World};

/// Worlds that a fault is planted in.
const SEEDS: u64 = 10;

/// What the claim that a fault breaks says of it, world by world.
fn caught(plant: Plant) -> impl Iterator<Item = Violation> {
    let violations = (1..=SEEDS).filter_map(move |seed| World::new(plant.plan(seed, 200)).run().err());
    violations.filter(move |violation| violation.claim == plant.breaks())
}

/// In how many worlds at least. In a small or slow one nothing may come of a fault, and another claim may find it first.
fn least(plant: Plant) -> usize {
    match plant {
        Plant::RewritePending | Plant::DropRecords => 1,
        Plant::LoseFlushed | Plant::RewriteLog | Plant::MoveText | Plant::AlterSnapshots => 3,
        Plant::SkipBadFrames => 3,
        _ => 6,
    }
}

#[test]
fn what_is_planted_is_caught_by_the_claim_that_it_breaks() {
    for (name, plant) in Plant::ALL {
        let (caught, least) = (caught(plant).count(), least(plant));
        assert!(caught >= least, "{:?} finds {name} in {caught} worlds of {SEEDS}", plant.breaks());
    }
}

#[test]
fn rewriting_what_is_pending_is_caught() {
    let violation = caught(Plant::RewritePending).next().expect("no world overwrote anything unseen");
    assert!(violation.what.contains("unseen and unrecorded"), "{violation}");
}

#[test]
fn an_outbox_that_does_not_become_empty_is_caught() {
    let violation = caught(Plant::LosePushes).next().expect("every outbox became empty");
    assert!(
        violation.what.starts_with("node 1 has") && violation.what.contains("changes pending"),
        "{violation}"
    );
}

#[test]
fn records_that_differ_between_replicas_are_caught() {
    let violation = caught(Plant::DropRecords).next().expect("nobody missed a record");
    assert!(violation.what.contains("instead of"), "{violation}");
}

#[test]
fn every_claim_that_a_planted_fault_breaks_is_another_one() {
    let claims: std::collections::BTreeSet<Claim> =
        Plant::ALL.iter().map(|(_, plant)| plant.breaks()).collect();
    assert_eq!(claims.len(), Plant::ALL.len());
}
