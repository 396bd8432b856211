//! What happened in a world, as one number: two runs of a seed are equal when their numbers are.

use std::io::{Write as _, stdout};

use rejoin_core::Instant;
use rejoin_core::storage::{Batch, Write};

use crate::recording::Recording;

/// Collects what happens.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    printed: bool,
    /// Present when somebody wants more than the number.
    pub(crate) recording: Option<Recording>,
}

impl Trace {
    pub(crate) fn new(printed: bool) -> Self {
        Self { hash: 0x9e37_79b9_7f4a_7c15, events: 0, printed, recording: None }
    }

    /// Notes one thing that happened, with the bytes that tell it from others of its kind; `line` is asked for only when lines are printed.
    pub(crate) fn note(
        &mut self,
        at: u64,
        kind: u8,
        node: usize,
        bytes: &[u8],
        line: impl FnOnce() -> String,
    ) {
        self.events += 1;
        if let Some(recording) = &mut self.recording {
            recording.note_bytes(Instant(at), node, kind, bytes);
        }
        self.mix(at);
        self.mix(u64::from(kind) << 32 | node as u64);
        self.mix(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.mix(u64::from_le_bytes(word.try_into().expect("invariant: a chunk has eight bytes")));
        }
        for byte in words.remainder() {
            self.mix(u64::from(*byte));
        }
        if self.printed {
            // Whoever reads it may have seen enough.
            let _ = writeln!(stdout(), "{:>10.3} ms  node {node}  {}", at as f64 / 1000.0, line());
        }
    }

    /// Notes what is written: the ends of bodies, where their checksums are.
    pub(crate) fn note_batch(&mut self, batch: &Batch) {
        for write in &batch.writes {
            let body = match write {
                Write::PutCheckpoint { body, .. }
                | Write::PutRecord { body, .. }
                | Write::PutMeta { body, .. } => body,
                Write::AppendChanges(row) | Write::PutChanges(row) => &row.body,
                Write::PutHead(head) => {
                    self.mix(head.revision.0 ^ head.sequence.0.rotate_left(32));
                    continue;
                }
                _ => continue,
            };
            if let Some(end) = body.last_chunk() {
                self.mix(u64::from_le_bytes(*end));
            }
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }

    /// The number.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Things that happened.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}
