//! Worlds that seeds draw. `rejoin-sim` runs many more.

#![allow(clippy::unwrap_used)]

use rejoin_sim::{Claim, Plan, Plant, Report, Violation, World};

fn run(plan: Plan) -> Result<Report, Violation> {
    World::new(plan).run()
}

#[test]
fn a_hundred_worlds_keep_every_claim_and_each_seed_makes_one_world() {
    let mut happened = [0; 5];
    for seed in 1..=100 {
        let first =
            run(Plan::of_seed(seed, 200)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let second =
            run(Plan::of_seed(seed, 200)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert_eq!(first, second, "seed {seed}");
        let counts = [first.revisions, first.frames, first.late_frames, first.bad_frames, first.silences];
        happened.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [revisions, frames, late, bad, silences] = happened;
    assert!(revisions > 5_000, "{revisions} revisions: nothing happened");
    assert!(
        frames > 50_000 && late > 50 && bad > 10 && silences > 10,
        "{happened:?}: the network was too good"
    );
}

#[test]
fn rewriting_what_is_pending_is_caught() {
    let caught = (1..=2_000).find_map(|seed| {
        let plan = Plan { plant: Some(Plant::RewritePending), ..Plan::of_seed(seed, 200) };
        run(plan).err().filter(|violation| violation.claim == Claim::NoSilentOverwrite)
    });
    let violation = caught.expect("2,000 worlds overwrote nothing unseen");
    assert!(violation.what.contains("unseen and unrecorded"), "{violation}");
}

#[test]
fn what_is_planted_is_caught_by_the_claim_that_it_breaks() {
    for (plant, claims) in [
        (Plant::PushTwice, &[Claim::AtMostOnce][..]),
        (Plant::AnswerEarly, &[Claim::Rungs, Claim::DurableOnly]),
    ] {
        let planted = |seed| Plan { plant: Some(plant), ..Plan::of_seed(seed, 200) };
        let caught: Vec<_> = (1..=10).filter_map(|seed| run(planted(seed)).err()).collect();
        // In a small or slow world nothing may come of it.
        assert!(caught.len() >= 8, "{plant:?} is caught in {} worlds of 10", caught.len());
        for violation in caught {
            assert!(claims.contains(&violation.claim), "{plant:?}: {violation}");
        }
    }
}
