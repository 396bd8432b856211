//! Has a replica hear a recording again, and compares what comes out.

use rejoin_core::{LinkStatus, Listed, Rung};
use rejoin_wire::ReplicaId;

use crate::describe;
pub use crate::describe::Line;
use crate::digest::Digest;
use crate::format::{Header, MAX_REASON_BYTES, Recorded, kind};
use crate::machine::{Event, Machine};
use crate::reader::{Drained, Gap, Item, ReadError, Reader, Record};

/// Why a replay goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read any further.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The recording does not say what the replica was made of.
    #[error("the recording does not begin with what its replica was made of, so that it cannot be replayed")]
    NoBeginning,
    /// What it says makes no replica.
    #[error("what the recording was made of makes no engine: {why}")]
    NoStart {
        /// Why.
        why: String,
    },
    /// A job is done that this replica did not ask for.
    #[error(
        "step {step} says that job {request} is done, which the replica has not asked for: it did otherwise before"
    )]
    NoSuchJob {
        /// The step.
        step: u64,
        /// The job.
        request: u64,
    },
    /// Something else came out.
    #[error(transparent)]
    Differs(Box<Difference>),
}

/// The first step at which something else came out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "step {}: {}: expected {expected_outputs} outputs with digest {expected}, got {got_outputs} with digest {got}",
    step.number, step.line
)]
pub struct Difference {
    /// The step, with what came out now.
    pub step: Step,
    /// The recorded digest.
    pub expected: Digest,
    /// How many outputs there were then.
    pub expected_outputs: u64,
    /// The digest now.
    pub got: Digest,
    /// How many there are now.
    pub got_outputs: u64,
}

/// An input or a command, and what came out until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number in its segment; 0 is the making of the replica.
    pub number: u64,
    /// When it was, in microseconds since the segment began.
    pub at: u64,
    /// What it was.
    pub line: Line,
    /// What came out.
    pub outputs: Vec<Line>,
    /// What could be compared was equal. False where nothing was replayed.
    pub is_replayed: bool,
}

/// What a replay comes upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A segment begins.
    Segment(Header),
    /// A step.
    Step(Step),
    /// Steps are missing here. What follows can be shown and not replayed.
    Gap(Gap),
    /// Whoever recorded ended it here, and why.
    Ended(String),
}

/// How a replay ended that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At the end of the recording.
    Whole,
    /// Where the file is cut off.
    Cut,
}

/// How far a replay has come, over all segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Segments.
    pub segments: u64,
    /// Steps, those included that were only shown.
    pub steps: u64,
    /// Of these, those that were replayed with the same outputs.
    pub replayed: u64,
    /// Outputs, replayed or not.
    pub outputs: u64,
    /// Steps that are missing.
    pub missing: u64,
}

/// The state of a replayed replica.
#[derive(Clone, Debug)]
pub struct State {
    /// Its id.
    pub replica: ReplicaId,
    /// Whether it has read who it is.
    pub is_ready: bool,
    /// Whether it is the authority, which has no link upstream and no changes of its own.
    pub decides: bool,
    /// The link upstream.
    pub link: LinkStatus,
    /// Links from below.
    pub links: usize,
    /// Own changes without an outcome.
    pub pending: usize,
    /// The lowest rung that they stand on.
    pub rung: Rung,
    /// Documents in memory.
    pub documents: Vec<Listed>,
}

/// A replay under way.
pub struct Replay<'a> {
    reader: Reader<'a>,
    /// Read, and not taken.
    ahead: Option<Item<'a>>,
    header: Option<Header>,
    machine: Option<Machine>,
    runs: bool,
    begun_at: u64,
    digest: Digest,
    lines: bool,
    progress: Progress,
}

impl<'a> Replay<'a> {
    /// Begins with the bytes of a file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            ahead: None,
            header: None,
            machine: None,
            runs: true,
            begun_at: 0,
            digest: Digest::default(),
            lines: false,
            progress: Progress::default(),
        }
    }

    /// Gives each step what came out in words, too.
    #[must_use]
    pub fn showing(self) -> Self {
        Self { lines: true, ..self }
    }

    /// Only reads what is there, and runs nothing.
    #[must_use]
    pub fn reading_only(self) -> Self {
        Self { runs: false, ..self }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// How it ended, once there is nothing more.
    pub fn ending(&self) -> Ending {
        if self.reader.is_cut() { Ending::Cut } else { Ending::Whole }
    }

    /// The state of the replica now; `None` where none is replayed.
    pub fn state(&mut self) -> Option<State> {
        let machine = self.machine.as_mut()?;
        let links = machine.links();
        let decides = self.header.as_ref().is_some_and(|header| header.by == Recorded::Server);
        let replica = machine.replica();
        let status = replica.sync_status();
        Some(State {
            replica: replica.id(),
            is_ready: replica.is_ready(),
            decides,
            link: status.link,
            links,
            pending: status.pending,
            rung: status.rung,
            documents: replica.listed(),
        })
    }

    /// The next step, or what else there is; `None` at the end.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read further, and at the first step at which something else comes out. Then the replay is over.
    pub fn advance(&mut self) -> Result<Option<Shown>, ReplayError> {
        let Some(item) = self.next_item()? else { return Ok(None) };
        match item {
            Item::Segment(header) => {
                self.progress.segments += 1;
                self.machine = None;
                self.digest = Digest::default();
                self.begun_at = 0;
                self.header = Some(header.clone());
                Ok(Some(Shown::Segment(header)))
            }
            Item::Record(record) => match record.kind {
                kind::END => {
                    let why = record.read(|input| input.text("a reason", MAX_REASON_BYTES).to_owned())?;
                    Ok(Some(Shown::Ended(why)))
                }
                kind::GAP => {
                    let gap = record.gap()?;
                    self.progress.missing = self.progress.missing.saturating_add(gap.steps);
                    // What it has missed it does not know.
                    self.machine = None;
                    Ok(Some(Shown::Gap(gap)))
                }
                _ => self.step(&record).map(|step| Some(Shown::Step(step))),
            },
        }
    }

    fn step(&mut self, record: &Record<'a>) -> Result<Step, ReplayError> {
        let Some(header) = self.header.clone() else { return Err(ReplayError::NoBeginning) };
        if !header.content {
            return self.sealed_step(&header, record);
        }
        // Outputs whose step is missing.
        let is_orphan = record.kind == kind::DRAIN;
        let line = if is_orphan {
            self.ahead = Some(Item::Record(*record));
            Line::new("outputs", "of a step that is missing".to_owned())
        } else {
            let event = Event::read(header.by, record)?;
            let line = event.describe();
            match event {
                Event::Start if self.runs => {
                    self.begun_at = record.at;
                    self.machine = Some(Machine::start(&header, record)?);
                }
                Event::Start => self.begun_at = record.at,
                event => {
                    if let Some(machine) = &mut self.machine {
                        machine.apply(record, event, &mut self.digest)?;
                    }
                }
            }
            line
        };
        let is_replayed = self.machine.is_some();
        let mut step = Step {
            number: record.step,
            at: record.at.saturating_sub(self.begun_at),
            line,
            outputs: Vec::new(),
            is_replayed,
        };
        while let Some((drain, drained)) = self.next_drain(true)? {
            self.compare(&mut step, &drain, &drained)?;
        }
        self.progress.steps += u64::from(record.is_step());
        self.progress.replayed += u64::from(record.is_step() && is_replayed);
        Ok(step)
    }

    fn compare(&mut self, step: &mut Step, drain: &Record<'a>, drained: &Drained) -> Result<(), ReplayError> {
        self.progress.outputs = self.progress.outputs.saturating_add(drained.outputs);
        let Some(machine) = &mut self.machine else {
            if self.lines && drained.outputs > 0 {
                let detail = format!("{} that were not replayed", drained.outputs);
                step.outputs.push(Line::new("outputs", detail));
            }
            return Ok(());
        };
        let mut lines = self.lines.then(Vec::new);
        let outputs = machine.drain(drain, drained.calls, &mut self.digest, &mut lines);
        step.outputs.extend(lines.unwrap_or_default());
        if outputs == drained.outputs && self.digest == drained.digest {
            return Ok(());
        }
        let got = self.digest;
        // Nothing that comes after it says anything.
        self.machine = None;
        Err(ReplayError::Differs(Box::new(Difference {
            step: step.clone(),
            expected: drained.digest,
            expected_outputs: drained.outputs,
            got,
            got_outputs: outputs,
        })))
    }

    /// A step of a recording without content.
    fn sealed_step(&mut self, header: &Header, record: &Record<'a>) -> Result<Step, ReplayError> {
        let is_page = header.by == Recorded::Browser;
        let line = if record.kind == kind::DRAIN {
            self.ahead = Some(Item::Record(*record));
            Line::new("outputs", "of a step that is missing".to_owned())
        } else {
            if record.kind == kind::START {
                self.begun_at = record.at;
            }
            let sealed = record.sealed()?;
            let detail = format!("{} bytes, digest {}", sealed.bytes, sealed.digest);
            Line::new(describe::kind_name(record.kind), detail)
        };
        let mut step = Step {
            number: record.step,
            at: record.at.saturating_sub(self.begun_at),
            line,
            outputs: Vec::new(),
            is_replayed: false,
        };
        while let Some((_, drained)) = self.next_drain(false)? {
            self.progress.outputs = self.progress.outputs.saturating_add(drained.outputs);
            if self.lines {
                let each = drained.listed.iter().map(|(kind, bytes)| {
                    Line::new(describe::output_name(is_page, *kind), format!("{bytes} bytes"))
                });
                step.outputs.extend(each);
            }
        }
        self.progress.steps += u64::from(record.is_step());
        Ok(step)
    }

    fn next_item(&mut self) -> Result<Option<Item<'a>>, ReplayError> {
        if let Some(item) = self.ahead.take() {
            return Ok(Some(item));
        }
        Ok(self.reader.advance()?)
    }

    /// The outputs that were taken before the next step.
    fn next_drain(&mut self, content: bool) -> Result<Option<(Record<'a>, Drained)>, ReplayError> {
        match self.next_item()? {
            Some(Item::Record(record)) if record.kind == kind::DRAIN => {
                let drained = record.drained(content)?;
                Ok(Some((record, drained)))
            }
            other => {
                self.ahead = other;
                Ok(None)
            }
        }
    }
}
