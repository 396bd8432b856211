//! A root, relays and followers joined without a network: every message arrives at once, every store answers at once.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "each test file uses its part"
)]

pub mod bare;
pub mod cluster;
mod copies;

use std::collections::BTreeMap;

use rejoin_core::storage::{Answer, Operation, RequestId, StoreError, Write};
use rejoin_core::{
    Config, Event, Grant, Input, Instant, Job, LinkId, Output, Peer, Replica, Reply, Role, Seed, Token,
};
use rejoin_json::{Json, Limits, Patch};
use rejoin_store::MemoryStore;
use rejoin_wire::{
    DocumentId, DocumentPush, Encoding, ErrorCode, ErrorMessage, Message, ReplicaId, Scope, UnixMillis,
    WorkspaceId, decode_message,
};

/// Wall clock at the start.
const UNIX_START: u64 = 1_700_000_000_000;

pub struct Node {
    pub replica: Replica,
    pub relays: bool,
    pub store: MemoryStore,
    /// Decisions that are to be made elsewhere.
    pub jobs: Vec<(RequestId, Box<Job>)>,
    pub events: Vec<Event>,
    pub replies: BTreeMap<u64, Reply>,
    /// The follower's name for its link.
    pub up: Option<LinkId>,
    pub network: bool,
    /// Bytes sent upstream and received from there.
    pub sent: usize,
    pub received: usize,
    pub messages: Vec<Message>,
    /// Codes with which its links were closed from above.
    pub closed: Vec<u16>,
    /// Everything that the store was asked.
    pub asked: Vec<Operation>,
    /// What the authority says after its welcome stays on its way until it is let through.
    pub holds_messages: bool,
    on_the_way: Vec<Message>,
    /// Commits stay unanswered, and unwritten, until they are let through.
    pub holds_commits: bool,
    /// The same, of commits of changes that were accepted.
    pub holds_changes: bool,
    /// The same, of what is read and meets a condition.
    pub holds_reads: Option<fn(&Operation) -> bool>,
    /// What it answers to everything that is read, in place of what it holds.
    pub fails_reads: Option<StoreError>,
    pub uncommitted: Vec<(RequestId, Operation)>,
}

pub struct World {
    pub now: Instant,
    pub root: Node,
    pub followers: Vec<Node>,
    /// The relay among the followers that each one is connected to; the root where there is none.
    pub above: Vec<Option<usize>>,
    pub grants: Vec<Grant>,
    /// So many pushes, and presences, are refused on their way, as by a server that limits rates.
    pub refused_pushes: usize,
    pub refused_presences: usize,
    /// A follower that reads nothing: its link is not said to be writable again.
    pub slow: Option<usize>,
    /// What followers say of what they saw is lost on its way.
    pub loses_answers: bool,
    /// Everything that the root was sent.
    pub root_heard: Vec<Message>,
    seeds: u128,
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::new("test").unwrap()
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

impl Node {
    fn new(role: Role, store: MemoryStore, seed: u128, now: Instant, principal: &str) -> Self {
        Self::configured(|_| {}, role, store, seed, now, principal)
    }

    fn configured(
        configure: impl FnOnce(&mut Config),
        role: Role,
        store: MemoryStore,
        seed: u128,
        now: Instant,
        principal: &str,
    ) -> Self {
        let relays = role == Role::Relay;
        let mut config = cluster::config(role);
        config.principal = principal.into();
        config.max_outbox_bytes = 1 << 20;
        configure(&mut config);
        let unix = UnixMillis(UNIX_START + now.0 / 1000);
        let replica = Replica::new(config, Seed(seed), now, unix);
        Self {
            replica,
            relays,
            store,
            jobs: Vec::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            up: None,
            network: true,
            sent: 0,
            received: 0,
            messages: Vec::new(),
            closed: Vec::new(),
            asked: Vec::new(),
            holds_messages: false,
            on_the_way: Vec::new(),
            holds_commits: false,
            holds_changes: false,
            holds_reads: None,
            fails_reads: None,
            uncommitted: Vec::new(),
        }
    }

    fn lose_answers(&mut self, now: Instant) {
        self.holds_commits = false;
        assert!(!self.uncommitted.is_empty(), "nothing was to be written");
        for (request, operation) in std::mem::take(&mut self.uncommitted) {
            self.store.execute(&workspace(), &operation).unwrap();
            self.store.sync();
            let answer = Err(StoreError::Unavailable("the answer is lost".into()));
            self.replica.handle_input(now, Input::Stored { request, answer });
        }
    }
}

impl World {
    /// A root and so many followers of the whole workspace, all online.
    pub fn new(followers: usize) -> Self {
        Self::with_scope(followers, Some(Scope::Documents))
    }

    /// One follower, offline, that wrote against a tombstone before the authority started anew: once it is online it has to say what it saw.
    pub fn asking(scope: Option<Scope>) -> Self {
        let mut world = Self::with_scope(1, scope);
        world.open("d");
        world.create(0, "d", r#"{"old":true}"#);
        // The deletion is accepted, which its author does not hear before the next change is made on it.
        world.followers[0].holds_messages = true;
        world.followers[0].replica.delete(&id("d")).unwrap();
        world.run();
        world.followers[0].replica.create(&id("d"), json(r#"{"new":true}"#)).unwrap();
        // Its author sees no older member of that name, as it would if the creation had met a living document.
        world.edit(0, "d", r#"[{"op":"add","path":"/old","value":"again"}]"#);
        world.offline(0);
        world.followers[0].holds_messages = false;
        // An authority that has started again no longer knows what its authors had seen last.
        let store = world.root.store.clone();
        world.restart_root(store);
        world
    }

    pub fn with_scope(followers: usize, scope: Option<Scope>) -> Self {
        Self::with_root(|_| {}, followers, scope)
    }

    /// A root that has every decision made elsewhere that looks at more than so many bytes.
    pub fn with_inline_bytes(max_inline_bytes: usize, followers: usize) -> Self {
        let configure = |config: &mut Config| config.max_inline_bytes = max_inline_bytes;
        Self::with_root(configure, followers, Some(Scope::Documents))
    }

    pub fn with_root(configure: impl FnOnce(&mut Config), followers: usize, scope: Option<Scope>) -> Self {
        let now = Instant(1_000_000);
        let root = Node::configured(configure, Role::Root, MemoryStore::new(), 1, now, "root");
        let mut world = Self {
            now,
            root,
            followers: Vec::new(),
            above: Vec::new(),
            grants: Vec::new(),
            refused_pushes: 0,
            refused_presences: 0,
            slow: None,
            loses_answers: false,
            root_heard: Vec::new(),
            seeds: 100,
        };
        for _ in 0..followers {
            world.add(scope, MemoryStore::new());
        }
        world.run();
        world
    }

    pub fn add(&mut self, scope: Option<Scope>, store: MemoryStore) -> usize {
        self.seeds += 1;
        let at = self.followers.len();
        let name = format!("user{at}");
        self.followers.push(Node::new(Role::Follower { scope }, store, self.seeds, self.now, &name));
        self.above.push(None);
        self.grants.push(Grant::new(name.as_str(), true));
        at
    }

    /// Adds a follower whose outbox takes large changes.
    pub fn add_roomy(&mut self) -> usize {
        let scope = Some(Scope::Documents);
        let at = self.add(scope, MemoryStore::new());
        let name = format!("user{at}");
        let configure = |config: &mut Config| config.max_outbox_bytes = 32 << 20;
        let role = Role::Follower { scope };
        let store = MemoryStore::new();
        self.followers[at] = Node::configured(configure, role, store, self.seeds, self.now, &name);
        at
    }

    /// Adds a follower of the whole workspace below a relay.
    pub fn add_below(&mut self, relay: usize) -> usize {
        let at = self.add(Some(Scope::Documents), MemoryStore::new());
        self.above[at] = Some(relay);
        at
    }

    /// Adds a relay below the root, or below another relay.
    pub fn add_relay(&mut self, above: Option<usize>) -> usize {
        let at = self.add(None, MemoryStore::new());
        self.followers[at] = Node::new(Role::Relay, MemoryStore::new(), self.seeds, self.now, "relay");
        self.above[at] = above;
        self.grants[at] = Grant { may_relay: true, ..Grant::new("relay", true) };
        at
    }

    /// Replaces a relay by one that starts anew from a store.
    pub fn restart_relay(&mut self, at: usize, mut store: MemoryStore) {
        self.cut(at);
        for below in
            (0..self.followers.len()).filter(|below| self.above[*below] == Some(at)).collect::<Vec<_>>()
        {
            self.cut(below);
        }
        self.seeds += 1;
        store.crash();
        self.followers[at] = Node::new(Role::Relay, store, self.seeds, self.now, "relay");
    }

    /// Whoever a follower is connected to.
    fn parent(&mut self, at: usize) -> &mut Node {
        match self.above[at] {
            Some(relay) => &mut self.followers[relay],
            None => &mut self.root,
        }
    }

    /// Adds a follower that keeps no more than so many documents in memory while nothing needs them.
    pub fn add_forgetful(&mut self, scope: Option<Scope>, max_idle_documents: usize) -> usize {
        let at = self.add(scope, MemoryStore::new());
        let name = format!("user{at}");
        let role = Role::Follower { scope };
        let configure = |config: &mut Config| config.max_idle_documents = max_idle_documents;
        let store = MemoryStore::new();
        self.followers[at] = Node::configured(configure, role, store, self.seeds, self.now, &name);
        at
    }

    /// What the authority said to a follower meanwhile arrives.
    pub fn let_messages_through(&mut self, at: usize) {
        let node = &mut self.followers[at];
        node.holds_messages = false;
        for message in std::mem::take(&mut node.on_the_way) {
            if let Some(link) = node.up {
                node.messages.push(message.clone());
                node.replica.handle_input(self.now, Input::Received { link, message });
            }
        }
        self.run();
    }

    /// The root's store does and answers what it was asked meanwhile.
    pub fn let_root_commits_through(&mut self) {
        self.root.holds_commits = false;
        self.root.holds_reads = None;
        for (request, operation) in std::mem::take(&mut self.root.uncommitted) {
            let answer = self.root.store.execute(&workspace(), &operation);
            self.root.store.sync();
            self.root.replica.handle_input(self.now, Input::Stored { request, answer });
        }
        self.run();
    }

    /// The root's store does what it was asked meanwhile, and its answers are lost: it is said to be unavailable.
    pub fn lose_root_answers(&mut self) {
        let now = self.now;
        self.root.lose_answers(now);
        self.run();
    }

    /// The same of a follower's or relay's store.
    pub fn lose_answers(&mut self, at: usize) {
        let now = self.now;
        self.followers[at].lose_answers(now);
        self.run();
    }

    /// A follower's store does and answers what it was asked meanwhile.
    pub fn let_commits_through(&mut self, at: usize) {
        let node = &mut self.followers[at];
        node.holds_commits = false;
        for (request, operation) in std::mem::take(&mut node.uncommitted) {
            let answer = node.store.execute(&workspace(), &operation);
            node.store.sync();
            node.replica.handle_input(self.now, Input::Stored { request, answer });
        }
        self.run();
    }

    /// The root's jobs are done; gives how many there were.
    pub fn compute(&mut self) -> usize {
        let mut done = 0;
        while !self.root.jobs.is_empty() {
            for (request, job) in std::mem::take(&mut self.root.jobs) {
                self.root.replica.handle_input(self.now, Input::Computed { request, computed: job.run() });
                done += 1;
            }
            self.run();
        }
        done
    }

    /// Replaces a follower by one that starts anew from its store.
    pub fn restart(&mut self, at: usize, scope: Option<Scope>) {
        self.cut(at);
        self.seeds += 1;
        let mut store = self.followers[at].store.clone();
        store.crash();
        let network = self.followers[at].network;
        let name = format!("user{at}");
        self.followers[at] = Node::new(Role::Follower { scope }, store, self.seeds, self.now, &name);
        self.followers[at].network = network;
    }

    /// Replaces the root by one that starts anew from a store.
    pub fn restart_root(&mut self, mut store: MemoryStore) {
        for at in 0..self.followers.len() {
            self.cut(at);
        }
        self.seeds += 1;
        store.crash();
        self.root = Node::new(Role::Root, store, self.seeds, self.now, "root");
    }

    pub fn offline(&mut self, at: usize) {
        self.followers[at].network = false;
        self.cut(at);
    }

    pub fn online(&mut self, at: usize) {
        self.followers[at].network = true;
        self.run_for(60_000);
    }

    /// Cuts a follower's link.
    pub fn cut(&mut self, at: usize) {
        let now = self.now;
        self.followers[at].on_the_way.clear();
        if let Some(up) = self.followers[at].up.take() {
            self.followers[at].replica.handle_input(now, Input::LinkClosed { link: up, code: None });
            self.parent(at).replica.handle_input(now, Input::LinkClosed { link: root_link(at), code: None });
        }
    }

    /// Does everything that can be done without time passing.
    pub fn run(&mut self) {
        for turn in 0.. {
            assert!(turn < 100_000, "the world does not come to rest");
            let mut moved = self.drain_root();
            for at in 0..self.followers.len() {
                moved |= self.drain_follower(at);
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    pub fn run_for(&mut self, milliseconds: u64) {
        let end = Instant(self.now.0 + milliseconds * 1000);
        self.run();
        loop {
            let replicas = std::iter::once(&self.root).chain(&self.followers);
            let next = replicas.filter_map(|node| node.replica.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let now = self.now;
            self.root.replica.handle_input(now, Input::Timeout);
            for node in &mut self.followers {
                node.replica.handle_input(now, Input::Timeout);
            }
            self.run();
        }
        self.now = end;
    }

    /// Does what the root asks for; true when there was anything.
    pub fn drain_root(&mut self) -> bool {
        let mut moved = false;
        tell_time(&mut self.root.replica, self.now);
        while let Some(output) = self.root.replica.poll_output() {
            moved = true;
            match output {
                Output::Store { request, operation: operation @ Operation::Commit(_) }
                    if self.root.holds_commits
                        || (self.root.holds_changes && appends_changes(&operation)) =>
                {
                    self.root.uncommitted.push((request, operation));
                }
                Output::Store { request, operation }
                    if self.root.holds_reads.is_some_and(|holds| holds(&operation)) =>
                {
                    self.root.uncommitted.push((request, operation));
                }
                Output::Store { request, operation }
                    if self.root.fails_reads.is_some() && !matches!(operation, Operation::Commit(_)) =>
                {
                    self.root.asked.push(operation);
                    assert!(self.root.asked.len() < 100_000, "a store that fails is asked on and on");
                    let answer = Err(self.root.fails_reads.clone().unwrap());
                    self.root.replica.handle_input(self.now, Input::Stored { request, answer });
                }
                Output::Store { request, operation } => {
                    let answer: Answer = self.root.store.execute(&workspace(), &operation);
                    self.root.asked.push(operation);
                    self.root.store.sync();
                    self.root.replica.handle_input(self.now, Input::Stored { request, answer });
                }
                Output::Transmit { to, payload } => self.send_down(&to, &payload),
                Output::Disconnect { link, code, .. } => self.hang_up_below(link, code.number()),
                Output::Compute { request, job } => self.root.jobs.push((request, job)),
                Output::Reply { token: Token(token), reply } => {
                    self.root.replies.insert(token, reply);
                }
                Output::Event(event) => self.root.events.push(event),
                other => panic!("a root connects to nobody, and this driver does nothing else: {other:?}"),
            }
        }
        assert_rest(&mut self.root.replica, self.now);
        moved
    }

    /// Gives a message to those below.
    fn send_down(&mut self, to: &[LinkId], payload: &[u8]) {
        let message = decode_message(payload, Encoding::Binary).expect("own messages decode");
        for link in to {
            let at = usize::try_from(link.0 - 1).unwrap();
            let node = &mut self.followers[at];
            if node.holds_messages && !matches!(message, Message::Welcome(_)) {
                node.on_the_way.push(message.clone());
            } else if let Some(up) = node.up {
                node.received += payload.len();
                node.messages.push(message.clone());
                node.replica.handle_input(self.now, Input::Received { link: up, message: message.clone() });
            }
            if self.slow != Some(at) {
                let now = self.now;
                self.parent(at).replica.handle_input(now, Input::Writable { link: *link });
            }
        }
    }

    /// Closes the link of somebody below.
    fn hang_up_below(&mut self, link: LinkId, code: u16) {
        let at = usize::try_from(link.0 - 1).unwrap();
        if let Some(up) = self.followers[at].up.take() {
            self.followers[at].closed.push(code);
            let code = Some(code);
            self.followers[at].replica.handle_input(self.now, Input::LinkClosed { link: up, code });
        }
    }

    pub fn drain_follower(&mut self, at: usize) -> bool {
        let mut moved = false;
        tell_time(&mut self.followers[at].replica, self.now);
        while let Some(output) = self.followers[at].replica.poll_output() {
            moved = true;
            let now = self.now;
            let node = &mut self.followers[at];
            match output {
                Output::Store { request, operation: operation @ Operation::Commit(_) }
                    if node.holds_commits =>
                {
                    node.uncommitted.push((request, operation));
                }
                Output::Store { request, operation } => {
                    let answer = node.store.execute(&workspace(), &operation);
                    node.asked.push(operation);
                    node.store.sync();
                    node.replica.handle_input(now, Input::Stored { request, answer });
                }
                Output::Connect { link } => {
                    if node.network {
                        node.up = Some(link);
                        let grant = Grant::new("root", true);
                        let peer =
                            Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token: None };
                        node.replica.handle_input(now, Input::LinkOpened { link, peer });
                    } else {
                        node.replica.handle_input(now, Input::LinkClosed { link, code: None });
                    }
                }
                Output::Transmit { to, payload } if to.iter().all(|link| link.0 < UPSTREAM) => {
                    self.send_down(&to, &payload);
                }
                Output::Disconnect { link, code, .. } if link.0 < UPSTREAM => {
                    self.hang_up_below(link, code.number());
                }
                Output::Transmit { payload, .. } => {
                    node.sent += payload.len();
                    let message = decode_message(&payload, Encoding::Binary).expect("own messages decode");
                    let link = root_link(at);
                    if self.above[at].is_none() {
                        self.root_heard.push(message.clone());
                    }
                    if self.loses_answers && matches!(message, Message::SeenContent { .. }) {
                        continue;
                    }
                    let refused_push = |push: &DocumentPush| {
                        (push.document.clone(), push.changes.first().map(|pushed| pushed.change.id()))
                    };
                    let refused = match &message {
                        Message::Push { pushes } if self.refused_pushes > 0 => {
                            self.refused_pushes -= 1;
                            pushes.iter().map(refused_push).collect()
                        }
                        Message::Presence { document, .. } if self.refused_presences > 0 => {
                            self.refused_presences -= 1;
                            vec![(document.clone(), None)]
                        }
                        _ => Vec::new(),
                    };
                    if let (Some(up), false) = (node.up, refused.is_empty()) {
                        for (document, change) in refused {
                            let refusal = Message::Error(ErrorMessage {
                                code: ErrorCode::RateLimited,
                                message: "wait".into(),
                                document: Some(document),
                                request: None,
                                change,
                            });
                            node.replica.handle_input(now, Input::Received { link: up, message: refusal });
                        }
                        continue;
                    }
                    let input = match message {
                        Message::Hello(hello) => {
                            let grant = self.grants[at].clone();
                            let peer = Peer {
                                replica: hello.replica,
                                encoding: Encoding::Binary,
                                grant,
                                token: None,
                            };
                            Input::LinkOpened { link, peer }
                        }
                        message => Input::Received { link, message },
                    };
                    self.parent(at).replica.handle_input(now, input);
                }
                Output::Disconnect { .. } => {
                    node.up = None;
                    self.parent(at)
                        .replica
                        .handle_input(now, Input::LinkClosed { link: root_link(at), code: None });
                }
                Output::Compute { .. } => panic!("a follower decides nothing"),
                Output::Reply { token: Token(token), reply } => {
                    node.replies.insert(token, reply);
                }
                Output::Event(event) => node.events.push(event),
                other => panic!("this driver does not know how to do {other:?}"),
            }
        }
        assert_rest(&mut self.followers[at].replica, self.now);
        moved
    }

    /// What a follower was told is wrong.
    pub fn errors(&self, at: usize) -> Vec<ErrorMessage> {
        let error = |message: &Message| match message {
            Message::Error(error) => Some(error.clone()),
            _ => None,
        };
        self.followers[at].messages.iter().filter_map(error).collect()
    }

    /// What a follower may do at the root changes.
    pub fn allow(&mut self, at: usize, may_edit: bool) {
        self.grants[at].may_edit = may_edit;
        let grant = self.grants[at].clone();
        let now = self.now;
        self.parent(at).replica.handle_input(now, Input::Granted { link: root_link(at), grant });
    }

    /// A follower's link says something that the follower did not.
    pub fn say_to_root(&mut self, at: usize, message: Message) {
        let now = self.now;
        self.parent(at).replica.handle_input(now, Input::Received { link: root_link(at), message });
    }

    /// A slow follower has read everything.
    pub fn catch_breath(&mut self) {
        let Some(at) = self.slow.take() else { return };
        let now = self.now;
        self.parent(at).replica.handle_input(now, Input::Writable { link: root_link(at) });
        self.run();
    }

    pub fn open(&mut self, name: &str) {
        for node in &mut self.followers {
            node.replica.open(&id(name));
        }
        self.run();
    }

    pub fn create(&mut self, at: usize, name: &str, content: &str) {
        self.followers[at].replica.create(&id(name), json(content)).unwrap();
        self.run();
    }

    pub fn edit(&mut self, at: usize, name: &str, text: &str) {
        self.followers[at].replica.edit(&id(name), patch(text)).unwrap();
        self.run();
    }

    pub fn content(&mut self, at: usize, name: &str) -> String {
        self.followers[at].replica.view(&id(name)).unwrap().content.canonical()
    }

    /// Asserts that everybody sees the same, that nothing is pending, and returns it.
    pub fn converged(&mut self, name: &str) -> String {
        self.root.replica.open(&id(name));
        self.run();
        let root = self.root.replica.view(&id(name)).expect("the root has read it");
        for (at, node) in self.followers.iter_mut().enumerate() {
            let view = node.replica.view(&id(name)).expect("the follower has read it");
            assert_eq!(view.content.canonical(), root.content.canonical(), "content at follower {at}");
            assert_eq!(view.revision, root.revision, "revision at follower {at}");
            assert_eq!(view.conflicts, root.conflicts, "conflicts at follower {at}");
            assert_eq!(view.life, root.life, "life at follower {at}");
            let pending = node.replica.pending(&id(name));
            assert!(pending.is_empty(), "pending at follower {at}: {pending:?}");
        }
        root.content.canonical()
    }
}

/// As a driver does, whose clock goes on while it does other things.
fn tell_time(replica: &mut Replica, now: Instant) {
    if replica.poll_timeout().is_some_and(|due| due <= now) {
        replica.handle_input(now, Input::Timeout);
    }
}

/// Asserts that a replica that was drained has nothing to do until there is an input, or time has passed.
fn assert_rest(replica: &mut Replica, now: Instant) {
    let more = replica.poll_output();
    assert!(more.is_none(), "whoever asks once is told everything, or nobody would ask again: {more:?}");
    let due = replica.poll_timeout();
    assert!(due.is_none_or(|due| due > now), "a driver would spin: due at {due:?}, and it is {now:?}");
}

fn appends_changes(operation: &Operation) -> bool {
    matches!(operation, Operation::Commit(batch)
        if batch.writes.iter().any(|write| matches!(write, Write::AppendChanges(_))))
}

/// From here on links are named by those who open them upstream.
const UPSTREAM: u64 = 1 << 63;

fn root_link(at: usize) -> LinkId {
    LinkId(at as u64 + 1)
}
