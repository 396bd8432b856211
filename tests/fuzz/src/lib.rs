//! Fuzz targets: functions that take any bytes, feed them to something that reads foreign ones, and panic where it does not keep its
//! word.
//!
//! They are driven in two ways. The program of this package mutates seeds by dice on stable Rust: `cargo xtask test fuzz` has it do that
//! with a fixed number of inputs. The package in `libfuzzer` hands the same functions to libFuzzer, whose inputs are led by what they
//! reach; it takes a nightly compiler and cargo-fuzz. `cargo xtask fuzz replica --minutes 10` takes that way where both are there. Both
//! hold each input to the same [`limits`].
//!
//! Inputs that reach much stay in `corpus`, and one that once found a fault in `regressions`, each in the folder of its target. Every run
//! begins with them.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a target that panics has found something, or has a fault itself"
)]

mod alone;
pub mod crdt;
pub mod dictionary;
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
pub mod limits;
pub mod mock;
pub mod mock_faults;
pub mod mutation;
mod names;
mod page;
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the documents of the laws")]
#[path = "../../../crates/json/tests/merge_laws/random.rs"]
mod random;
pub mod recording;
mod records;
mod replica;
pub mod rooms;
mod samples;
#[cfg(feature = "server")]
mod server;
mod session;
pub mod wire;

use std::path::{Path, PathBuf};

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes one input; panics where a fault shows.
    pub run: fn(&[u8]),
    /// Inputs to begin with, besides those in files.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs of a short run: about a second of one core.
    pub inputs: u64,
    /// Bytes that an input may hold at once beyond four times its own: a mebibyte where it is only read, and more where it makes
    /// documents, histories and whole replicas, which is what their users asked for.
    pub base_bytes: usize,
}

const MIB: usize = 1 << 20;

/// A target that reads its input, or does with it what takes no more memory than that.
const fn reading(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>, inputs: u64) -> Target {
    Target { name, run, seeds, inputs, base_bytes: MIB }
}

/// Bytes of a pair of replicas with their stores, of a session, and of a server.
const STATE_BYTES: usize = 16 * MIB;

/// A target in which an input makes a history, of which everything is kept.
const fn stateful(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>, inputs: u64) -> Target {
    Target { name, run, seeds, inputs, base_bytes: STATE_BYTES }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    reading("json_parse", json::parse, samples::json_texts, 200_000),
    reading("json_pointer", json::pointer, samples::pointed_texts, 200_000),
    reading("json_patch", json::patch, samples::patched_texts, 150_000),
    reading("json_merge_patch", json::merge_patch, samples::pairs_of_texts, 150_000),
    reading("json_diff", json::diff, samples::dice, 20_000),
    reading("json_merge", json::merge, samples::dice, 5_000),
    reading("wire_binary", wire::binary, samples::binary_messages, 200_000),
    reading("wire_json", wire::json, samples::json_messages, 150_000),
    reading("wire_text", wire::text, samples::texts, 150_000),
    reading("wire_fragments", wire::fragments, samples::dice, 100_000),
    reading("wire_values", wire::values, samples::values, 200_000),
    reading("wire_names", names::names, samples::names, 200_000),
    reading("records", records::records, records::seeds, 100_000),
    reading("crdt_update", crdt::update, crdt::update_seeds, 100_000),
    reading("crdt_awareness", crdt::awareness, crdt::awareness_seeds, 200_000),
    reading("crdt_doors", crdt::doors, crdt::door_seeds, 150_000),
    reading("crdt_position", crdt::position, crdt::position_seeds, 200_000),
    stateful("crdt_document", crdt::document, crdt::document_seeds, 10_000),
    reading("rooms_messages", rooms::messages, rooms::message_seeds, 150_000),
    stateful("rooms_machine", rooms::machine, rooms::machine_seeds, 10_000),
    stateful("mock_texts", mock::texts, mock::text_seeds, 50_000),
    stateful("mock_replay", mock::replay, mock::replay_seeds, 20_000),
    stateful("mock_faults", mock_faults::faults, mock_faults::seeds, 20_000),
    stateful("session", session::session, samples::dice, 20_000),
    stateful("replica", replica::replica, samples::dice, 2_000),
    stateful("replica_alone", alone::replica_alone, samples::dice, 5_000),
    stateful("page_commands", page::commands, page::seeds, 10_000),
    #[cfg(feature = "server")]
    stateful("server_requests", server::requests, server::request_seeds, 2_000),
    #[cfg(feature = "server")]
    reading("server_settings", server::settings, server::setting_seeds, 20_000),
    reading("recording", recording::recording, recording::seeds, 50_000),
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// The folder of its inputs in files of one of the folders that have them: `corpus`, `regressions`, `artifacts`.
    pub fn folder(&self, kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(self.name)
    }

    /// Inputs in the files of one of its folders, in the order of their names.
    pub fn files(&self, kind: &str) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.folder(kind))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
    }

    /// Everything that a run begins with.
    pub fn beginnings(&self) -> Vec<Vec<u8>> {
        [(self.seeds)(), self.files("corpus"), self.files("regressions")].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Bytes of all files of one target's corpus: it is there to begin with, and not to be a heap.
    const MAX_CORPUS_BYTES: usize = 16 << 10;

    fn names_in(kind: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_once_found_a_fault_finds_none_again() {
        for target in TARGETS {
            target.files("regressions").iter().for_each(|input| (target.run)(input));
        }
    }

    #[test]
    fn every_target_has_something_to_begin_with_and_takes_it() {
        for target in TARGETS {
            assert!(!(target.seeds)().is_empty(), "{}", target.name);
            target.beginnings().iter().for_each(|input| (target.run)(input));
        }
    }

    #[test]
    fn every_folder_of_inputs_is_that_of_a_target_and_small() {
        for kind in ["corpus", "regressions"] {
            for name in names_in(kind) {
                let known =
                    target(&name).is_some() || (!cfg!(feature = "server") && name.starts_with("server_"));
                assert!(known, "{kind}/{name}");
            }
        }
        for target in TARGETS {
            let bytes: usize = target.files("corpus").iter().map(Vec::len).sum();
            assert!(bytes <= MAX_CORPUS_BYTES, "{}: {bytes}", target.name);
        }
    }

    #[test]
    fn every_target_has_a_name_of_its_own_and_stands_in_the_documentation() {
        let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(names.len(), TARGETS.len());
        let page = include_str!("../../../docs/reliability.md");
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
