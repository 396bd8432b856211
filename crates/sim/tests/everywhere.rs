//! The same inputs give the same bytes natively, in Node.js and in Chromium: worlds are recorded wherever this runs, and compared digest by digest
//! with what `everywhere.txt` has of them.
//!
//! What replicas want done changes when the protocol, the records or their decisions do. `REJOIN_RECORD=1 cargo test -p rejoin-sim --test everywhere`
//! records anew, and then it has to be the same everywhere again.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::fmt::Write;

use rejoin_sim::{INPUTS_BETWEEN_DIGESTS, Plan, Recording, Report, World};

/// Worlds with several documents; with and without relays, in both encodings, with crashes, copied and cleared disks, authorities that go back,
/// late frames and bad ones.
const SEEDS: [u64; 8] = [5, 29, 38, 49, 61, 66, 70, 74];

/// Actions in each.
const STEPS: u32 = 200;

const EXPECTED: &str = include_str!("everywhere.txt");

fn record(seed: u64) -> (Report, Recording) {
    World::new(Plan::of_seed(seed, STEPS))
        .record()
        .unwrap_or_else(|violation| panic!("seed {seed}: {violation}"))
}

fn shown(seed: u64, recording: &Recording) -> String {
    let mut text = format!("seed {seed}: {} inputs, {} outputs\n", recording.inputs, recording.outputs);
    for digest in &recording.digests {
        writeln!(text, "{:016x}", u64::from_be_bytes(*digest)).expect("text can be written to a string");
    }
    text
}

/// What there is of a world in the text of all.
fn expected(seed: u64) -> &'static str {
    let begin = EXPECTED.find(&format!("seed {seed}: ")).unwrap_or(EXPECTED.len());
    let world = &EXPECTED[begin..];
    let end = world[world.len().min(1)..].find("seed ").map_or(world.len(), |end| end + 1);
    &world[..end]
}

#[test]
fn recorded_worlds_are_the_same_bytes_everywhere() {
    let worlds = SEEDS.map(|seed| (seed, shown(seed, &record(seed).1)));
    if std::env::var_os("REJOIN_RECORD").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/everywhere.txt");
        let all: String = worlds.iter().map(|(_, text)| text.as_str()).collect();
        std::fs::write(path, all).expect("the recording can be written");
        return;
    }
    for (seed, text) in worlds {
        let (here, there): (Vec<_>, Vec<_>) = (text.lines().collect(), expected(seed).lines().collect());
        let equal = here.iter().zip(&there).skip(1).take_while(|(here, there)| here == there).count() as u64;
        assert!(
            here == there,
            "seed {seed} is another world here: the first {} inputs are as recorded; {:?} and not {:?}",
            equal * INPUTS_BETWEEN_DIGESTS,
            here.first(),
            there.first()
        );
    }
}

// Where the digests are equal, so is what they are of.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn what_is_recorded_has_conflicts_rejections_and_snapshots_of_several_documents() {
    let mut sums = [0; 5];
    for seed in SEEDS {
        let (report, recording) = record(seed);
        let counts =
            [recording.inputs, recording.snapshots, report.revisions, report.conflicts, report.rejected];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [inputs, snapshots, revisions, conflicts, rejected] = sums;
    assert!(inputs > 5_000 && revisions > 1_000, "{sums:?}");
    assert!(snapshots > 100 && conflicts > 100 && rejected > 50, "{sums:?}");
}

#[test]
fn a_recording_of_another_world_is_another_from_the_first_digest_on() {
    let (one, other) = (record(SEEDS[0]).1, record(SEEDS[1]).1);
    assert!(one.digests.iter().zip(&other.digests).all(|(one, other)| one != other));
}
