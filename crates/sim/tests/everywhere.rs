//! The same inputs give the same bytes natively, in Node.js and in Chromium.
//!
//! Natively, worlds are recorded into the file that `REJOIN_RECORDING` names. On wasm32 they are recorded again, and compared digest by digest with
//! that file, which is built in. `cargo xtask test wasm` does one after the other.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::fmt::Write;

use rejoin_sim::{Plan, Recording, Report, World};

/// Worlds with several documents; with and without relays, in both encodings, with crashes, cleared and spoiled disks, authorities that go back,
/// clocks that jump, late frames and bad ones.
const SEEDS: [u64; 8] = [17, 20, 24, 65, 84, 85, 108, 111];

/// Of so many worlds, from the first seed on, the traces are compared only: what was stored, sent and told, and when.
const TRACED: u64 = 300;

/// Actions in each.
const STEPS: u32 = 200;

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

/// A line for each of the worlds that are traced.
fn traced() -> String {
    let mut text = String::new();
    for seed in 1..=TRACED {
        let report = World::new(Plan::of_seed(seed, STEPS)).unobserved().run();
        let report = report.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        writeln!(text, "traced {seed}: {} events, {:016x}", report.events, report.trace)
            .expect("text can be written to a string");
    }
    text
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_world_is_recorded_twice_with_the_same_digests() {
    let worlds = SEEDS.map(|seed| shown(seed, &record(seed).1));
    assert_eq!(worlds, SEEDS.map(|seed| shown(seed, &record(seed).1)));
    if let Some(path) = std::env::var_os("REJOIN_RECORDING") {
        std::fs::write(path, worlds.concat() + &traced()).expect("the recording can be written");
    }
}

/// What was recorded natively.
#[cfg(target_arch = "wasm32")]
const NATIVELY: &str =
    include_str!(env!("REJOIN_RECORDING", "record worlds natively first, as `cargo xtask test wasm` does"));

/// Of it, the lines of the worlds that are recorded, or else of those that are traced.
#[cfg(target_arch = "wasm32")]
fn natively(traced: bool) -> Vec<&'static str> {
    NATIVELY.lines().filter(|line| line.starts_with("traced") == traced).collect()
}

#[cfg(target_arch = "wasm32")]
#[test]
fn traces_of_hundreds_of_worlds_are_those_that_they_have_natively() {
    let here = traced();
    let differ: Vec<_> = here.lines().zip(natively(true)).filter(|(here, there)| here != there).collect();
    assert!(differ.is_empty(), "here, and natively: {differ:#?}");
    assert_eq!(natively(true).len() as u64, TRACED);
}

#[cfg(target_arch = "wasm32")]
#[test]
fn recorded_worlds_are_the_same_bytes_as_natively() {
    let worlds = SEEDS.map(|seed| shown(seed, &record(seed).1)).concat();
    let (here, there): (Vec<_>, Vec<_>) = (worlds.lines().collect(), natively(false));
    let is_world = |line: &str| line.starts_with("seed");
    if let Some(at) = here.iter().zip(&there).position(|(here, there)| here != there && !is_world(here)) {
        let begin = here[..at].iter().rposition(|line| is_world(line)).unwrap_or(0);
        let inputs = (at - begin - 1) as u64 * rejoin_sim::INPUTS_BETWEEN_DIGESTS;
        panic!("not as natively after the first {inputs} inputs of {}", here[begin]);
    }
    assert_eq!(here, there);
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
    assert!(snapshots > 40 && conflicts > 100 && rejected > 50, "{sums:?}");
}

#[test]
fn a_recording_of_another_world_is_another_from_the_first_digest_on() {
    let (one, other) = (record(SEEDS[0]).1, record(SEEDS[1]).1);
    assert!(one.digests.iter().zip(&other.digests).all(|(one, other)| one != other));
}
