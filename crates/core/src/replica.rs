//! The machine: one holder of a workspace's documents.

/// Says to the recording, where one is made, which command is called. Without the feature `recording` it is nothing.
macro_rules! note {
    ($replica:ident, $command:expr) => {
        #[cfg(feature = "recording")]
        if let Some(tape) = &mut $replica.tape {
            use $crate::replica::recorded::Command::*;
            tape.command($replica.now, &$command);
        }
    };
}

mod commands;
mod documents;
mod events;
mod following;
mod ladder;
mod outbox;
#[cfg(feature = "recording")]
mod recorded;
mod relaying;
mod reply;
mod root;
mod serving;
mod storing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rejoin_json::{Limits, Policy};
use rejoin_wire::limits::MAX_INTEGER;
use rejoin_wire::{
    ChangeId, CloseCode, DocumentId, Encoding, Epoch, Message, ReplicaId, Scope, Sequence, UnixMillis,
    WorkspaceId,
};

use crate::authority::{Computed, Job};
use crate::collections::{BTreeMap, BTreeSet};
use crate::ids::replica_id;
use crate::planted::Planted;
use crate::records::Origin;
use crate::storage::{Answer, Operation, RequestId};
use crate::time::{Instant, Random, Seed};
pub use commands::{
    ConflictChoice, DocumentStatus, EditError, Listed, MAX_HISTORY_PAGE, MAX_HISTORY_PAGE_BYTES,
    MAX_HISTORY_SHOWN_BYTES, MAX_QUESTIONS, OwnChange, RecoveredVersion, RejectedChange, Undone, View,
};
pub use events::{Event, LinkStatus};
pub use ladder::{Ladder, OnRung, SyncStatus};
pub use outbox::{MAX_KEPT, MAX_PARTS, Seen};
#[cfg(feature = "recording")]
pub use recorded::{Command, Tape};
pub use relaying::{
    MAX_EARLY_BYTES, MAX_FORWARDED_BYTES, MAX_FORWARDED_BYTES_PER_LINK, MAX_FORWARDED_QUESTIONS,
};
pub use reply::{Accepted, HistoryEntry, HistoryPage, OpenConflict, Past, Reply};
pub use root::{
    Backlog, Base, CONFLICT_PAUSE, COURTESY_PAUSE, MAX_COMMITS_IN_A_ROW, MAX_CONFLICT_PAUSE,
    MAX_MENDING_BYTES, MAX_MENDING_DOCUMENTS, MAX_QUEUED_BYTES, MAX_QUEUED_BYTES_PER_DOCUMENT,
    MENDING_PATIENCE, SEEN_PATIENCE, SHARED_STORE_INTERVAL,
};
pub use serving::{MAX_CATCH_UP_REVISIONS, MAX_INQUIRIES, MAX_SUBSCRIPTIONS};

use commands::Repeat;
pub(crate) use documents::Document;
use following::Upstream;
use relaying::Relay;
use root::Root;
use serving::{CORRUPTED, Downstream};

/// Bytes handed to a link before it must say that it can take more. A slower reader is caught up later instead.
pub const LINK_HIGH_WATER_BYTES: usize = 256 * 1024;

/// Bytes after which a driver whose queue is shorter than this again gives [`Input::Writable`].
pub const LINK_LOW_WATER_BYTES: usize = 64 * 1024;

/// Changes of one document that are accepted in a turn, before the next document has its turn.
pub const MAX_CHANGES_PER_TURN: usize = 256;

/// How many changes that take the most that is done inline ([`Config::max_inline_bytes`]) fill a turn.
pub const MAX_INLINE_CHANGES_PER_TURN: usize = 8;

/// Documents whose changes go into one commit.
pub const MAX_DOCUMENTS_PER_COMMIT: usize = 256;

/// Bytes of changes, with the ways back, that go into one commit; one change alone may take more. What comes behind goes into the next one.
pub const MAX_COMMIT_BYTES: usize = 32 << 20;

/// Pushes that wait at one document; one more is refused with `rate_limited`.
pub const MAX_QUEUED_PUSHES: usize = 1_024;

/// Revisions after which the content is written whole again, where what was written of them is as large as that.
pub const CHECKPOINT_INTERVAL: u64 = 64;

/// Revisions after which it is, however large: no more are applied to it when it is read.
pub const MAX_CHECKPOINT_INTERVAL: u64 = 1_024;

/// Whether this build holds the deciding side and the links from below. Where it is false, nothing of them is linked: that is half of what
/// a browser would load.
pub(crate) const SERVES: bool = cfg!(feature = "authority");

/// Names a link of a replica. Downstream links are named by the driver, upstream ones by the replica; the ranges must not meet: the replica
/// counts up from 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Names a request that a driver makes on behalf of somebody without a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What a replica is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The workspace that it holds.
    pub workspace: WorkspaceId,
    /// Whether it decides, or follows one that does.
    pub role: Role,
    /// As whom its own edits are made.
    pub principal: Arc<str>,
    /// The policy of documents that are created without one. Whoever follows an authority takes its policy once they are linked.
    pub policy: Policy,
    /// Bounds on documents and patches.
    pub limits: Limits,
    /// Bytes of changes without an outcome that are kept before `edit` is refused.
    pub max_outbox_bytes: usize,
    /// Bytes of content that the authority looks at for one change by itself. A decision that may take more (the content's size, times the
    /// merges that it takes) is given to the driver as [`Output::Compute`]: other documents go on meanwhile.
    pub max_inline_bytes: usize,
    /// Updates of a CRDT document after which the authority tells them as one, at the latest.
    #[cfg(feature = "crdt")]
    pub max_unsummed_updates: usize,
    /// Documents that stay in memory while nothing needs them.
    pub max_idle_documents: usize,
    /// Time of silence that is announced to peers as deadly.
    pub heartbeat_timeout: Duration,
    /// Pause before a store that was unavailable is asked again.
    pub store_retry: Duration,
    /// Whether other authorities may write to the same store: then what they wrote is asked for before a link is welcomed and each
    /// [`SHARED_STORE_INTERVAL`] while there are links below, and whenever [`Input::StoreMoved`] hints at it. An authority that is alone reads
    /// nothing for it.
    pub shares_store: bool,
}

impl Config {
    /// A configuration with the documented defaults.
    pub fn new(workspace: WorkspaceId, role: Role) -> Self {
        Self {
            workspace,
            role,
            principal: "local".into(),
            policy: Policy::Theirs,
            limits: Limits::default(),
            max_outbox_bytes: 64 << 20,
            max_inline_bytes: 1 << 20,
            #[cfg(feature = "crdt")]
            max_unsummed_updates: crate::crdt::MAX_UNSUMMED_UPDATES,
            max_idle_documents: 1_024,
            heartbeat_timeout: Duration::from_secs(60),
            store_retry: Duration::from_millis(500),
            shares_store: false,
        }
    }
}

/// Whether a replica decides, and whom it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The authority: it has no upstream. With the feature `authority`.
    #[cfg(feature = "authority")]
    Root,
    /// Between an authority and links from below: it follows the whole workspace, serves what is confirmed, passes on what only the authority
    /// can decide, and makes no changes of its own. With the feature `authority`.
    #[cfg(feature = "authority")]
    Relay,
    /// It follows an authority, and makes changes.
    Follower {
        /// What it wants of the feed, besides the documents that are opened.
        scope: Option<Scope>,
    },
}

impl Role {
    /// Whether a replica of this role is the authority.
    fn decides(&self) -> bool {
        self.serves() && !self.relays()
    }

    /// Whether it serves links from below.
    fn serves(&self) -> bool {
        !matches!(self, Self::Follower { .. })
    }

    /// Whether it stands between an authority and links from below.
    #[cfg(feature = "authority")]
    fn relays(&self) -> bool {
        matches!(self, Self::Relay)
    }

    #[cfg(not(feature = "authority"))]
    #[expect(clippy::unused_self, reason = "as with links from below")]
    fn relays(&self) -> bool {
        false
    }
}

/// What happens to a replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// A deadline of [`Replica::poll_timeout`] has passed.
    Timeout,
    /// A link is open: one from below that said hello, or the one that [`Output::Connect`] asked for.
    LinkOpened {
        /// The link.
        link: LinkId,
        /// Who is there.
        peer: Peer,
    },
    /// A message came.
    Received {
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// A link's queue is short again.
    Writable {
        /// The link.
        link: LinkId,
    },
    /// What a link's principal may do has changed: that counts for what it pushed before and is not decided yet, too.
    Granted {
        /// The link.
        link: LinkId,
        /// What it may do from now on.
        grant: Grant,
    },
    /// A link is gone, or could not be opened.
    LinkClosed {
        /// The link.
        link: LinkId,
        /// The close code, when the peer sent one.
        code: Option<u16>,
    },
    /// The store answers.
    Stored {
        /// The request.
        request: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// The store is empty now, because it was cleared or gave way to an empty one: a follower stores in it all that it has in memory, and
    /// catches up on the rest. Requests that were handed out before are void: the driver carries none of them out any more.
    StoreReplaced,
    /// Another authority may have committed something to the store that this one shares with it: a hint, which may be lost, doubled, early, or
    /// wrong. Drivers give it when another authority's commit was answered.
    StoreMoved,
    /// A job is done.
    Computed {
        /// The request.
        request: RequestId,
        /// What it came to.
        computed: Computed,
    },
    /// The host went online or offline: offline ends the link and stops reconnecting, online reconnects at once.
    Online(bool),
    /// The wall clock was read again.
    Clock(UnixMillis),
}

/// Who is at the other end of a link.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its replica id; zero when it has none.
    pub replica: ReplicaId,
    /// How messages to it are encoded.
    pub encoding: Encoding,
    /// What it may do here.
    pub grant: Grant,
    /// The token to present, on an upstream link.
    pub token: Option<Arc<str>>,
}

/// What a principal may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As whom it is known.
    pub principal: Arc<str>,
    /// Whether it may change documents.
    pub may_edit: bool,
    /// Whether it may speak for others, as a relay does: push their changes and show their presence under their names.
    pub may_relay: bool,
}

impl Grant {
    /// The grant of somebody who speaks for itself.
    pub fn new(principal: impl Into<Arc<str>>, may_edit: bool) -> Self {
        Self { principal: principal.into(), may_edit, may_relay: false }
    }
}

/// What a replica wants done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Open a link upstream.
    Connect {
        /// Its name.
        link: LinkId,
    },
    /// Send a message, encoded once for all these links.
    Transmit {
        /// The links, which all use the encoding of the payload.
        to: Arc<[LinkId]>,
        /// The encoded message.
        payload: Bytes,
    },
    /// Close a link.
    Disconnect {
        /// The link.
        link: LinkId,
        /// The close code.
        code: CloseCode,
        /// Why, and what to do.
        reason: Arc<str>,
    },
    /// Ask the store.
    Store {
        /// The request, answered by [`Input::Stored`].
        request: RequestId,
        /// What is asked.
        operation: Operation,
    },
    /// Run a job, on another thread where there are any. Only an authority asks for it, for one change of a document at a time.
    Compute {
        /// The request, answered by [`Input::Computed`].
        request: RequestId,
        /// The job.
        job: Box<Job>,
    },
    /// Answers a driver's request.
    Reply {
        /// The request.
        token: Token,
        /// The answer.
        reply: Reply,
    },
    /// Something that the program may want to know.
    Event(Event),
}

/// One holder of a workspace's documents: browser profile, native client, relay or server.
///
/// Four kinds of methods, in the order of their use. *Inputs*: [`handle_input`](Self::handle_input) says what happened; any number of
/// inputs may come before a drain. *Commands* (`open`, `edit`, `create`, …) are what the program wants; each has a typed error and
/// performs no IO. *Drain*: [`poll_output`](Self::poll_output) until it gives `None`, after each batch of inputs and commands, and do what
/// it says. *Deadline*: [`poll_timeout`](Self::poll_timeout) says when to give [`Input::Timeout`] next.
///
/// `now` is an argument and never goes back; the wall clock is separate; randomness is a seed. The same seed and inputs give the same
/// outputs byte for byte on every platform. No input makes it panic, and no queue in it grows without bound.
pub struct Replica {
    config: Config,
    now: Instant,
    /// Wall clock minus monotonic clock, in milliseconds.
    clock: i128,
    random: Random,
    /// Under which ids it writes into CRDT documents.
    #[cfg(feature = "crdt")]
    clients: crate::crdt::Clients,
    identity: ReplicaId,
    /// True once meta records are read.
    ready: bool,
    epoch: Epoch,
    next_request: u64,
    next_link: u64,
    next_member: u64,
    requests: BTreeMap<RequestId, Purpose>,
    outputs: VecDeque<Output>,
    documents: BTreeMap<DocumentId, Document>,
    /// Who waits to read which document.
    reads: BTreeMap<DocumentId, Vec<commands::Read>>,
    /// Questions for history that the store is read for.
    walks: BTreeMap<DocumentId, commands::Walk>,
    /// Documents with something to do in the next turn.
    busy: BTreeSet<DocumentId>,
    /// Documents whose presence may have something to send.
    lively: BTreeSet<DocumentId>,
    links: BTreeMap<LinkId, Downstream>,
    /// Those of them that follow the workspace: others need not be looked at for each change of a document that they do not have open.
    following: BTreeSet<LinkId>,
    /// Those that may wait for documents or for answers to inquiries.
    owed: BTreeSet<LinkId>,
    root: Root,
    relay: Relay,
    upstream: Upstream,
    storing: storing::Storing,
    /// For whom the next command that makes a change is made.
    speaking_for: Origin,
    /// Counts uses of documents, for forgetting the least recently used.
    uses: u64,
    planted: Planted,
    #[cfg(feature = "recording")]
    tape: Option<Box<dyn Tape>>,
}

/// What an answer of the store is for.
#[derive(Clone, Debug)]
enum Purpose {
    Meta,
    Document(DocumentId),
    Rows(DocumentId),
    OlderLog(DocumentId),
    Chain(DocumentId, rejoin_wire::Revision),
    /// Which counters of a replica other authorities have used.
    Counters(DocumentId, ReplicaId),
    /// What others have written.
    News,
    /// To go on with what others have written of a document.
    NewRows(DocumentId),
    /// How far the feed is, where no head says it.
    Floor,
    Outcomes {
        document: DocumentId,
        replica: ReplicaId,
        first: rejoin_wire::Counter,
        last: rejoin_wire::Counter,
    },
    Page(LinkId),
    PendingDocuments,
    /// On this link.
    HeldDocuments(LinkId),
    /// To a page of history.
    Walk(DocumentId),
    /// What became of a keyed request.
    Keyed(DocumentId, ChangeId),
    /// Whether somebody's request was made before.
    Repeat(DocumentId, Repeat),
    /// Asked for when the feed was durable up to there.
    Heads(Token, Sequence),
    Identity,
    Commit,
    /// Not of the store.
    Compute(DocumentId),
}

impl Replica {
    /// Makes a replica. Its first output asks the store who it is.
    pub fn new(config: Config, seed: Seed, now: Instant, unix_now: UnixMillis) -> Self {
        let mut random = Random::new(seed);
        let identity = replica_id(random.next_u128());
        let epoch = Epoch(random.next_u64() >> 11);
        let mut replica = Self {
            upstream: Upstream::new(&config.role),
            config,
            now,
            clock: i128::from(unix_now.0) - i128::from(now.0 / 1000),
            random,
            #[cfg(feature = "crdt")]
            clients: crate::crdt::Clients::new(seed),
            identity,
            ready: false,
            epoch,
            next_request: 1,
            next_link: 1 << 63,
            next_member: 1,
            requests: BTreeMap::new(),
            outputs: VecDeque::new(),
            documents: BTreeMap::new(),
            reads: BTreeMap::new(),
            walks: BTreeMap::new(),
            busy: BTreeSet::new(),
            lively: BTreeSet::new(),
            following: BTreeSet::new(),
            owed: BTreeSet::new(),
            links: BTreeMap::new(),
            root: Root::default(),
            relay: Relay::default(),
            storing: storing::Storing::default(),
            speaking_for: Origin::default(),
            uses: 0,
            planted: Planted::default(),
            #[cfg(feature = "recording")]
            tape: None,
        };
        replica.request(Operation::LoadMeta, Purpose::Meta);
        replica
    }

    /// Plants a fault, which the simulation must find. With the feature `planted`.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, fault: crate::planted::Fault) {
        self.planted = Planted(Some(fault));
    }

    /// The replica's own id.
    pub fn id(&self) -> ReplicaId {
        self.identity
    }

    /// True once the store has said who the replica is.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// True when dropping the replica loses nothing that its store does not have: it has no links, no request and no command is under way,
    /// nothing waits, and nobody is present. A follower is never idle: it
    /// has its link upstream. Inputs that come later, of the store say, are for nobody.
    ///
    /// Looks at every document in memory.
    pub fn is_idle(&self) -> bool {
        self.ready
            && self.links.is_empty()
            && self.requests.is_empty()
            && self.reads.is_empty()
            && self.outputs.is_empty()
            && self.busy.is_empty()
            && self.root.is_idle()
            && self.storing.unsaved().is_empty()
            && self.upstream.is_none()
            && self.documents.values().all(Document::is_idle)
    }

    /// Takes note of what happened. Never fails, and never panics on foreign bytes.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        #[cfg(feature = "recording")]
        if let Some(tape) = &mut self.tape {
            tape.input(now, &input);
        }
        self.now = self.now.max(now);
        match input {
            Input::Timeout => {}
            Input::LinkOpened { link, peer } => self.handle_link_opened(link, peer),
            Input::Received { link, message } => self.handle_message(link, message),
            Input::Writable { link } if SERVES => self.handle_writable(link),
            Input::Granted { link, grant } if SERVES => {
                self.regrant(link, grant.may_edit);
                self.handle_granted(link, grant);
            }
            Input::LinkClosed { link, code } => self.handle_link_closed(link, code),
            Input::Stored { request, answer } => self.handle_stored(request, answer),
            Input::StoreReplaced => self.handle_store_replaced(),
            Input::Computed { request, computed } if SERVES => self.handle_computed(request, computed),
            Input::StoreMoved if SERVES && self.config.role.decides() => {
                self.want_news();
            }
            Input::StoreMoved | Input::Writable { .. } | Input::Granted { .. } | Input::Computed { .. } => {}
            Input::Online(online) => self.handle_online(online),
            Input::Clock(unix) => self.clock = i128::from(unix.0) - i128::from(self.now.0 / 1000),
        }
    }

    /// The next thing to do; `None` when all is done until the next input.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.work();
        }
        let output = self.outputs.pop_front();
        #[cfg(feature = "recording")]
        if let Some(tape) = &mut self.tape {
            tape.output(output.as_ref());
        }
        output
    }

    /// When [`Input::Timeout`] is due; `None` when only inputs matter.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.ready {
            // Everything else waits for who this replica is.
            return self.storing.meta_retry_at();
        }
        [
            self.storing.retry_at(),
            self.root_paused_until().filter(|_| SERVES),
            self.upstream.retry_at(),
            self.next_refused_push(),
            self.next_presence_flush(),
            self.next_showing().filter(|_| SERVES),
            self.next_impatience().filter(|_| SERVES),
            self.next_gathering().filter(|_| SERVES),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what has become possible since the last drain.
    fn work(&mut self) {
        self.read_meta_when_due();
        if !self.ready {
            return;
        }
        self.read_again_when_due();
        self.reconnect_when_due();
        self.flush_presence();
        if SERVES {
            self.lose_patience();
            self.gather();
            self.accept_pushes();
        }
        self.answer_reads();
        if SERVES {
            let relays = self.config.role.relays();
            if relays {
                self.admit_links();
                self.ask_outcomes();
            }
            self.serve_links();
            if relays {
                self.tell_positions();
                self.update_shown();
            }
        }
        if SERVES {
            self.ask_for_news();
        }
        self.push_pending();
        self.send_opens();
        self.commit();
        self.forget_idle_documents();
    }

    fn handle_message(&mut self, link: LinkId, message: Message) {
        if self.upstream.is_link(link) {
            self.handle_from_upstream(link, message);
        } else if SERVES && self.links.contains_key(&link) {
            self.handle_from_downstream(link, message);
        }
    }

    fn handle_link_opened(&mut self, link: LinkId, peer: Peer) {
        if self.upstream.is_link(link) {
            self.handle_upstream_opened(link, &peer);
        } else if SERVES && self.config.role.serves() {
            self.handle_downstream_opened(link, peer);
        } else {
            let reason = "this replica serves nobody: connect to the authority".into();
            self.outputs.push_back(Output::Disconnect { link, code: CloseCode::Forbidden, reason });
        }
    }

    fn handle_link_closed(&mut self, link: LinkId, code: Option<u16>) {
        if self.upstream.is_link(link) {
            self.handle_upstream_closed(code);
        } else if SERVES {
            self.handle_downstream_closed(link);
        }
    }

    /// The time of day, within what messages can say, however wrong the host's clock is.
    fn unix_now(&self) -> UnixMillis {
        let time = self.clock + i128::from(self.now.0 / 1000);
        UnixMillis(u64::try_from(time.clamp(0, i128::from(MAX_INTEGER))).unwrap_or(MAX_INTEGER))
    }

    fn request(&mut self, operation: Operation, purpose: Purpose) -> RequestId {
        let request = self.next_request(purpose);
        self.outputs.push_back(Output::Store { request, operation });
        request
    }

    fn next_request(&mut self, purpose: Purpose) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.requests.insert(request, purpose);
        request
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Sends one message to one link.
    fn transmit(&mut self, link: LinkId, encoding: Encoding, message: &Message) {
        let payload = rejoin_wire::encode_message(message, encoding);
        self.transmit_payload(Arc::from([link]), payload);
    }

    fn transmit_payload(&mut self, to: Arc<[LinkId]>, payload: Bytes) {
        for link in to.iter() {
            if let Some(downstream) = self.links.get_mut(link) {
                downstream.note_sent(payload.len());
            }
        }
        self.outputs.push_back(Output::Transmit { to, payload });
    }
}
