//! A world: replicas, their disks and the network between them, in virtual time on one agenda.

mod acting;
mod agenda;
mod cold;
mod comparing;
pub(crate) mod disk;
mod ending;
mod faults;
mod hostile;
mod line;
pub(crate) mod node;
mod planting;
mod roots;
mod vandal;
mod watching;
mod wire;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rejoin_core::storage::{Operation, RequestId, StoreError};
use rejoin_core::{
    Event, Grant, Input, Instant, LINK_HIGH_WATER_BYTES, LinkId, Output, Replica, Reply, SessionConfig,
};
use rejoin_wire::{CloseCode, ConflictRecord, DocumentId, Message, Revision, WorkspaceId};

use crate::checks::Revisions;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::judged::Judged;
use crate::model::Model;
use crate::plan::{Action, Content, Line, Plan, Rates, Surroundings};
use crate::plant::Plant;
use crate::recording::Recording;
use crate::trace::Trace;
use crate::violation::{Checked, Claim, Violation};
use agenda::{Due, Happening};
pub(crate) use hostile::NOBODY;
use node::Node;
use wire::{Side, Wire};

/// Purposes of dice, each with a stream of its own.
const WORLD: u64 = 3;
const NODES: u64 = 4;
const WIRES: u64 = 5;
const LINES: u64 = 6;
const LOSSES: u64 = 10;

/// The authority, and the first where there are several: on its disk all of them store.
pub const ROOT: usize = 0;

/// How long a process is down that ended between two effects, at most, in microseconds.
const DOWN_US: u64 = 1_000_000;

/// How long a slow disk takes, at most, in microseconds.
const SLOW_DISK_US: u64 = 400_000;

/// Bytes that may wait on a link: what the authority hands over before it waits, and the message that passes the mark.
const MAX_LINK_BYTES: usize = LINK_HIGH_WATER_BYTES + rejoin_wire::limits::MAX_MESSAGE_BYTES;

/// One simulated world.
pub struct World {
    seed: u64,
    surroundings: Surroundings,
    plant: Option<Plant>,
    /// Of the line that happens.
    dice: Dice,
    /// Of answers that are lost: a stream of its own, so that all else stays as it is.
    losses: Dice,
    now: u64,
    agenda: BinaryHeap<Reverse<Due>>,
    planned: u64,
    nodes: Vec<Node>,
    wires: BTreeMap<u64, Wire>,
    /// Wires by their name at the authority.
    next_wire: u64,
    documents: Vec<DocumentId>,
    contents: BTreeMap<DocumentId, Content>,
    workspace: WorkspaceId,
    model: Model,
    revisions: Revisions,
    trace: Trace,
    /// Whether what replicas hold and tell is checked.
    observed: bool,
    /// Effects of all processes so far.
    effects: u64,
    /// The process whose effect this is ends before it.
    ends_at: Option<u64>,
    lines: Vec<Line>,
    /// How many of them have happened.
    played: usize,
    coverage: Coverage,
    /// True once nothing goes wrong any more.
    healed: bool,
    next_token: u64,
    /// What was asked of which authority.
    asked: BTreeMap<rejoin_core::Token, (usize, watching::Asked)>,
    /// Of every session.
    sessions: Arc<SessionConfig>,
    /// Ends of wires whose session was given something.
    touched: Vec<(u64, Side)>,
    messages: u64,
    /// Messages that refuse a push for now.
    refusals: u64,
    frames: u64,
    late_frames: u64,
    bad_frames: u64,
    silences: u64,
    rejections: u64,
    image: Option<disk::Disk>,
    /// What a disk that loses what it had flushed goes back to.
    flushed: Option<disk::Disk>,
    copied: bool,
    /// Documents of which something went bad at the authority.
    rotten: BTreeSet<DocumentId>,
    /// True once the authority went back to an older image.
    restored: bool,
    /// What each follower held when the authority went back.
    held_when_lost: BTreeMap<DocumentId, BTreeMap<usize, Held>>,
    /// What clients said, where somebody says it again.
    overheard: VecDeque<(usize, Message)>,
    /// A relay has had hostile clients: the authority waits for what they do not say until its patience ends, as the relay is there.
    relay_attacked: bool,
    listens: bool,
    /// What the program did at the moment, to be repeated under its key.
    acting: acting::Acting,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Replicas, whoever they are.
    pub replicas: u64,
    /// Lines that took place.
    pub coverage: Coverage,
    /// How often each claim was judged: less where nobody observes.
    pub judged: Judged,
    /// Effects that processes had until everything was mended.
    pub effects: u64,
    /// Equal for equal runs.
    pub trace: u64,
    /// Events in the trace.
    pub events: u64,
    /// Revisions in the authority's log.
    pub revisions: u64,
    /// Conflict records that were made.
    pub conflicts: u64,
    /// Changes that were rejected.
    pub rejected: u64,
    /// Messages sent.
    pub messages: u64,
    /// Frames that they were sent in, those of heartbeats too.
    pub frames: u64,
    /// Frames that arrived after their link was cut, perhaps behind those of the next link.
    pub late_frames: u64,
    /// Frames that ended their link because no correct peer sends such.
    pub bad_frames: u64,
    /// Links that an end took for dead because it heard nothing.
    pub silences: u64,
}

/// What a follower holds of a document.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// On its disk, whatever becomes of its process.
    durable: Revision,
    /// In its memory, as long as it goes on: what was on its way when the authority went back moves that on.
    confirmed: Revision,
}

impl World {
    /// Makes a world; nothing has happened in it.
    pub fn new(plan: Plan) -> Self {
        let Plan { seed, surroundings, lines, contents, plant, ends_at } = plan;
        let mut dice = Dice::of(seed, WORLD, 0);
        let workspace = WorkspaceId::new("world").expect("invariant: a short id is valid");
        let drawn = (0..surroundings.documents)
            .map(|number| DocumentId::new(&format!("d{number}")).expect("invariant: a short id is valid"));
        let documents = if contents.is_empty() {
            drawn.collect()
        } else {
            contents.iter().map(|content| content.document.clone()).collect()
        };
        let contents = contents.into_iter().map(|content| (content.document.clone(), content)).collect();
        let mut nodes = vec![Node::root(&surroundings, &workspace)];
        for (number, follows) in surroundings.followers.iter().enumerate() {
            nodes.push(Node::follower(&surroundings, &workspace, number + 1, follows.scope(), &mut dice));
        }
        nodes.extend((0..surroundings.relays).map(|_| Node::relay(&surroundings, &workspace)));
        nodes.extend((1..surroundings.roots).map(|_| Node::root(&surroundings, &workspace)));
        for (number, node) in nodes.iter_mut().enumerate() {
            node.dice = Dice::of(seed, NODES, number as u64);
            if number > 0 {
                node.above = surroundings.above(number);
            }
        }
        let trace = Trace::new(false);
        let heartbeat_interval = Duration::from_micros(surroundings.heartbeat_us);
        let listens = lines.iter().any(|line| matches!(line.action, Action::Hostile | Action::Redeliver));
        let sessions = SessionConfig {
            heartbeat_interval,
            heartbeat_timeout: 2 * heartbeat_interval,
            ..SessionConfig::default()
        };
        let mut world = Self {
            sessions: Arc::new(sessions),
            touched: Vec::new(),
            seed,
            surroundings,
            plant,
            observed: true,
            effects: 0,
            ends_at,
            lines,
            played: 0,
            coverage: Coverage::default(),
            dice,
            losses: Dice::of(seed, LOSSES, 0),
            now: 1_000_000,
            agenda: BinaryHeap::new(),
            planned: 0,
            nodes,
            wires: BTreeMap::new(),
            next_wire: 1,
            documents,
            contents,
            workspace,
            model: Model::default(),
            revisions: Revisions::default(),
            trace,
            healed: false,
            next_token: 1,
            asked: BTreeMap::new(),
            messages: 0,
            refusals: 0,
            frames: 0,
            late_frames: 0,
            bad_frames: 0,
            silences: 0,
            rejections: 0,
            image: None,
            flushed: None,
            copied: false,
            rotten: BTreeSet::new(),
            restored: false,
            held_when_lost: BTreeMap::new(),
            overheard: VecDeque::new(),
            relay_attacked: false,
            listens,
            acting: acting::Acting::default(),
        };
        for node in 0..world.nodes.len() {
            world.plan_at(0, Happening::Start { node });
        }
        if let Some(first) = world.lines.first() {
            world.plan_at(2_000 + first.after, Happening::Act);
        }
        world
    }

    /// Checks nothing, but plays as ever: that its report is equal to that of a world which is observed shows that checks disturb nothing.
    #[must_use]
    pub fn unobserved(mut self) -> Self {
        self.observed = false;
        self
    }

    /// Prints every event.
    #[must_use]
    pub fn printed(mut self) -> Self {
        self.trace = Trace::new(true);
        self
    }

    /// Runs a world to its end: faults, healing, quiet.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn run(mut self) -> Result<Report, Violation> {
        while self.played < self.lines.len() {
            self.step()?;
        }
        self.finish()
    }

    /// Runs a world to its end, and records all that its replicas were given and wanted done.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn record(mut self) -> Result<(Report, Recording), Violation> {
        self.trace.recording = Some(Recording::default());
        while self.played < self.lines.len() {
            self.step()?;
        }
        let report = self.end()?;
        Ok((report, self.trace.recording.take().unwrap_or_default().end()))
    }

    /// Lets a time pass, in microseconds.
    ///
    /// # Errors
    ///
    /// The first breach of a claim.
    pub fn pass(&mut self, microseconds: u64) -> Checked {
        self.run_until(self.now + microseconds)
    }

    /// The replica of a node.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn replica(&mut self, node: usize) -> &mut Replica {
        self.nodes[node].replica.as_mut().expect("invariant: a plot looks at nodes that are up")
    }

    /// The records in the authority's log of a document, settled ones too.
    pub fn records(&self, document: &DocumentId) -> Vec<ConflictRecord> {
        let line = self.model.line(document);
        let entries =
            line.into_iter().flat_map(|line| line.0.iter()).filter_map(|logged| logged.entry.as_ref());
        entries.flat_map(|entry| entry.conflicts.iter().cloned()).collect()
    }

    fn plan_at(&mut self, after: u64, what: Happening) {
        self.planned += 1;
        self.agenda.push(Reverse(Due { at: self.now + after, order: self.planned, what }));
    }

    /// The next thing happens.
    fn step(&mut self) -> Checked {
        let Some(Reverse(due)) = self.agenda.pop() else { return Ok(()) };
        self.now = self.now.max(due.at);
        self.happen(due.what)
    }

    /// Everything happens that is due within a time.
    fn run_until(&mut self, until: u64) -> Checked {
        while self.agenda.peek().is_some_and(|Reverse(due)| due.at <= until) {
            self.step()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].life == life && self.nodes[node].replica.is_some()
    }

    fn happen(&mut self, what: Happening) -> Checked {
        match what {
            Happening::Drain { node, life } if self.lives(node, life) => self.drain(node),
            Happening::Wake { node, life } if self.lives(node, life) => {
                if self.nodes[node].wake_at != Some(self.now) {
                    return Ok(());
                }
                self.nodes[node].wake_at = None;
                self.input(node, Input::Timeout)
            }
            Happening::Execute { node, life, store, request, operation }
                if self.lives(node, life) && self.stands(node, store) =>
            {
                self.execute(node, request, operation)
            }
            Happening::Execute { node, store, operation, .. } => {
                self.outlive(node, store, operation);
                Ok(())
            }
            Happening::Outlive { node, store, operation } if self.stands(node, store) => {
                self.execute_outlived(node, &operation)
            }
            Happening::Hint { node } => self.input(node, Input::StoreMoved),
            Happening::Die { node, life } if self.lives(node, life) => self.go_down(node),
            Happening::Flush { node, life, store, request, answer } if self.lives(node, life) => {
                // What a store that is gone says comes all the same.
                let stands = self.stands(node, store);
                if stands && matches!(answer, Ok(rejoin_core::storage::Answered::Committed)) {
                    self.flush(node, life)?;
                }
                self.input(node, Input::Stored { request, answer })
            }
            Happening::FlushLate { node, life } if self.lives(node, life) => self.flush_now(node),
            Happening::Compute { node, life, request, job } if self.lives(node, life) => {
                self.input(node, Input::Computed { request, computed: job.run() })
            }
            Happening::Dial { node, life, link } if self.lives(node, life) => self.dial(node, link),
            Happening::Deliver { wire, to } => self.deliver(wire, to),
            Happening::Hangup { wire, side } => self.hang_up(wire, side),
            Happening::Beat { wire, side } => self.beat(wire, side),
            Happening::Authenticate { wire } => self.authenticate(wire),
            Happening::Writable { wire } => match self.wires.get(&wire) {
                Some(wire) => {
                    let (above, link) = (wire.above, wire.end(Side::Above).link);
                    self.input(above, Input::Writable { link })
                }
                None => Ok(()),
            },
            Happening::Start { node } => self.start(node),
            Happening::Mend { node } => {
                self.nodes[node].partitioned = false;
                Ok(())
            }
            Happening::Reconnect { node, life } if self.lives(node, life) => {
                self.input(node, Input::Online(true))
            }
            Happening::Allow { node } => self.allow(node, true),
            Happening::FreeDisk => {
                self.nodes[ROOT].disk.full = false;
                Ok(())
            }
            Happening::Say { wire, left } => self.say(wire, left),
            Happening::CutIdle => {
                self.cut_idle();
                Ok(())
            }
            Happening::Act => self.act(),
            _ => Ok(()),
        }
    }

    /// Gives a replica an input. Now and then several come before a drain.
    fn input(&mut self, node: usize, input: Input) -> Checked {
        let now = Instant(self.now);
        let Some(replica) = &mut self.nodes[node].replica else { return Ok(()) };
        if let Some(recording) = &mut self.trace.recording {
            recording.note_input(now, node, &input);
        }
        replica.handle_input(now, input);
        let dice = &mut self.nodes[node].dice;
        if dice.chance(1_000) {
            let after = dice.between(0, 2_000);
            let life = self.nodes[node].life;
            self.plan_at(after, Happening::Drain { node, life });
            return Ok(());
        }
        self.drain(node)
    }

    /// Does what a replica wants done.
    fn drain(&mut self, node: usize) -> Checked {
        loop {
            while let Some(output) = self.nodes[node].replica.as_mut().and_then(Replica::poll_output) {
                if self.dies_now(node, &output) {
                    return self.go_down(node);
                }
                self.obey(node, output)?;
            }
            if !self.watch(node)? {
                break;
            }
        }
        // A driver that was told "nothing more" asks again only when something has happened.
        if self.observed
            && let Some(output) = self.nodes[node].replica.as_mut().and_then(Replica::poll_output)
        {
            return Err(Violation::new(
                Claim::Liveness,
                format!("node {node} was not done, and had {output:?}"),
            ));
        }
        while let Some((wire, side)) = self.touched.pop() {
            self.pump(wire, side)?;
        }
        let due = self.nodes[node].replica.as_ref().and_then(Replica::poll_timeout);
        if let Some(due) = due {
            let at = due.0.max(self.now + 1);
            let life = self.nodes[node].life;
            if self.nodes[node].wake_at.is_none_or(|planned| planned != at) {
                self.nodes[node].wake_at = Some(at);
                self.plan_at(at - self.now, Happening::Wake { node, life });
            }
        } else {
            self.nodes[node].wake_at = None;
        }
        Ok(())
    }

    /// A process ends, and starts again after a while.
    fn go_down(&mut self, node: usize) -> Checked {
        self.crash(node)?;
        let after = self.nodes[node].dice.between(1_000, DOWN_US);
        self.plan_at(after, Happening::Start { node });
        Ok(())
    }

    /// Whether a process ends before it does what is next. Events and replies are no effects: they stay in the process.
    fn dies_now(&mut self, node: usize, output: &Output) -> bool {
        if matches!(output, Output::Event(_) | Output::Reply { .. }) {
            return false;
        }
        let ends = !self.healed && self.ends_at == Some(self.effects);
        // Once everything is mended nothing ends any more.
        self.effects += u64::from(!self.healed);
        if ends {
            return true;
        }
        match &mut self.nodes[node].dies_after {
            Some(0) => true,
            Some(effects) => {
                *effects -= 1;
                false
            }
            None => false,
        }
    }

    fn obey(&mut self, node: usize, output: Output) -> Checked {
        let life = self.nodes[node].life;
        if let Some(recording) = &mut self.trace.recording {
            recording.note_output(Instant(self.now), node, &output);
        }
        match output {
            Output::Connect { link } => {
                let after = self.nodes[node].dice.between(0, self.surroundings.delay_us);
                self.plan_at(after, Happening::Dial { node, life, link });
            }
            Output::Transmit { to, payload } => {
                let mut read = None;
                for link in to.iter() {
                    self.transmit(node, *link, &payload, &mut read)?;
                }
            }
            Output::Disconnect { link, code, reason } => {
                self.trace.note(self.now, 7, node, reason.as_bytes(), || {
                    format!("disconnects {link:?} {code:?}: {reason}")
                });
                // A relay that has lost the authority closes what is below.
                let lost = self.nodes[node].is_relay() && code == CloseCode::Unavailable;
                if code != CloseCode::Normal && !lost && !self.is_hostile(node, link) {
                    return Err(Violation::new(
                        Claim::Hospitality,
                        format!("node {node} closes a link with {code:?}: {reason}"),
                    ));
                }
                self.close(node, link, code, &reason)?;
            }
            Output::Store { request, operation } => {
                let commit = matches!(operation, Operation::Commit(_));
                let latency = self.disk_time(node);
                let disk = &mut self.nodes[node].disk;
                let at = if commit { disk.free_at.max(self.now) + latency } else { self.now + latency };
                if commit {
                    disk.free_at = at;
                }
                let store = self.nodes[self.store_of(node)].stores;
                self.plan_at(at - self.now, Happening::Execute { node, life, store, request, operation });
                if commit && std::mem::take(&mut self.nodes[node].dies_asking) {
                    self.plan_at(0, Happening::Die { node, life });
                }
            }
            Output::Compute { request, job } => {
                let after = self.nodes[node].dice.between(1, self.surroundings.compute_us);
                self.plan_at(after, Happening::Compute { node, life, request, job });
            }
            Output::Reply { reply, token } => {
                self.nodes[node].replies.push((token, reply));
            }
            Output::Event(event) => self.note_event(node, &event)?,
            other => unreachable!("this world does not know how to do {other:?}"),
        }
        Ok(())
    }

    fn is_hostile(&self, node: usize, link: LinkId) -> bool {
        let wire = self.nodes[node].links.get(&link).and_then(|wire| self.wires.get(wire));
        wire.is_some_and(|wire| wire.hostile)
    }

    fn note_event(&mut self, node: usize, event: &Event) -> Checked {
        self.trace.note(self.now, 8, node, &[], || format!("{event:?}"));
        let document = match event {
            Event::Opened { document }
            | Event::Changed { document, .. }
            | Event::Synced { document }
            | Event::Conflicted { document, .. }
            | Event::Rejected { document, .. }
            | Event::Recovered { document }
            | Event::Rung { document, .. }
            | Event::Quarantined { document } => Some(document),
            _ => None,
        };
        if let Event::Quarantined { document } = event
            && !(self.is_root(node) && self.rotten.contains(document))
            && !self.nodes[node].spoiled.contains(document)
        {
            return Err(Violation::new(
                Claim::Durability,
                format!("node {node} cannot read what it stored of {document}"),
            ));
        }
        if let Some(document) = document {
            self.nodes[node].dirty.insert(document.clone());
        }
        if matches!(event, Event::Forked { .. }) {
            let all = self.documents.clone();
            self.nodes[node].dirty.extend(all);
        }
        if *event == Event::Ready {
            self.nodes[node].ready = true;
        }
        Ok(())
    }

    fn execute(&mut self, node: usize, request: RequestId, mut operation: Operation) -> Checked {
        self.plant_disk(node, &mut operation);
        let operation = &operation;
        let commit = matches!(operation, Operation::Commit(_));
        let life = self.nodes[node].life;
        let mut answer = match self.disk_fault(node, commit) {
            Some(error) => Err(error),
            None => {
                let store = self.store_of(node);
                self.nodes[store].disk.execute(&self.workspace, operation)
            }
        };
        self.note_shared(node, operation, &answer)?;
        self.plant_answer(node, operation, &mut answer);
        if commit && answer.is_ok() && self.loses_answer() {
            self.flush(node, life)?;
            answer = Err(StoreError::Unavailable("the simulated disk did it, and its answer is lost".into()));
        }
        if let Operation::Commit(batch) = operation {
            self.trace.note_batch(batch);
        }
        self.trace.note(self.now, 3, node, &request.0.to_le_bytes(), || {
            let done = match &answer {
                Ok(_) => "done".to_owned(),
                Err(error) => error.to_string(),
            };
            format!("store {} {}: {done}", request.0, kind_of(operation))
        });
        // What is read of a shared store may be old when it arrives.
        let takes_time = commit || self.shares_store() && self.is_root(node);
        let after = if takes_time { self.disk_time(node) } else { 0 };
        let store = self.nodes[self.store_of(node)].stores;
        let disk = &mut self.nodes[node].disk;
        disk.free_at = disk.free_at.max(self.now + after);
        self.plan_at(after, Happening::Flush { node, life, store, request, answer });
        Ok(())
    }

    /// How long a disk takes over something.
    fn disk_time(&mut self, node: usize) -> u64 {
        let node = &mut self.nodes[node];
        let most = if self.now < node.slow_until { SLOW_DISK_US } else { self.surroundings.disk_us };
        node.dice.between(1, most)
    }

    fn disk_fault(&mut self, node: usize, commit: bool) -> Option<StoreError> {
        if self.healed {
            return None;
        }
        let Rates { disk, conflict, .. } = self.surroundings.rates;
        let is_root = self.is_root(node);
        let dice = &mut self.nodes[node].dice;
        if dice.chance(disk) {
            return Some(StoreError::Unavailable("the simulated disk is busy".into()));
        }
        if is_root && commit && dice.chance(conflict) {
            return Some(StoreError::Conflict("a simulated other writer was first".into()));
        }
        None
    }

    fn grant_of_root() -> Grant {
        Grant::new("door", true)
    }
}

/// What is asked of a store, shortly.
fn kind_of(operation: &Operation) -> String {
    match operation {
        Operation::Commit(batch) => format!("commit of {} writes", batch.writes.len()),
        other => format!("{other:?}"),
    }
}

/// A message, shortly.
fn shown(message: &Message) -> String {
    let text = format!("{message:?}");
    match text.char_indices().nth(1_200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A reply that somebody waits for.
type Replied = (rejoin_core::Token, Reply);
