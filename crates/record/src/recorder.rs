//! Writes a recording while a replica runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rejoin_core::{Command, Input, Instant, Output, Tape};
use rejoin_wire::Writer;

use crate::digest::Digest;
use crate::format::{Header, Recorded, kind, record};
use crate::outputs::Greeting;
use crate::ring::{DEFAULT_MAX_BYTES, Ring};
use crate::start::Start;
use crate::{commands, inputs, outputs};

/// What is recorded, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingOptions {
    /// Whether what goes in is recorded whole: documents, edits, names. Without it there are kinds, sizes, times and digests, which can be shown
    /// and not replayed. True by default.
    pub content: bool,
    /// Bytes that the recording takes at most: see [`Ring`]. [`DEFAULT_MAX_BYTES`] by default.
    pub max_bytes: usize,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self { content: true, max_bytes: DEFAULT_MAX_BYTES }
    }
}

/// Where records go.
pub trait Sink: Send {
    /// Takes a record, its time in microseconds on the segment's clock, and whether it is a step. The first ones are the head of the segment,
    /// and what the replica was made of. False where it takes no more of them.
    fn put(&mut self, record: &[u8], at: u64, is_step: bool) -> bool;
}

impl Sink for Ring {
    fn put(&mut self, record: &[u8], at: u64, is_step: bool) -> bool {
        self.push(record, at, is_step);
        true
    }
}

/// Turns what a tape hears into records.
#[derive(Debug)]
pub struct Scribe<S> {
    sink: S,
    content: bool,
    /// False once the sink takes no more.
    writes: bool,
    at: u64,
    digest: Digest,
    greeting: Greeting,
    drained: Pending,
}

/// Outputs since the last step.
#[derive(Debug, Default)]
struct Pending {
    calls: u64,
    outputs: u64,
    /// Kind and bytes of each, in a recording without content.
    listed: Writer,
}

impl<S: Sink> Scribe<S> {
    /// Begins a segment: with its head, and what the replica was made of.
    pub fn begin(sink: S, by: Recorded, content: bool, start: &Start<'_>) -> Self {
        let mut scribe = Self {
            sink,
            content,
            writes: true,
            at: 0,
            digest: Digest::default(),
            greeting: Greeting::default(),
            drained: Pending::default(),
        };
        let header = Header::new(by, content, start.config.workspace.clone(), start.unix_now);
        scribe.writes = scribe.sink.put(&header.to_bytes(), 0, false);
        let mut out = Writer::new();
        crate::start::write(start, &mut out);
        scribe.write(kind::START, start.now.0, out);
        scribe
    }

    /// Hears an input.
    pub fn input(&mut self, now: Instant, input: &Input) {
        if !self.writes {
            return;
        }
        self.greeting.note(input);
        let mut out = Writer::new();
        let kind = inputs::write(input, &mut out);
        self.write(kind, now.0, out);
    }

    /// Hears a command.
    pub fn command(&mut self, now: Instant, command: &Command) {
        if !self.writes {
            return;
        }
        let mut out = Writer::new();
        let kind = commands::write(command, &mut out);
        self.write(kind, now.0, out);
    }

    /// Hears what was put out.
    pub fn output(&mut self, output: Option<&Output>) {
        if !self.writes {
            return;
        }
        self.drained.calls += 1;
        let Some(output) = output else { return };
        self.drained.outputs += 1;
        let mut out = Writer::new();
        let kind = outputs::write(output, self.greeting.is_in(output), &mut out);
        if !self.content {
            self.drained.listed.byte(kind);
            self.drained.listed.count(out.len());
        }
        self.digest.update(&out.into_bytes());
    }

    /// Writes down the outputs that were taken since the last step.
    pub fn flush(&mut self) {
        if self.drained.calls == 0 || !self.writes {
            return;
        }
        let Pending { calls, outputs, listed } = std::mem::take(&mut self.drained);
        let mut out = Writer::new();
        out.varint(calls);
        out.varint(outputs);
        out.raw(&self.digest.to_bytes());
        if !self.content {
            out.varint(outputs);
            out.raw(&listed.into_bytes());
        }
        self.put(kind::DRAIN, self.at, &out.into_bytes());
    }

    /// The sink.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    fn write(&mut self, kind: u8, at: u64, payload: Writer) {
        self.flush();
        let payload = payload.into_bytes();
        if self.content {
            self.put(kind, at, &payload);
            return;
        }
        let mut digest = Digest::default();
        digest.update(&payload);
        let mut sealed = Writer::new();
        sealed.count(payload.len());
        sealed.raw(&digest.to_bytes());
        self.put(kind, at, &sealed.into_bytes());
    }

    fn put(&mut self, kind: u8, at: u64, payload: &[u8]) {
        let since = at.cast_signed().wrapping_sub(self.at.cast_signed());
        self.at = at;
        let bytes = record(kind, since, payload);
        self.writes = self.writes && self.sink.put(&bytes, at, kind >= kind::FIRST_STEP);
    }
}

/// A recording in memory, of one replica. Clones share it.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<Scribe<Ring>>>);

impl Recorder {
    /// Begins a recording of a replica that is about to be made.
    pub fn begin(by: Recorded, options: &RecordingOptions, start: &Start<'_>) -> Self {
        let ring = Ring::new(options.max_bytes);
        Self(Arc::new(Mutex::new(Scribe::begin(ring, by, options.content, start))))
    }

    /// The tape for that replica: give it to [`Replica::record`](rejoin_core::Replica::record) before anything else.
    pub fn tape(&self) -> Box<dyn Tape> {
        Box::new(self.clone())
    }

    /// The file, with everything up to now. What people typed is in it, unless it was to be recorded without: keep it as you keep the documents.
    pub fn save(&self) -> Vec<u8> {
        let mut scribe = self.scribe();
        scribe.flush();
        scribe.sink().to_bytes()
    }

    fn scribe(&self) -> MutexGuard<'_, Scribe<Ring>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tape for Recorder {
    fn input(&mut self, now: Instant, input: &Input) {
        self.scribe().input(now, input);
    }

    fn command(&mut self, now: Instant, command: &Command) {
        self.scribe().command(now, command);
    }

    fn output(&mut self, output: Option<&Output>) {
        self.scribe().output(output);
    }
}

/// A tape whose records go elsewhere as they come, the last of them when the replica is dropped.
#[derive(Debug)]
pub struct StreamTape<S: Sink>(Scribe<S>);

impl<S: Sink> StreamTape<S> {
    /// Writes through this scribe.
    pub fn new(scribe: Scribe<S>) -> Self {
        Self(scribe)
    }
}

impl<S: Sink> Tape for StreamTape<S> {
    fn input(&mut self, now: Instant, input: &Input) {
        self.0.input(now, input);
    }

    fn command(&mut self, now: Instant, command: &Command) {
        self.0.command(now, command);
    }

    fn output(&mut self, output: Option<&Output>) {
        self.0.output(output);
        if output.is_none() {
            // The turn is over: whoever looks at the file sees it.
            self.0.flush();
        }
    }
}

impl<S: Sink> Drop for StreamTape<S> {
    fn drop(&mut self) {
        self.0.flush();
    }
}
