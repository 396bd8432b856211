//! A root and its followers, each of them recorded or not.

#![allow(unreachable_pub, clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rejoin_core::storage::{Operation, RequestId};
use rejoin_core::{Config, Grant, Input, Instant, Job, LinkId, Output, Peer, Replica, Role, Seed};
use rejoin_json::{Json, Limits, Patch};
use rejoin_record::{Recorded, Recorder, RecordingOptions, Start};
use rejoin_store::MemoryStore;
use rejoin_wire::{DocumentId, Encoding, Message, ReplicaId, Scope, UnixMillis, WorkspaceId, decode_message};

/// What the followers present.
pub const TOKEN: &str = "a token that nobody else is to have";

const BEGUN: UnixMillis = UnixMillis(1_790_000_000_000);

pub struct Node {
    pub replica: Replica,
    pub recorder: Option<Recorder>,
    pub store: MemoryStore,
    asked: VecDeque<(RequestId, Operation)>,
    jobs: VecDeque<(RequestId, Box<Job>)>,
    /// Of a follower: its link, and that of the root.
    link: Option<LinkId>,
    is_online: bool,
}

pub struct World {
    pub nodes: Vec<Node>,
    pub now: Instant,
    workspace: WorkspaceId,
    recording: Option<RecordingOptions>,
    /// Everything that came out, in order.
    pub outputs: Vec<String>,
    links: BTreeMap<LinkId, usize>,
    next_link: u64,
}

pub fn id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

pub fn json(text: &str) -> Json {
    Json::parse(text, &Limits::default()).unwrap()
}

pub fn patch(text: &str) -> Patch {
    Patch::parse(text, &Limits::default()).unwrap()
}

impl World {
    /// Node 0 is the root.
    pub fn new(recording: Option<RecordingOptions>) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            now: Instant(1_000),
            workspace: WorkspaceId::new("garden").unwrap(),
            recording,
            outputs: Vec::new(),
            links: BTreeMap::new(),
            next_link: 1,
        };
        let mut config = Config::new(world.workspace.clone(), Role::Root);
        // Most decisions are jobs.
        config.max_inline_bytes = 64;
        world.add(&config, 1, MemoryStore::new());
        world
    }

    pub fn follower(&mut self, seed: u128, store: MemoryStore) -> usize {
        let mut config =
            Config::new(self.workspace.clone(), Role::Follower { scope: Some(Scope::Documents) });
        config.principal = format!("person {seed}").into();
        self.add(&config, seed, store)
    }

    fn add(&mut self, config: &Config, seed: u128, store: MemoryStore) -> usize {
        let seed = Seed(seed);
        let start = Start { config, seed, now: self.now, unix_now: BEGUN };
        let recorder =
            self.recording.as_ref().map(|options| Recorder::begin(Recorded::Native, options, &start));
        let mut replica = Replica::new(config.clone(), seed, self.now, BEGUN);
        if let Some(recorder) = &recorder {
            replica.record(recorder.tape());
        }
        let (asked, jobs) = (VecDeque::new(), VecDeque::new());
        self.nodes.push(Node { replica, recorder, store, asked, jobs, link: None, is_online: true });
        self.nodes.len() - 1
    }

    pub fn input(&mut self, node: usize, input: Input) {
        self.nodes[node].replica.handle_input(self.now, input);
    }

    /// Does everything that is asked for, until nothing is.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for node in 0..self.nodes.len() {
                moved |= self.drain(node);
                moved |= self.answer(node);
            }
            if !moved {
                return;
            }
            self.now = self.now + Duration::from_micros(137);
        }
    }

    /// Lets time go by, with all that is due in it.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let due = self.nodes.iter().filter_map(|node| node.replica.poll_timeout()).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for node in 0..self.nodes.len() {
                self.input(node, Input::Timeout);
            }
            self.settle();
            self.now = self.now + Duration::from_millis(1);
        }
        self.now = self.now.max(end);
    }

    pub fn set_online(&mut self, node: usize, is_online: bool) {
        self.nodes[node].is_online = is_online;
        self.input(node, Input::Online(is_online));
        self.settle();
    }

    fn drain(&mut self, node: usize) -> bool {
        let mut moved = false;
        while let Some(output) = self.nodes[node].replica.poll_output() {
            moved = true;
            self.outputs.push(format!("{node} {output:?}"));
            self.perform(node, output);
        }
        moved
    }

    fn perform(&mut self, node: usize, output: Output) {
        match output {
            Output::Connect { link } => {
                if self.nodes[node].is_online {
                    self.nodes[node].link = Some(link);
                    let grant = Grant::new("authority", true);
                    let token = Some(TOKEN.into());
                    let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token };
                    self.input(node, Input::LinkOpened { link, peer });
                } else {
                    self.input(node, Input::LinkClosed { link, code: None });
                }
            }
            Output::Transmit { to, payload } => {
                let message = decode_message(&payload, Encoding::Binary).unwrap();
                for link in to.iter() {
                    self.carry(node, *link, message.clone());
                }
            }
            Output::Disconnect { link, .. } => self.hang_up(node, link),
            Output::Store { request, operation } => self.nodes[node].asked.push_back((request, operation)),
            Output::Compute { request, job } => self.nodes[node].jobs.push_back((request, job)),
            _ => {}
        }
    }

    fn carry(&mut self, node: usize, link: LinkId, message: Message) {
        if node == 0 {
            let Some(to) = self.links.get(&link).copied() else { return };
            let Some(link) = self.nodes[to].link else { return };
            self.input(to, Input::Received { link, message });
        } else if let Message::Hello(hello) = message {
            let link = LinkId(self.next_link);
            self.next_link += 1;
            self.links.retain(|_, of| *of != node);
            self.links.insert(link, node);
            let grant = Grant::new(format!("person {node}"), true);
            let peer = Peer { replica: hello.replica, encoding: Encoding::Binary, grant, token: None };
            self.input(0, Input::LinkOpened { link, peer });
        } else if let Some(link) = self.links.iter().find(|(_, of)| **of == node).map(|(link, _)| *link) {
            self.input(0, Input::Received { link, message });
        }
    }

    fn hang_up(&mut self, node: usize, link: LinkId) {
        if node == 0 {
            let Some(to) = self.links.remove(&link) else { return };
            if let Some(link) = self.nodes[to].link.take() {
                self.input(to, Input::LinkClosed { link, code: Some(1000) });
            }
            return;
        }
        self.nodes[node].link = None;
        if let Some(own) = self.links.iter().find(|(_, of)| **of == node).map(|(link, _)| *link) {
            self.links.remove(&own);
            self.input(0, Input::LinkClosed { link: own, code: None });
        }
    }

    fn answer(&mut self, node: usize) -> bool {
        let workspace = self.workspace.clone();
        let at = &mut self.nodes[node];
        if let Some((request, operation)) = at.asked.pop_front() {
            let answer = at.store.execute(&workspace, &operation);
            self.input(node, Input::Stored { request, answer });
            return true;
        }
        if let Some((request, job)) = at.jobs.pop_front() {
            let computed = job.run();
            self.input(node, Input::Computed { request, computed });
            return true;
        }
        false
    }
}
