//! Authorities over one store, each with links of its own, driven step by step: what the store does, answers and hints at takes its time, and a
//! test or a seed says when.

use std::collections::{BTreeMap, VecDeque};

use rejoin_core::storage::{Answer, Answered, Operation, RequestId, StoreError, Write};
use rejoin_core::{
    Config, Event, Grant, Input, Instant, LinkId, Output, Peer, Replica, Reply, Role, SHARED_STORE_INTERVAL,
    Seed, Token,
};
use rejoin_store::MemoryStore;
use rejoin_wire::{
    DocumentId, Encoding, Epoch, Fate, Message, ReplicaId, Revision, Scope, Sequence, UnixMillis,
    decode_message,
};

use super::{assert_rest, id, json, patch, tell_time, workspace};

/// One of the authorities.
pub struct Authority {
    pub replica: Replica,
    /// What the store is asked, and has not done.
    pub asked: VecDeque<(RequestId, Operation)>,
    /// What it has done, and not answered.
    pub done: VecDeque<(RequestId, bool, Answer)>,
    /// Nothing is done or answered that fits, until the test does it.
    pub holds: fn(&Operation) -> bool,
    /// Hints at others' commits that are on their way.
    pub hints: usize,
    /// Hints are lost.
    pub is_deaf: bool,
    /// Everything that the store was asked.
    pub operations: Vec<Operation>,
    pub conflicts: usize,
    pub commits: usize,
    pub events: Vec<Event>,
    pub replies: BTreeMap<u64, Reply>,
}

/// Somebody below.
pub struct Below {
    pub replica: Replica,
    store: MemoryStore,
    /// Its authority.
    pub at: usize,
    /// Its link as it and its authority name it.
    link: Option<(LinkId, LinkId)>,
    pub network: bool,
    up: VecDeque<Message>,
    down: VecDeque<Message>,
    /// What it is told stays on its way.
    pub holds_messages: bool,
    /// What it was told since its link opened.
    pub told: Vec<Message>,
    /// Every revision that an update told it since then.
    pub revisions: Vec<(DocumentId, Revision)>,
    pub events: Vec<Event>,
    pub grant: Grant,
}

pub struct Cluster {
    pub now: Instant,
    pub store: MemoryStore,
    pub roots: Vec<Authority>,
    pub below: Vec<Below>,
    /// So many of the next operations fail.
    pub failures: u32,
    /// Feed numbers in the order of their commits.
    pub numbers: Vec<u64>,
    next_link: u64,
    seeds: u128,
    random: Option<rejoin_core::Random>,
}

fn nothing(_: &Operation) -> bool {
    false
}

pub fn commits(operation: &Operation) -> bool {
    matches!(operation, Operation::Commit(_))
}

pub fn reads(operation: &Operation) -> bool {
    !commits(operation)
}

impl Cluster {
    /// So many authorities that share a store.
    pub fn new(roots: usize) -> Self {
        let mut cluster = Self::empty();
        for _ in 0..roots {
            cluster.add_root(true);
        }
        cluster.run();
        cluster
    }

    pub fn empty() -> Self {
        Self {
            now: Instant(1_000_000),
            store: MemoryStore::new(),
            roots: Vec::new(),
            below: Vec::new(),
            failures: 0,
            numbers: Vec::new(),
            next_link: 1,
            seeds: 1,
            random: None,
        }
    }

    /// What happens next is drawn from here on.
    pub fn with_chance(mut self, seed: u128) -> Self {
        self.random = Some(rejoin_core::Random::new(Seed(seed)));
        self.seeds += seed * 1_000;
        self
    }

    fn replica(&mut self, configure: impl FnOnce(&mut Config), role: Role, name: &str) -> Replica {
        self.seeds += 1;
        let mut config = config(role);
        config.principal = name.into();
        configure(&mut config);
        let unix = UnixMillis(1_700_000_000_000 + self.now.0 / 1_000);
        Replica::new(config, Seed(self.seeds), self.now, unix)
    }

    pub fn add_root(&mut self, shares_store: bool) -> usize {
        let replica = self.replica(|config| config.shares_store = shares_store, Role::Root, "root");
        self.roots.push(Authority {
            replica,
            asked: VecDeque::new(),
            done: VecDeque::new(),
            holds: nothing,
            hints: 0,
            is_deaf: false,
            operations: Vec::new(),
            conflicts: 0,
            commits: 0,
            events: Vec::new(),
            replies: BTreeMap::new(),
        });
        self.roots.len() - 1
    }

    /// Ends an authority, and starts another in its place.
    pub fn restart_root(&mut self, at: usize) {
        for below in 0..self.below.len() {
            if self.below[below].at == at {
                self.cut(below);
            }
        }
        let last = self.add_root(true);
        self.roots.swap(at, last);
        self.roots.pop();
    }

    pub fn add(&mut self, at: usize) -> usize {
        self.add_with(at, Some(Scope::Documents))
    }

    pub fn add_with(&mut self, at: usize, scope: Option<Scope>) -> usize {
        self.add_copy(at, scope, MemoryStore::new())
    }

    pub fn add_copy(&mut self, at: usize, scope: Option<Scope>, store: MemoryStore) -> usize {
        let name = format!("user{}", self.below.len());
        let replica = self.replica(|_| {}, Role::Follower { scope }, &name);
        self.below.push(Below {
            replica,
            store,
            at,
            link: None,
            network: true,
            up: VecDeque::new(),
            down: VecDeque::new(),
            holds_messages: false,
            told: Vec::new(),
            revisions: Vec::new(),
            events: Vec::new(),
            grant: Grant::new(name.as_str(), true),
        });
        self.below.len() - 1
    }

    pub fn copy_of_store(&self, below: usize) -> MemoryStore {
        self.below[below].store.clone()
    }

    /// Cuts a link; what was on its way is lost.
    pub fn cut(&mut self, below: usize) {
        let now = self.now;
        let node = &mut self.below[below];
        node.up.clear();
        node.down.clear();
        if let Some((own, theirs)) = node.link.take() {
            node.replica.handle_input(now, Input::LinkClosed { link: own, code: None });
            let root = &mut self.roots[node.at].replica;
            root.handle_input(now, Input::LinkClosed { link: theirs, code: None });
        }
    }

    /// Has somebody connect to another authority.
    pub fn move_to(&mut self, below: usize, at: usize) {
        self.cut(below);
        self.below[below].at = at;
        self.below[below].holds_messages = false;
    }

    /// What somebody may do changes, here and wherever it connects to.
    pub fn allow(&mut self, below: usize, may_edit: bool) {
        let node = &mut self.below[below];
        node.grant.may_edit = may_edit;
        if let Some((_, link)) = node.link {
            let grant = node.grant.clone();
            self.roots[node.at].replica.handle_input(self.now, Input::Granted { link, grant });
        }
    }

    pub fn offline(&mut self, below: usize) {
        self.below[below].network = false;
        self.cut(below);
    }

    /// Does everything that can be done without time passing.
    pub fn run(&mut self) {
        for turn in 0.. {
            assert!(turn < 200_000, "the cluster does not come to rest");
            if !self.step() {
                return;
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    pub fn run_for(&mut self, milliseconds: u64) {
        let end = Instant(self.now.0 + milliseconds * 1_000);
        loop {
            self.run();
            let Some(due) = self.next_deadline().filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
        }
        self.now = end;
        self.run();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let roots = self.roots.iter().map(|root| &root.replica);
        let replicas = roots.chain(self.below.iter().map(|below| &below.replica));
        replicas.filter_map(Replica::poll_timeout).min()
    }

    /// Does one thing that can be done; false when there is nothing.
    pub fn step(&mut self) -> bool {
        for at in 0..self.roots.len() {
            self.drain_root(at);
        }
        for at in 0..self.below.len() {
            self.drain_below(at);
        }
        let mut possible: Vec<Step> = Vec::new();
        for (at, root) in self.roots.iter().enumerate() {
            let free = |operation: &Operation| !(root.holds)(operation);
            let asked = root.asked.iter().enumerate().filter(|(_, (_, operation))| free(operation));
            possible.extend(asked.map(|(index, _)| Step::Do(at, index)));
            let done = root.done.iter().enumerate();
            let is_free = |is_commit: bool| {
                let kind = Operation::Commit(rejoin_core::storage::Batch::default());
                if is_commit { free(&kind) } else { free(&Operation::LoadMeta) }
            };
            let done = done.filter(|(_, (_, is_commit, _))| is_free(*is_commit));
            possible.extend(done.map(|(index, _)| Step::Answer(at, index)));
            if root.hints > 0 {
                possible.push(Step::Hint(at));
            }
        }
        for (at, below) in self.below.iter().enumerate() {
            if !below.up.is_empty() {
                possible.push(Step::Up(at));
            }
            if !below.down.is_empty() && !below.holds_messages {
                possible.push(Step::Down(at));
            }
        }
        let chosen = match &mut self.random {
            _ if possible.is_empty() => return false,
            None => 0,
            Some(random) => usize::try_from(random.up_to(possible.len() as u64 - 1)).unwrap(),
        };
        match possible[chosen] {
            Step::Do(at, index) => self.execute(at, index),
            Step::Answer(at, index) => self.answer(at, index),
            Step::Hint(at) => {
                self.roots[at].hints -= 1;
                self.hint(at);
            }
            Step::Up(at) => self.take_up(at),
            Step::Down(at) => self.take_down(at),
        }
        true
    }

    /// As a driver does before a command: the clock of an authority stands still while nothing comes.
    pub fn tell_time(&mut self, at: usize) {
        self.roots[at].replica.handle_input(self.now, Input::Timeout);
    }

    pub fn hint(&mut self, at: usize) {
        self.roots[at].replica.handle_input(self.now, Input::StoreMoved);
    }

    /// The store does what an authority asked.
    pub fn execute(&mut self, at: usize, index: usize) {
        let (request, operation) = self.roots[at].asked.remove(index).unwrap();
        if self.failures > 0 {
            self.failures -= 1;
            let answer = Err(StoreError::Unavailable("the store is busy".into()));
            self.roots[at].done.push_back((request, commits(&operation), answer));
            return;
        }
        let answer = self.store.execute(&workspace(), &operation);
        self.store.sync();
        if let (Operation::Commit(batch), Ok(_)) = (&operation, &answer) {
            for write in &batch.writes {
                if let Write::AppendChanges(row) = write {
                    let count = row.last_revision.0 + 1 - row.first_revision.0;
                    self.numbers.extend(row.sequence.0 + 1 - count..=row.sequence.0);
                }
            }
        }
        self.roots[at].done.push_back((request, commits(&operation), answer));
    }

    /// The store answers an authority, and the others may hear of it.
    pub fn answer(&mut self, at: usize, index: usize) {
        let (request, is_commit, answer) = self.roots[at].done.remove(index).unwrap();
        match &answer {
            Ok(Answered::Committed) if is_commit => {
                self.roots[at].commits += 1;
                for (other, root) in self.roots.iter_mut().enumerate() {
                    root.hints += usize::from(other != at && !root.is_deaf);
                }
            }
            Err(StoreError::Conflict(_)) => self.roots[at].conflicts += 1,
            _ => {}
        }
        self.roots[at].replica.handle_input(self.now, Input::Stored { request, answer });
    }

    /// The store fails what an authority asked for and was held, without doing it.
    pub fn fail_held(&mut self, at: usize, error: &StoreError) {
        for (request, _) in std::mem::take(&mut self.roots[at].asked) {
            let answer = Err(error.clone());
            self.roots[at].replica.handle_input(self.now, Input::Stored { request, answer });
        }
    }

    /// The store does what an authority asked for and was held, and its answers are lost: it is said to be unavailable.
    pub fn lose_answers(&mut self, at: usize) {
        for (request, operation) in std::mem::take(&mut self.roots[at].asked) {
            self.store.execute(&workspace(), &operation).unwrap();
            self.store.sync();
            let answer = Err(StoreError::Unavailable("the answer is lost".into()));
            self.roots[at].replica.handle_input(self.now, Input::Stored { request, answer });
        }
    }

    /// The store does all that was held of an authority, and answers.
    pub fn let_through(&mut self, at: usize) {
        self.roots[at].holds = nothing;
        self.run();
    }

    fn take_up(&mut self, at: usize) {
        let message = self.below[at].up.pop_front().unwrap();
        let Some((_, link)) = self.below[at].link else { return };
        let input = match message {
            Message::Hello(hello) => {
                let grant = self.below[at].grant.clone();
                let peer = Peer { replica: hello.replica, encoding: Encoding::Binary, grant, token: None };
                Input::LinkOpened { link, peer }
            }
            message => Input::Received { link, message },
        };
        let root = self.below[at].at;
        self.roots[root].replica.handle_input(self.now, input);
    }

    fn take_down(&mut self, at: usize) {
        let node = &mut self.below[at];
        let message = node.down.pop_front().unwrap();
        let Some((link, theirs)) = node.link else { return };
        if let Message::Update(update) = &message {
            let revisions = (update.first.0..).map(Revision).zip(&update.entries);
            node.revisions.extend(revisions.map(|(revision, _)| (update.document.clone(), revision)));
        }
        node.told.push(message.clone());
        node.replica.handle_input(self.now, Input::Received { link, message });
        let root = node.at;
        self.roots[root].replica.handle_input(self.now, Input::Writable { link: theirs });
    }

    fn drain_root(&mut self, at: usize) {
        tell_time(&mut self.roots[at].replica, self.now);
        while let Some(output) = self.roots[at].replica.poll_output() {
            match output {
                Output::Store { request, operation } => {
                    self.roots[at].operations.push(operation.clone());
                    self.roots[at].asked.push_back((request, operation));
                }
                Output::Transmit { to, payload } => {
                    let message = decode_message(&payload, Encoding::Binary).expect("own messages decode");
                    self.assert_durable(&message);
                    for link in to.iter() {
                        if let Some(below) = self.below_of(at, *link) {
                            self.below[below].down.push_back(message.clone());
                        }
                    }
                }
                Output::Disconnect { link, code, .. } => {
                    let Some(below) = self.below_of(at, link) else { continue };
                    let (own, _) = self.below[below].link.take().unwrap();
                    let code = Some(code.number());
                    self.below[below].replica.handle_input(self.now, Input::LinkClosed { link: own, code });
                }
                Output::Compute { request, job } => {
                    let computed = job.run();
                    self.roots[at].replica.handle_input(self.now, Input::Computed { request, computed });
                }
                Output::Reply { token: Token(token), reply } => {
                    self.roots[at].replies.insert(token, reply);
                }
                Output::Event(event) => self.roots[at].events.push(event),
                other => panic!("a root does not ask for {other:?}"),
            }
        }
        assert_rest(&mut self.roots[at].replica, self.now);
    }

    fn below_of(&self, at: usize, link: LinkId) -> Option<usize> {
        let is_it = |below: &Below| below.at == at && below.link.is_some_and(|(_, theirs)| theirs == link);
        self.below.iter().position(is_it)
    }

    /// Asserts that nobody is told anything that the store does not have.
    fn assert_durable(&mut self, message: &Message) {
        let newest = |cluster: &mut Self, document: &DocumentId| cluster.head(document).0;
        let position = match message {
            Message::Update(update) => {
                let last = update.first.0 + update.entries.len() as u64 - 1;
                assert!(last <= newest(self, &update.document).0, "told before it was durable: {update:?}");
                update.position
            }
            Message::Snapshot(snapshot) => {
                assert!(snapshot.revision <= newest(self, &snapshot.document));
                None
            }
            Message::Outcomes { document, outcomes } => {
                let stored = newest(self, document);
                for outcome in outcomes {
                    if let Fate::Accepted { revision } = &outcome.fate {
                        assert!(*revision <= stored, "acknowledged before it was durable");
                    }
                }
                None
            }
            Message::Position { sequence } => Some(*sequence),
            Message::Listing { position, .. } => Some(*position),
            _ => None,
        };
        assert!(position <= Some(self.newest_number()), "a position beyond the feed: {message:?}");
    }

    pub fn newest_number(&mut self) -> Sequence {
        match self.store.execute(&workspace(), &Operation::LoadMeta) {
            Ok(Answered::Meta { sequence, .. }) => sequence,
            other => panic!("LoadMeta was answered by {other:?}"),
        }
    }

    /// The revision and chain hash of a document's stored head.
    pub fn head(&mut self, document: &DocumentId) -> (Revision, rejoin_wire::ChainHash) {
        let operation = Operation::LoadDocument { document: document.clone(), before: None, limit: 0 };
        match self.store.execute(&workspace(), &operation) {
            Ok(Answered::Document(loaded)) => {
                loaded.head.map_or_else(Default::default, |head| (head.revision, head.chain))
            }
            other => panic!("LoadDocument was answered by {other:?}"),
        }
    }

    fn drain_below(&mut self, at: usize) {
        let now = self.now;
        tell_time(&mut self.below[at].replica, now);
        while let Some(output) = self.below[at].replica.poll_output() {
            let node = &mut self.below[at];
            match output {
                Output::Store { request, operation } => {
                    let answer = node.store.execute(&workspace(), &operation);
                    node.store.sync();
                    node.replica.handle_input(now, Input::Stored { request, answer });
                }
                Output::Connect { link } if !node.network => {
                    node.replica.handle_input(now, Input::LinkClosed { link, code: None });
                }
                Output::Connect { link } => {
                    node.link = Some((link, LinkId(self.next_link)));
                    self.next_link += 1;
                    (node.told, node.revisions) = (Vec::new(), Vec::new());
                    let grant = Grant::new("root", true);
                    let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token: None };
                    node.replica.handle_input(now, Input::LinkOpened { link, peer });
                }
                Output::Transmit { payload, .. } => {
                    let message = decode_message(&payload, Encoding::Binary).expect("own messages decode");
                    node.up.push_back(message);
                }
                Output::Disconnect { .. } => {
                    let (root, link) = (node.at, node.link.take());
                    if let Some((_, theirs)) = link {
                        let closed = Input::LinkClosed { link: theirs, code: None };
                        self.roots[root].replica.handle_input(now, closed);
                    }
                }
                Output::Event(event) => node.events.push(event),
                other => panic!("a follower does not ask for {other:?}"),
            }
        }
        assert_rest(&mut self.below[at].replica, now);
    }

    pub fn open(&mut self, name: &str) {
        for node in &mut self.below {
            node.replica.open(&id(name));
        }
        self.run();
    }

    pub fn create(&mut self, below: usize, name: &str, content: &str) {
        self.below[below].replica.open(&id(name));
        self.run();
        self.below[below].replica.create(&id(name), json(content)).unwrap();
        self.run();
    }

    pub fn edit(&mut self, below: usize, name: &str, text: &str) {
        self.below[below].replica.edit(&id(name), patch(text)).unwrap();
        self.run();
    }

    pub fn content(&mut self, below: usize, name: &str) -> String {
        self.below[below].replica.view(&id(name)).unwrap().content.canonical()
    }

    /// Asserts that everybody below, and every authority, holds what the store holds, that nothing is pending and nothing was lost; gives the
    /// content.
    pub fn converged(&mut self, name: &str) -> String {
        self.converged_but(name, &[])
    }

    /// The same of all below but some.
    pub fn converged_but(&mut self, name: &str, but: &[usize]) -> String {
        let document = id(name);
        let (revision, chain) = self.head(&document);
        for at in 0..self.roots.len() {
            self.roots[at].replica.open(&document);
            // Nobody may be below it, for whom it would ask by itself.
            if !self.below.iter().any(|below| below.at == at && below.link.is_some()) {
                self.hint(at);
            }
        }
        self.run();
        let mut contents = Vec::new();
        let mut conflicts = Vec::new();
        let roots = self.roots.iter_mut().map(|root| &mut root.replica);
        let below = self.below.iter_mut().enumerate().filter(|(at, _)| !but.contains(at));
        for replica in roots.chain(below.map(|(_, below)| &mut below.replica)) {
            let view = replica.view(&document).expect("it is read");
            assert_eq!((view.revision, view.chain), (revision, chain), "of {name} at {}", contents.len());
            let pending = replica.pending(&document);
            assert!(pending.is_empty(), "pending of {name}: {pending:?}");
            assert!(replica.recovered(&document).is_empty(), "nobody went back");
            contents.push(view.content.canonical());
            conflicts.push(view.conflicts);
        }
        assert!(contents.windows(2).all(|two| two[0] == two[1]), "{contents:?}");
        assert!(conflicts.windows(2).all(|two| two[0] == two[1]), "{conflicts:?}");
        contents.swap_remove(0)
    }

    /// Asserts that the numbers of the feed were given once each, in the order of the commits.
    pub fn assert_numbered(&self) {
        let numbers = &self.numbers;
        assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
    }

    /// Asserts that a link was told each revision once, and those of a document in order.
    pub fn assert_told_once(&self, below: usize) {
        let mut newest: BTreeMap<&DocumentId, Revision> = BTreeMap::new();
        for (document, revision) in &self.below[below].revisions {
            let before = newest.insert(document, *revision);
            assert!(
                before.is_none_or(|before| before.next() == *revision),
                "{:?}",
                self.below[below].revisions
            );
        }
    }

    /// The last position that somebody was told.
    pub fn position(&self, below: usize) -> Option<Sequence> {
        let position = |message: &Message| match message {
            Message::Update(update) => update.position,
            Message::Position { sequence } => Some(*sequence),
            Message::Listing { position, .. } => Some(*position),
            _ => None,
        };
        self.below[below].told.iter().rev().find_map(position)
    }

    /// The epochs that links were welcomed with.
    pub fn epochs(&self) -> Vec<Epoch> {
        let welcome = |message: &Message| match message {
            Message::Welcome(welcome) => Some(welcome.epoch),
            _ => None,
        };
        self.below.iter().flat_map(|below| below.told.iter().filter_map(welcome)).collect()
    }

    /// What somebody was told of own changes by outcomes and updates, in order.
    pub fn was_forked(&self, below: usize) -> bool {
        self.below[below].events.iter().any(|event| matches!(event, Event::Forked { .. }))
    }
}

#[derive(Clone, Copy)]
enum Step {
    Do(usize, usize),
    Answer(usize, usize),
    Hint(usize),
    Up(usize),
    Down(usize),
}

/// Longer than every pause after a conflict, shorter than the interval at which hints are done without.
pub const PAUSES: u64 = 500;

/// In milliseconds.
pub fn interval() -> u64 {
    u64::try_from(SHARED_STORE_INTERVAL.as_millis()).unwrap()
}

/// A patch that puts a member.
pub fn add(member: &str) -> String {
    format!(r#"[{{"op":"add","path":"/{member}","value":1}}]"#)
}

/// Two authorities, with a follower each, of one document that both have in memory.
pub fn two() -> Cluster {
    let mut cluster = Cluster::new(2);
    cluster.add(0);
    cluster.add(1);
    cluster.run();
    cluster.open("d");
    cluster.create(0, "d", "{}");
    cluster.run_for(PAUSES);
    assert_eq!(cluster.converged("d"), "{}");
    cluster
}

/// Bytes that a patch may copy where authorities take it; others take more.
const ROOT_COPIED_BYTES: usize = 1 << 16;

/// The settings of a replica. Authorities reject some of what followers make.
pub fn config(role: Role) -> Config {
    let mut config = Config::new(workspace(), role);
    if config.role == Role::Root {
        config.limits.max_copied_bytes = ROOT_COPIED_BYTES;
    }
    config
}

/// Operations that a follower takes and the authority rejects.
pub fn copying(path: &str) -> String {
    let long = "x".repeat(ROOT_COPIED_BYTES);
    format!(
        r#"{{"op":"add","path":"{path}","value":"{long}"}},{{"op":"copy","from":"{path}","path":"{path}2"}}"#
    )
}
