//! What the replicas of a world were given and what they wanted done, as digests that machines of different kinds can compare.

use std::fmt::{Debug, Write};

use rejoin_core::{Input, Instant, Output};
use rejoin_wire::Message;
use sha2::{Digest, Sha256};

/// Inputs from one digest to the next.
pub const INPUTS_BETWEEN_DIGESTS: u64 = 32;

/// Bytes of a digest that are kept: each covers everything before it, too.
const DIGEST_BYTES: usize = 8;

/// A stream of inputs and what became of it: every input, output and frame with all of its bytes, in order, at its node and time.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    said: Sha256,
    line: String,
    /// Inputs to replicas.
    pub inputs: u64,
    /// What they wanted done, events among it.
    pub outputs: u64,
    /// Snapshots of documents among the inputs.
    pub snapshots: u64,
    /// One for every [`INPUTS_BETWEEN_DIGESTS`] inputs, and one for the whole: of everything up to there.
    pub digests: Vec<[u8; DIGEST_BYTES]>,
}

impl Recording {
    pub(crate) fn note_input(&mut self, now: Instant, node: usize, input: &Input) {
        if self.inputs > 0 && self.inputs.is_multiple_of(INPUTS_BETWEEN_DIGESTS) {
            self.digest();
        }
        self.inputs += 1;
        if matches!(input, Input::Received { message: Message::Snapshot(_), .. }) {
            self.snapshots += 1;
        }
        self.note(now, node, input);
    }

    pub(crate) fn note_output(&mut self, now: Instant, node: usize, output: &Output) {
        self.outputs += 1;
        self.note(now, node, output);
    }

    /// Notes bytes of a kind: frames, and what else the trace has of a world.
    pub(crate) fn note_bytes(&mut self, now: Instant, node: usize, kind: u8, bytes: &[u8]) {
        self.note(now, node, &(kind, bytes.len()));
        self.said.update(bytes);
    }

    /// What a value is made of is what it shows of itself for debugging: documents, patches and payloads whole.
    fn note(&mut self, now: Instant, node: usize, what: &dyn Debug) {
        self.line.clear();
        write!(self.line, "{} {node} {what:?}", now.0).expect("invariant: text can be written to a string");
        self.said.update((self.line.len() as u64).to_le_bytes());
        self.said.update(&self.line);
    }

    fn digest(&mut self) {
        let whole = self.said.clone().finalize();
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&whole[..DIGEST_BYTES]);
        self.digests.push(digest);
    }

    pub(crate) fn end(mut self) -> Self {
        self.digest();
        self
    }
}
