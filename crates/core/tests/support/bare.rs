//! An authority whose links are spoken on by hand: whoever is at their other end says what a test has them say, and nothing else.

use rejoin_core::storage::{Operation, RequestId, StoreError};
use rejoin_core::{Config, Event, Grant, Input, Instant, Job, LinkId, Output, Peer, Replica, Role, Seed};
use rejoin_json::{ContentHash, Json, Patch, PointerBuf};
use rejoin_store::MemoryStore;
use rejoin_wire::{
    Author, Body, Change, Counter, DocumentPush, Encoding, ErrorCode, Fate, Header, Message, Outcome,
    PushedChange, ReplicaId, Revision, UnixMillis, decode_message,
};

use super::{assert_rest, id, json, workspace};

pub struct Bare {
    pub replica: Replica,
    pub now: Instant,
    pub store: MemoryStore,
    pub jobs: Vec<(RequestId, Box<Job>)>,
    /// What links were told, with the link.
    pub said: Vec<(LinkId, Message)>,
    pub events: Vec<Event>,
    /// Commits stay unanswered, and unwritten, until they are answered.
    pub holds_commits: bool,
    pub commits: Vec<(RequestId, Operation)>,
}

impl Bare {
    pub fn new(max_inline_bytes: usize) -> Self {
        let config = Config { max_inline_bytes, ..Config::new(workspace(), Role::Root) };
        let now = Instant(1_000_000);
        let replica = Replica::new(config, Seed(1), now, UnixMillis(1_700_000_000_000));
        let mut bare = Self {
            replica,
            now,
            store: MemoryStore::new(),
            jobs: Vec::new(),
            said: Vec::new(),
            events: Vec::new(),
            holds_commits: false,
            commits: Vec::new(),
        };
        bare.drain();
        bare
    }

    /// Starts anew from the store.
    pub fn restart(&mut self) {
        let config = Config::new(workspace(), Role::Root);
        self.replica = Replica::new(config, Seed(2), self.now, UnixMillis(1_700_000_000_000));
        self.drain();
    }

    pub fn input(&mut self, input: Input) {
        self.replica.handle_input(self.now, input);
        self.drain();
    }

    pub fn link(&mut self, link: LinkId, grant: Grant) {
        let peer = Peer { replica: ReplicaId(0), encoding: Encoding::Binary, grant, token: None };
        self.input(Input::LinkOpened { link, peer });
    }

    pub fn grant(&mut self, link: LinkId, grant: Grant) {
        self.input(Input::Granted { link, grant });
    }

    pub fn close(&mut self, link: LinkId) {
        self.input(Input::LinkClosed { link, code: None });
    }

    pub fn say(&mut self, link: LinkId, message: Message) {
        self.input(Input::Received { link, message });
    }

    /// Time passes, by so many milliseconds.
    pub fn pass(&mut self, milliseconds: u64) {
        self.until(Instant(self.now.0 + milliseconds * 1_000));
    }

    pub fn until(&mut self, now: Instant) {
        self.now = now;
        self.input(Input::Timeout);
    }

    /// The store does what it was asked to write, or fails at it.
    pub fn answer_commits(&mut self, answer: &Result<(), StoreError>) {
        for (request, operation) in std::mem::take(&mut self.commits) {
            let answer = answer.clone().and_then(|()| self.store.execute(&workspace(), &operation));
            self.store.sync();
            self.input(Input::Stored { request, answer });
        }
    }

    pub fn compute(&mut self) {
        while !self.jobs.is_empty() {
            for (request, job) in std::mem::take(&mut self.jobs) {
                self.input(Input::Computed { request, computed: job.run() });
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Store { request, operation: operation @ Operation::Commit(_) }
                    if self.holds_commits =>
                {
                    self.commits.push((request, operation));
                }
                Output::Store { request, operation } => {
                    let answer = self.store.execute(&workspace(), &operation);
                    self.store.sync();
                    self.replica.handle_input(self.now, Input::Stored { request, answer });
                }
                Output::Transmit { to, payload } => {
                    let message = decode_message(&payload, Encoding::Binary).unwrap();
                    for link in to.iter() {
                        self.said.push((*link, message.clone()));
                        self.replica.handle_input(self.now, Input::Writable { link: *link });
                    }
                }
                Output::Compute { request, job } => self.jobs.push((request, job)),
                Output::Event(event) => self.events.push(event),
                other => panic!("nothing in these tests leads to {other:?}"),
            }
        }
        assert_rest(&mut self.replica, self.now);
    }

    /// Whether a link was asked what the first change of a replica was made on.
    pub fn was_asked(&self, link: LinkId, replica: u128) -> bool {
        self.said.iter().any(|(to, message)| {
            *to == link
                && matches!(message, Message::NeedSeen { replica: of, .. } if *of == ReplicaId(replica))
        })
    }

    /// What a link was told of the first change of a replica: nothing for each time that it was accepted, and why for each that it was
    /// rejected.
    pub fn outcomes(&self, link: LinkId, replica: u128) -> Vec<Option<ErrorCode>> {
        let mut told = Vec::new();
        for (_, message) in self.said.iter().filter(|(to, _)| *to == link) {
            let Message::Outcomes { outcomes, .. } = message else { continue };
            let own = |outcome: &&Outcome| outcome.change.replica == ReplicaId(replica);
            told.extend(outcomes.iter().filter(own).map(|outcome| match &outcome.fate {
                Fate::Accepted { .. } => None,
                Fate::Rejected { code, .. } => Some(*code),
            }));
        }
        told
    }

    /// With which codes pushes of a link were refused.
    pub fn refusals(&self, link: LinkId) -> Vec<ErrorCode> {
        let refusal = |(to, message): &(LinkId, Message)| match message {
            Message::Error(error) if *to == link && error.change.is_some() => Some(error.code),
            _ => None,
        };
        self.said.iter().filter_map(refusal).collect()
    }
}

/// A push of the first change of a replica to document `d`.
fn push(replica: u128, base: u64, body: Body, seen: Option<ContentHash>, author: Option<Author>) -> Message {
    push_to("d", replica, base, body, seen, author)
}

/// The same to any document.
pub fn push_to(
    document: &str,
    replica: u128,
    base: u64,
    body: Body,
    seen: Option<ContentHash>,
    author: Option<Author>,
) -> Message {
    let (replica, counter) = (ReplicaId(replica), Counter(1));
    let change = Change { replica, counter, base: Revision(base), over: counter, time: UnixMillis(0), body };
    let changes = vec![PushedChange { change, seen }];
    Message::Push { pushes: vec![DocumentPush { document: id(document), changes, author }] }
}

/// A push of one change of a replica to document `d`.
pub fn push_at(replica: u128, counter: u64, base: u64, body: Body) -> Message {
    push_all(replica, [(counter, base, body)])
}

/// A push of changes of a replica to document `d`: counters, bases and what is done.
pub fn push_all<const N: usize>(replica: u128, changes: [(u64, u64, Body); N]) -> Message {
    let replica = ReplicaId(replica);
    let changes = changes.map(|(counter, base, body)| {
        let counter = Counter(counter);
        let change =
            Change { replica, counter, base: Revision(base), over: counter, time: UnixMillis(0), body };
        PushedChange { change, seen: None }
    });
    Message::Push { pushes: vec![DocumentPush { document: id("d"), changes: changes.into(), author: None }] }
}

pub fn create() -> Body {
    Body::Create { header: Header::default(), content: json("{}") }
}

/// Writes a member that has the replica's name.
pub fn put(replica: u128, bytes: usize) -> Body {
    let path = PointerBuf::parse(format!("/{replica}")).unwrap();
    let patch = Patch(vec![rejoin_json::Operation::Add { path, value: Json::from("x".repeat(bytes)) }]);
    Body::Edit { patch, settles: Vec::new(), undoes: None }
}

pub fn creation(replica: u128, author: Option<Author>) -> Message {
    push(replica, 0, create(), None, author)
}

pub fn edit(replica: u128, base: u64) -> Message {
    push(replica, base, put(replica, 1), None, None)
}

/// An edit on revision 1 that says, and rightly, what was seen: to check that is work.
pub fn announced_edit(replica: u128) -> Message {
    push(replica, 1, put(replica, 1), Some(json("{}").content_hash()), None)
}

/// An edit on revision 1 by somebody who saw something else there: the authority asks what it was.
pub fn odd_edit(replica: u128, author: Option<Author>) -> Message {
    push(replica, 1, put(replica, 1), Some(json(SEEN).content_hash()), author)
}

/// The same of any document, with a value of so many bytes.
pub fn odd_edit_of(document: &str, replica: u128, bytes: usize) -> Message {
    push_to(document, replica, 1, put(replica, bytes), Some(json(SEEN).content_hash()), None)
}

/// The answer to what an odd edit was made on.
pub fn seen_content(replica: u128) -> Message {
    let (content, header) = (Some(json(SEEN)), Some(Header::default()));
    Message::SeenContent {
        document: id("d"),
        replica: ReplicaId(replica),
        counter: Counter(1),
        content,
        header,
    }
}

const SEEN: &str = r#"{"z":1}"#;
