//! Where records are kept while a program runs.

use std::collections::VecDeque;

use rejoin_wire::Writer;

use crate::format::{kind, record};

/// Bytes that a recording takes unless it is told otherwise.
pub const DEFAULT_MAX_BYTES: usize = 16 << 20;

/// The least that a recording is bounded to: a smaller bound counts as this one.
pub const MIN_BYTES: usize = 64 << 10;

/// What a record in the tail counts besides its bytes.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Records up to a number of bytes: the first ones, from which a replay begins, and when there are too many, in half of the room, the newest
/// ones, which can be shown. What lay between is gone, and the file says how much.
///
/// A replica cannot be begun in its middle: all that it knows comes from what it heard, so that the newest records alone replay nothing.
#[derive(Clone, Debug)]
pub struct Ring {
    max_bytes: usize,
    /// What was not taken of the first records.
    head: Vec<u8>,
    /// All of them.
    head_bytes: usize,
    /// When the newest record of the head was.
    head_at: u64,
    tail: VecDeque<Kept>,
    /// With what each counts.
    tail_bytes: usize,
    dropped_steps: u64,
    dropped_bytes: u64,
    /// When the newest record was that was dropped.
    dropped_at: u64,
}

/// A record of the tail.
#[derive(Clone, Debug)]
struct Kept {
    bytes: Box<[u8]>,
    at: u64,
    is_step: bool,
}

impl Kept {
    fn cost(&self) -> usize {
        self.bytes.len() + RECORD_OVERHEAD_BYTES
    }
}

impl Ring {
    /// A ring of at most so many bytes, [`MIN_BYTES`] at least. What it is given first is the head of a segment.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.max(MIN_BYTES),
            head: Vec::new(),
            head_bytes: 0,
            head_at: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
            dropped_steps: 0,
            dropped_bytes: 0,
            dropped_at: 0,
        }
    }

    /// Takes a record, its time on the segment's clock, and whether it is a step. True where it went to those from which a replay begins.
    pub fn push(&mut self, bytes: &[u8], at: u64, is_step: bool) -> bool {
        let has_room = self.head_bytes + bytes.len() <= self.max_bytes / 2;
        if has_room && self.tail.is_empty() && self.dropped_bytes == 0 {
            self.head.extend_from_slice(bytes);
            self.head_bytes += bytes.len();
            self.head_at = at;
            return true;
        }
        let kept = Kept { bytes: bytes.into(), at, is_step };
        self.tail_bytes += kept.cost();
        self.tail.push_back(kept);
        while self.tail_bytes > self.max_bytes.div_ceil(2) {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.cost();
            self.dropped_steps += u64::from(oldest.is_step);
            self.dropped_bytes += oldest.bytes.len() as u64;
            self.dropped_at = oldest.at;
        }
        false
    }

    /// Bytes that it holds, and what was taken of it.
    pub fn bytes(&self) -> usize {
        self.head_bytes + self.tail_bytes
    }

    /// Steps that it had no room for.
    pub fn dropped_steps(&self) -> u64 {
        self.dropped_steps
    }

    /// Takes the first records out, so far as they were not taken: for somebody who writes them down as they come.
    pub fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// The bytes behind the head: where something was dropped, how much; then the newest records.
    pub fn tail(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.tail_bytes);
        if self.dropped_bytes > 0 {
            let mut payload = Writer::new();
            payload.varint(self.dropped_steps);
            payload.varint(self.dropped_bytes);
            let since = self.dropped_at.cast_signed().wrapping_sub(self.head_at.cast_signed());
            out.extend(record(kind::GAP, since, &payload.into_bytes()));
        }
        for kept in &self.tail {
            out.extend_from_slice(&kept.bytes);
        }
        out
    }

    /// The file, without what was taken of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        bytes.extend(self.tail());
        bytes
    }
}
