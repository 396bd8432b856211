//! What a recording is replayed on: a replica, or the engine of a page.

use std::collections::{BTreeMap, BTreeSet};

use rejoin_core::storage::RequestId;
use rejoin_core::{Computed, Input, Instant, Job, LinkId, Output, Replica};
use rejoin_engine::{Engine, Plain};
use rejoin_wire::{Wire, Writer};

use crate::describe::{self, Line};
use crate::digest::Digest;
use crate::format::{Header, Recorded, kind};
use crate::inputs::{self, Recorded as RecordedInput};
use crate::outputs::{self, Greeting};
use crate::page::{PageInput, PageStart};
use crate::reader::{ReadError, Record};
use crate::replay::ReplayError;
use crate::{commands, start};

/// How often a replica is asked in vain between two steps. A driver asks once.
const MAX_IDLE_CALLS: u32 = 65_536;

/// What hears a recording again.
pub(crate) enum Machine {
    Replica(Box<ReplicaMachine>),
    Page(Box<PageMachine>),
}

pub(crate) struct ReplicaMachine {
    replica: Replica,
    /// Jobs that were asked for: a recording says only when they were done.
    jobs: BTreeMap<RequestId, Box<Job>>,
    links: BTreeSet<LinkId>,
    greeting: Greeting,
}

pub(crate) struct PageMachine {
    engine: Engine,
    at: Instant,
}

/// A step that is read and not done yet.
pub(crate) enum Event {
    Start,
    Input(RecordedInput),
    Command(rejoin_core::Command),
    Page(PageInput),
}

impl Event {
    pub(crate) fn read(by: Recorded, record: &Record<'_>) -> Result<Self, ReadError> {
        record.read(|input| match (by, record.kind) {
            (_, kind::START) => {
                input.raw(input.remaining());
                Self::Start
            }
            (Recorded::Browser, kind) => Self::Page(PageInput::read(kind, input)),
            (_, kind::OPEN..kind::WAKE) => Self::Command(commands::read(record.kind, input)),
            (_, kind) => Self::Input(inputs::read(kind, input)),
        })
    }

    pub(crate) fn describe(&self) -> Line {
        match self {
            Self::Start => Line::new("start", String::new()),
            Self::Input(input) => describe::input(input),
            Self::Command(command) => describe::command(command),
            Self::Page(input) => describe::page_input(input),
        }
    }
}

impl Machine {
    /// Makes what the first record of a segment says.
    pub(crate) fn start(header: &Header, record: &Record<'_>) -> Result<Self, ReplayError> {
        if header.by == Recorded::Browser {
            let start = record.read(PageStart::read)?;
            let at = Instant(record.at);
            let engine = Engine::new(start.options, start.seed, at, start.unix_now);
            let engine = engine.map_err(|why| ReplayError::NoStart { why })?;
            return Ok(Self::Page(Box::new(PageMachine { engine, at })));
        }
        let (config, seed, now, unix_now) =
            record.read(|input| start::read(header.workspace.clone(), input))?;
        Ok(Self::Replica(Box::new(ReplicaMachine {
            replica: Replica::new(config, seed, now, unix_now),
            jobs: BTreeMap::new(),
            links: BTreeSet::new(),
            greeting: Greeting::default(),
        })))
    }

    /// Has it hear a step.
    pub(crate) fn apply(
        &mut self,
        record: &Record<'_>,
        event: Event,
        digest: &mut Digest,
    ) -> Result<(), ReplayError> {
        let now = Instant(record.at);
        match (self, event) {
            (Self::Replica(machine), Event::Input(input)) => machine.input(record, input),
            (Self::Replica(machine), Event::Command(command)) => {
                machine.replica.run(command);
                Ok(())
            }
            (Self::Page(machine), Event::Page(input)) => {
                machine.at = now;
                machine.input(now, input, digest);
                Ok(())
            }
            // Kinds are read by who recorded.
            _ => Ok(()),
        }
    }

    /// Takes outputs as often as they were taken, and says how many there were.
    pub(crate) fn drain(
        &mut self,
        record: &Record<'_>,
        calls: u64,
        digest: &mut Digest,
        lines: &mut Option<Vec<Line>>,
    ) -> u64 {
        match self {
            Self::Replica(machine) => machine.drain(calls, digest, lines),
            Self::Page(machine) => machine.drain(Instant(record.at), digest, lines),
        }
    }

    pub(crate) fn replica(&mut self) -> &mut Replica {
        match self {
            Self::Replica(machine) => &mut machine.replica,
            Self::Page(machine) => machine.engine.replica(),
        }
    }

    /// Links from below.
    pub(crate) fn links(&self) -> usize {
        match self {
            Self::Replica(machine) => machine.links.len(),
            Self::Page(_) => 0,
        }
    }
}

impl ReplicaMachine {
    fn input(&mut self, record: &Record<'_>, input: RecordedInput) -> Result<(), ReplayError> {
        let input = match input {
            RecordedInput::Input(input) => input,
            RecordedInput::Computed { request, has_failed: true } => {
                self.jobs.remove(&request);
                Input::Computed { request, computed: Computed::failed() }
            }
            RecordedInput::Computed { request, has_failed: false } => {
                let unasked = ReplayError::NoSuchJob { step: record.step, request: request.0 };
                let job = self.jobs.remove(&request).ok_or(unasked)?;
                Input::Computed { request, computed: job.run() }
            }
        };
        self.greeting.note(&input);
        match &input {
            // Links upstream are numbered from 2^63 on.
            Input::LinkOpened { link, .. } if link.0 < 1 << 63 => {
                self.links.insert(*link);
            }
            Input::LinkClosed { link, .. } => {
                self.links.remove(link);
            }
            _ => {}
        }
        self.replica.handle_input(Instant(record.at), input);
        Ok(())
    }

    fn drain(&mut self, calls: u64, digest: &mut Digest, lines: &mut Option<Vec<Line>>) -> u64 {
        let (mut outputs, mut idle) = (0, 0);
        for _ in 0..calls {
            let Some(output) = self.replica.poll_output() else {
                idle += 1;
                if idle > MAX_IDLE_CALLS {
                    break;
                }
                continue;
            };
            outputs += 1;
            let mut out = Writer::new();
            outputs::write(&output, self.greeting.is_in(&output), &mut out);
            digest.update(&out.into_bytes());
            if let Some(lines) = lines {
                lines.push(describe::output(&output));
            }
            match output {
                Output::Compute { request, job } => drop(self.jobs.insert(request, job)),
                Output::Disconnect { link, .. } => drop(self.links.remove(&link)),
                _ => {}
            }
        }
        outputs
    }
}

impl PageMachine {
    fn input(&mut self, now: Instant, input: PageInput, digest: &mut Digest) {
        let engine = &mut self.engine;
        match input {
            PageInput::Wake => engine.wake(now),
            PageInput::Clock(unix) => engine.clock(now, unix),
            PageInput::Online(online) => engine.online(now, online),
            PageInput::Connected(token) => engine.connected(now, token),
            PageInput::Frame(frame) => engine.frame(now, frame),
            PageInput::Closed { code, reason } => engine.closed(now, code, &reason),
            PageInput::Stored { request, answer } => engine.stored(now, request, &answer),
            PageInput::StoreFailed { request, error } => engine.store_failed(now, request, error),
            PageInput::StoreReplaced => engine.store_replaced(now),
            // The answer is an output like any other.
            PageInput::Command(command) => digest.update(&engine.command(now, &command)),
        }
    }

    fn drain(&mut self, now: Instant, digest: &mut Digest, lines: &mut Option<Vec<Line>>) -> u64 {
        self.at = now;
        let effects = self.engine.poll::<Plain>(now);
        for effect in &effects {
            let mut out = Writer::new();
            effect.write(&mut out);
            digest.update(&out.into_bytes());
            if let Some(lines) = lines {
                lines.push(describe::effect(effect));
            }
        }
        effects.len() as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rejoin_core::{Command, Token};
    use rejoin_wire::{CrdtUpdate, DocumentId, Writer};

    use super::*;

    #[test]
    fn what_was_written_last_of_all_commands_is_read_as_one() {
        let document = DocumentId::new("d").unwrap();
        let commands = [
            Command::Merge { document: document.clone(), update: CrdtUpdate(vec![0, 0].into()) },
            Command::ShownHistory { token: Token(7), document, before: None, limit: 3 },
        ];
        for command in commands {
            let mut out = Writer::new();
            let kind = commands::write(&command, &mut out);
            let payload = out.into_bytes();
            let record = Record { kind, at: 0, payload: &payload, step: 1 };
            match Event::read(Recorded::Server, &record).unwrap() {
                Event::Command(read) => assert_eq!(format!("{read:?}"), format!("{command:?}")),
                _ => panic!("{command:?} is read as something else"),
            }
        }
    }
}
