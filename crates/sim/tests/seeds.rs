//! Worlds that seeds draw. `rejoin-sim` runs many more.

#![allow(clippy::unwrap_used)]

use rejoin_sim::{Plan, Report, Violation, World};

fn run(plan: Plan) -> Result<Report, Violation> {
    World::new(plan).run()
}

#[test]
fn forty_worlds_keep_every_claim_and_each_seed_makes_one_world() {
    let mut happened = [0; 5];
    for seed in 1..=40 {
        let first =
            run(Plan::of_seed(seed, 200)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let second =
            run(Plan::of_seed(seed, 200)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert_eq!(first, second, "seed {seed}");
        let counts = [first.revisions, first.frames, first.late_frames, first.bad_frames, first.silences];
        happened.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [revisions, frames, late, bad, silences] = happened;
    assert!(revisions > 2_000, "{revisions} revisions: nothing happened");
    assert!(
        frames > 20_000 && late > 20 && bad > 1 && silences > 4,
        "{happened:?}: the network was too good"
    );
}
