//! Fuzz targets: functions that take any bytes, feed them to something that reads foreign ones, and panic where it does not keep its
//! word.
//!
//! They are driven in two ways. The program of this package mutates seeds by dice on stable Rust, and holds each input to a time and an
//! amount of memory: `cargo xtask test fuzz` does that with a fixed number of inputs, `cargo xtask fuzz replica --minutes 10` for a while. The package in `libfuzzer` hands the same functions to cargo-fuzz, whose inputs are led by
//! what they reach: `cargo +nightly fuzz run --fuzz-dir tests/fuzz/libfuzzer replica`.
//!
//! An input that once found a fault stays in `regressions`, in the folder of its target, and is tried by every run.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a target that panics has found something, or has a fault itself"
)]

mod input;
pub mod json;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "the laws of the merge, shared with its own tests"
)]
#[path = "../../../crates/json/tests/merge_laws/laws.rs"]
mod laws;
pub mod mutation;
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the documents of the laws")]
#[path = "../../../crates/json/tests/merge_laws/random.rs"]
mod random;
mod replica;
mod samples;
mod session;
pub mod wire;

pub use replica::replica;
pub use session::session;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes one input; panics where a fault shows.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs of a short run: a few seconds of one core.
    pub inputs: u64,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "json_parse", run: json::parse, seeds: samples::json_texts, inputs: 500_000 },
    Target { name: "json_pointer", run: json::pointer, seeds: samples::pointed_texts, inputs: 500_000 },
    Target { name: "json_patch", run: json::patch, seeds: samples::patched_texts, inputs: 400_000 },
    Target {
        name: "json_merge_patch",
        run: json::merge_patch,
        seeds: samples::pairs_of_texts,
        inputs: 400_000,
    },
    Target { name: "json_diff", run: json::diff, seeds: samples::dice, inputs: 60_000 },
    Target { name: "json_merge", run: json::merge, seeds: samples::dice, inputs: 15_000 },
    Target { name: "wire_binary", run: wire::binary, seeds: samples::binary_messages, inputs: 600_000 },
    Target { name: "wire_json", run: wire::json, seeds: samples::json_messages, inputs: 500_000 },
    Target { name: "wire_text", run: wire::text, seeds: samples::text_requests, inputs: 500_000 },
    Target { name: "wire_fragments", run: wire::fragments, seeds: samples::dice, inputs: 200_000 },
    Target { name: "session", run: session::session, seeds: samples::dice, inputs: 40_000 },
    Target { name: "replica", run: replica::replica, seeds: samples::dice, inputs: 4_000 },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_once_found_a_fault_finds_none_again() {
        for folder in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")) {
            let name = folder.file_name().unwrap().to_str().unwrap();
            let target = target(name).unwrap_or_else(|| panic!("{name} is no target"));
            for file in files(&folder) {
                (target.run)(&std::fs::read(file).unwrap());
            }
        }
    }

    #[test]
    fn every_target_has_seeds_and_takes_them() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{}", target.name);
            seeds.iter().for_each(|seed| (target.run)(seed));
        }
    }

    #[test]
    fn every_target_can_be_led_by_what_it_reaches() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for Target { name, .. } in TARGETS {
            let source = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(source.contains("rejoin_fuzz::"), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        assert_eq!(files(&folder.join("fuzz_targets")).len(), TARGETS.len());
    }
}
