//! Replicas and their shards: which task owns a workspace, and how the rest of the server reaches it.
//!
//! A workspace belongs to one shard and its feed has one order. A shard is one task that owns its replicas: there is no lock around the
//! machine. Everything reaches it through one bounded queue, and it never waits for a socket: a link that does not take what it is
//! given is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::join_all;
use rejoin_core::storage::{Answer, RequestId, StoreError};
use rejoin_core::{
    Backlog, Computed, Config, Event, Input, Instant, LinkId, Output, Payload, Peer, Replica, Reply, Role,
    Seed, Token,
};
use rejoin_record::Start;
use rejoin_store::Store;
use rejoin_wire::{CloseCode, Encoding, ErrorCode, Message, UnixMillis, WorkspaceId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::instruments;
use crate::recordings::Recordings;
use crate::text_door::Told;
pub(crate) use urgent::Urgency;
use urgent::Urgent;

mod urgent;

#[cfg(test)]
mod tests;

/// Inputs that wait for one shard; whoever has more to say waits, and stops reading its socket meanwhile.
const SHARD_QUEUE: usize = 4_096;

/// Inputs that a shard takes before it does what they ask for: the larger, the more edits share a commit and a frame.
const SHARD_BATCH: usize = 512;

/// Messages that wait for one link. The replica stops by bytes long before; this bounds what it does not count.
const LINK_QUEUE: usize = 4_096;

/// Commands that wait for their answers in one shard, those included that nobody waits for any more; one more is refused.
const MAX_COMMANDS: usize = 16_384;

/// Time that a command has to be answered.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Said where it was not.
const SILENT: &str = "the store does not answer; what was asked for may still take effect: send it again, under the same key if it had one";

/// Time that a shard has to say what waits there.
const SURVEY_PATIENCE: Duration = Duration::from_secs(1);

/// Time after which a workspace that nobody uses leaves memory: nobody is linked to it and nothing is under way.
pub(crate) const IDLE_PATIENCE: Duration = Duration::from_secs(60);

/// How often a shard looks for such workspaces.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// Something for a link's socket. A queue takes room for its first 32 items at once, so they are small.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Shared with the other links that it goes to.
    Told(Arc<Told>),
    Close(Box<Closing>),
}

/// Why the replica closes a link.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) code: CloseCode,
    pub(crate) reason: Arc<str>,
}

/// The end of a link that its socket holds.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) queue: mpsc::Receiver<Outgoing>,
    urgent: Arc<Urgent>,
    hub: Hub,
    workspace: WorkspaceId,
}

/// The end of a link that its shard holds.
struct LinkEnd {
    queue: mpsc::Sender<Outgoing>,
    urgent: Arc<Urgent>,
    encoding: Encoding,
}

/// What a shard has a replica do.
pub(crate) type Run = Box<dyn FnOnce(&mut Replica, Token) + Send>;

enum ShardInput {
    Open { workspace: WorkspaceId, link: LinkId, peer: Peer, end: LinkEnd },
    Link { workspace: WorkspaceId, input: Input },
    Closed { workspace: WorkspaceId, link: LinkId },
    Command { workspace: WorkspaceId, run: Run, reply: oneshot::Sender<Reply> },
    Survey { reply: oneshot::Sender<Backlog> },
}

/// The running replicas of a server.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    shards: Vec<mpsc::Sender<ShardInput>>,
    next_link: AtomicU64,
    /// Open links.
    links: Mutex<BTreeMap<LinkId, Arc<Urgent>>>,
    stopping: AtomicBool,
    /// For sockets without a link.
    stop: Notify,
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, BTreeMap<LinkId, Arc<Urgent>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server is stopping, or a replica is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping; connect again")]
pub struct Stopped;

impl Hub {
    /// Starts so many shards over a store. Must be called inside a tokio runtime.
    pub fn start(
        store: &Arc<dyn Store>,
        shards: usize,
        configure: impl Fn(WorkspaceId) -> Config + Send + Sync + 'static,
    ) -> Self {
        Self::start_recorded(store, shards, configure, None)
    }

    /// The same, with a recording of each replica.
    pub(crate) fn start_recorded(
        store: &Arc<dyn Store>,
        shards: usize,
        configure: impl Fn(WorkspaceId) -> Config + Send + Sync + 'static,
        recordings: Option<&Arc<Recordings>>,
    ) -> Self {
        let configure: Arc<dyn Fn(WorkspaceId) -> Config + Send + Sync> = Arc::new(configure);
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let processors = Arc::new(Semaphore::new(processors));
        let mut senders = Vec::new();
        for _ in 0..shards.max(1) {
            let (sender, mut receiver) = mpsc::channel(SHARD_QUEUE);
            senders.push(sender);
            let (store, configure) = (Arc::clone(store), Arc::clone(&configure));
            let (processors, recordings) = (Arc::clone(&processors), recordings.cloned());
            tokio::spawn(async move {
                let shard = || {
                    let shard =
                        Shard::new(Arc::clone(&store), Arc::clone(&configure), Arc::clone(&processors));
                    Shard { recordings: recordings.clone(), ..shard }
                };
                // What a panic leaves behind is not used again: links are closed, and replicas read what is durable.
                while AssertUnwindSafe(shard().run(&mut receiver)).catch_unwind().await.is_err() {
                    metrics::counter!(instruments::SHARD_PANICS).increment(1);
                    tracing::error!("a shard panicked and starts again from the store; report this as a bug");
                }
            });
        }
        let shared = Shared {
            shards: senders,
            next_link: AtomicU64::new(1),
            links: Mutex::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        };
        Self { shared: Arc::new(shared), patience: ANSWER_PATIENCE }
    }

    /// The same with another time than [`ANSWER_PATIENCE`] in which commands are answered.
    #[must_use]
    pub fn answering_within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn shard(&self, workspace: &WorkspaceId) -> &mpsc::Sender<ShardInput> {
        // The same workspace must find the same shard for as long as the process lives; nothing else depends on the hash.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(workspace);
        let at = usize::try_from(hash % self.shared.shards.len() as u64).unwrap_or(0);
        &self.shared.shards[at]
    }

    /// Opens a link from below to a workspace.
    pub(crate) async fn open(&self, workspace: &WorkspaceId, peer: Peer) -> Result<Link, Stopped> {
        let link = LinkId(self.shared.next_link.fetch_add(1, Ordering::Relaxed));
        let (sender, queue) = mpsc::channel(LINK_QUEUE);
        let urgent = Arc::<Urgent>::default();
        let end = LinkEnd { queue: sender, urgent: Arc::clone(&urgent), encoding: peer.encoding };
        let input = ShardInput::Open { workspace: workspace.clone(), link, peer, end };
        self.shard(workspace).send(input).await.map_err(|_| Stopped)?;
        self.shared.links().insert(link, Arc::clone(&urgent));
        if self.is_stopping() {
            urgent.tell(Urgency::Stop);
        }
        metrics::gauge!(instruments::LINKS).increment(1.0);
        Ok(Link { id: link, queue, urgent, hub: self.clone(), workspace: workspace.clone() })
    }

    /// Has a workspace's replica do something that it answers with a reply. Where the store does not let it answer in time it is refused
    /// with `unavailable`, and may still take effect.
    pub async fn command(
        &self,
        workspace: &WorkspaceId,
        run: impl FnOnce(&mut Replica, Token) + Send + 'static,
    ) -> Result<Reply, Stopped> {
        let (sender, reply) = oneshot::channel();
        let input = ShardInput::Command { workspace: workspace.clone(), run: Box::new(run), reply: sender };
        let answered = async {
            self.shard(workspace).send(input).await.map_err(|_| Stopped)?;
            reply.await.map_err(|_| Stopped)
        };
        tokio::time::timeout(self.patience, answered).await.unwrap_or_else(|_| Ok(unavailable(SILENT)))
    }

    /// Tells a workspace's replica to do something, and gives what will be its answer: who asks for several things one after the other waits for none
    /// before the next. It may come late, or never where a shard ends: see [`command`](Self::command).
    pub(crate) async fn ask(
        &self,
        workspace: &WorkspaceId,
        run: Run,
    ) -> Result<impl Future<Output = Result<Reply, Stopped>> + use<>, Stopped> {
        let (sender, reply) = oneshot::channel();
        let input = ShardInput::Command { workspace: workspace.clone(), run, reply: sender };
        self.shard(workspace).send(input).await.map_err(|_| Stopped)?;
        let answered = tokio::time::timeout(self.patience, reply);
        Ok(async move {
            match answered.await {
                Ok(reply) => reply.map_err(|_| Stopped),
                Err(_) => Ok(unavailable(SILENT)),
            }
        })
    }

    /// What waits in all workspaces together. A shard that is too busy to say is left out.
    pub async fn backlog(&self) -> Backlog {
        let ask = async |shard: &mpsc::Sender<ShardInput>| {
            let (sender, reply) = oneshot::channel();
            shard.send(ShardInput::Survey { reply: sender }).await.ok()?;
            reply.await.ok()
        };
        let mut backlog = Backlog::default();
        let asked = self.shared.shards.iter().map(|shard| tokio::time::timeout(SURVEY_PATIENCE, ask(shard)));
        for told in join_all(asked).await {
            backlog = backlog.and(told.ok().flatten().unwrap_or_default());
        }
        backlog
    }

    /// Links that are open now.
    pub fn links(&self) -> u64 {
        self.shared.links().len() as u64
    }

    /// True once the server is told to stop: no link is taken any more.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// Tells every socket to move, and waits until they have gone or the time is over.
    pub async fn stop(&self, patience: Duration) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.links().values().for_each(|urgent| urgent.tell(Urgency::Stop));
        self.shared.stop.notify_waiters();
        let gone = async {
            while self.links() > 0 {
                self.shared.stop.notify_waiters();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(patience, gone).await.is_err() {
            tracing::warn!(links = self.links(), "links were still open when the time to stop was over");
        }
    }

    /// Resolves when the server is told to stop. For sockets without a link: others are told by that.
    pub(crate) async fn stopped(&self) {
        let notified = self.shared.stop.notified();
        if !self.is_stopping() {
            notified.await;
        }
    }
}

impl Link {
    /// What comes for the socket, and what says that it ends.
    pub(crate) fn ends(&mut self) -> (Option<&mut mpsc::Receiver<Outgoing>>, Option<&Urgent>) {
        (Some(&mut self.queue), Some(&self.urgent))
    }

    /// Hands a message to the replica; waits while its shard is busy.
    pub(crate) fn received(&self, message: Message) -> impl Future<Output = Result<(), Stopped>> + use<'_> {
        self.input(Input::Received { link: self.id, message })
    }

    /// Says that the link's queue is short again.
    pub(crate) fn writable(&self) -> impl Future<Output = Result<(), Stopped>> + use<'_> {
        self.input(Input::Writable { link: self.id })
    }

    /// What seldom waits is in a box while it does: every idle link would keep room for it.
    fn input(&self, input: Input) -> impl Future<Output = Result<(), Stopped>> + use<'_> {
        let input = ShardInput::Link { workspace: self.workspace.clone(), input };
        let shard = self.hub.shard(&self.workspace);
        let waiting = match shard.try_send(input) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(input)) => Ok(Some(Box::pin(shard.send(input)))),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopped),
        };
        async move {
            match waiting? {
                Some(waiting) => waiting.await.map_err(|_| Stopped),
                None => Ok(()),
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hub.shared.links().remove(&self.id);
        metrics::gauge!(instruments::LINKS).decrement(1.0);
        let input = ShardInput::Closed { workspace: self.workspace.clone(), link: self.id };
        let shard = self.hub.shard(&self.workspace).clone();
        if let Err(mpsc::error::TrySendError::Full(input)) = shard.try_send(input) {
            // The shard must learn of it, or it keeps the link for ever.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { shard.send(input).await });
            }
        }
    }
}

/// Answers of the store that wait for a shard. Bounded by the requests that its replicas have under way.
#[derive(Default)]
struct Answers {
    waiting: Mutex<Vec<(WorkspaceId, Input)>>,
    arrived: Notify,
}

impl Answers {
    fn push(&self, workspace: WorkspaceId, answer: Input) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((workspace, answer));
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<(WorkspaceId, Input)> {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A replica in memory.
struct Running {
    replica: Replica,
    /// When somebody last wanted something of it.
    used: Instant,
    _counted: Counted,
}

/// Counts a replica until it is dropped, by whatever way.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!(instruments::WORKSPACES).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(instruments::WORKSPACES).decrement(1.0);
    }
}

/// One task's replicas.
struct Shard {
    store: Arc<dyn Store>,
    configure: Arc<dyn Fn(WorkspaceId) -> Config + Send + Sync>,
    started: tokio::time::Instant,
    answers: Arc<Answers>,
    /// Jobs that may run at a time.
    processors: Arc<Semaphore>,
    recordings: Option<Arc<Recordings>>,
    replicas: BTreeMap<WorkspaceId, Running>,
    /// When it last looked for workspaces that nobody uses.
    swept: Instant,
    links: BTreeMap<LinkId, LinkEnd>,
    replies: BTreeMap<Token, oneshot::Sender<Reply>>,
    next_token: u64,
    deadlines: BTreeMap<WorkspaceId, Instant>,
}

impl Shard {
    fn new(
        store: Arc<dyn Store>,
        configure: Arc<dyn Fn(WorkspaceId) -> Config + Send + Sync>,
        processors: Arc<Semaphore>,
    ) -> Self {
        Self {
            store,
            configure,
            processors,
            recordings: None,
            started: tokio::time::Instant::now(),
            swept: Instant(0),
            answers: Arc::default(),
            replicas: BTreeMap::new(),
            links: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_token: 1,
            deadlines: BTreeMap::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    async fn run(mut self, queue: &mut mpsc::Receiver<ShardInput>) {
        let answers = Arc::clone(&self.answers);
        let mut batch = Vec::with_capacity(SHARD_BATCH);
        loop {
            let sweep = (!self.replicas.is_empty()).then(|| self.swept + SWEEP_INTERVAL);
            let deadline = self.deadlines.values().copied().chain(sweep).min();
            let wait = deadline.map_or(Duration::from_secs(3_600), |at| at.since(self.now()));
            let mut touched = BTreeSet::new();
            tokio::select! {
                received = queue.recv_many(&mut batch, SHARD_BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
                () = answers.arrived.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            for input in batch.drain(..) {
                self.take(input, &mut touched);
            }
            let now = self.now();
            for (workspace, answer) in answers.take() {
                if let Some(running) = self.replicas.get_mut(&workspace) {
                    running.replica.handle_input(now, answer);
                    touched.insert(workspace);
                }
            }
            let due =
                self.deadlines.iter().filter(|(_, at)| **at <= now).map(|(workspace, _)| workspace.clone());
            for workspace in due.collect::<Vec<_>>() {
                if let Some(running) = self.replicas.get_mut(&workspace) {
                    running.replica.handle_input(now, Input::Timeout);
                    touched.insert(workspace);
                }
            }
            for workspace in touched {
                self.drain(&workspace);
            }
            if now.since(self.swept) >= SWEEP_INTERVAL {
                self.forget_unused(now);
            }
        }
    }

    /// Drops the replicas that nobody uses. What they decided is in the store, from which the next use reads it.
    fn forget_unused(&mut self, now: Instant) {
        self.swept = now;
        let deadlines = &mut self.deadlines;
        self.replicas.retain(|workspace, running| {
            let is_unused = now.since(running.used) >= IDLE_PATIENCE && running.replica.is_idle();
            if is_unused {
                deadlines.remove(workspace);
            }
            !is_unused
        });
    }

    /// The replica of a workspace, which somebody uses now.
    fn replica(&mut self, workspace: &WorkspaceId) -> &mut Replica {
        let now = self.now();
        let running = self.replicas.entry(workspace.clone()).or_insert_with(|| {
            let mut config = (self.configure)(workspace.clone());
            config.role = Role::Root;
            let (seed, unix_now) = (random_seed(), unix_now());
            let start = Start { config: &config, seed, now, unix_now };
            let tape = self.recordings.as_ref().and_then(|recordings| recordings.begin(&start));
            let mut replica = Replica::new(config, seed, now, unix_now);
            if let Some(tape) = tape {
                replica.record(tape);
            }
            Running { replica, used: now, _counted: Counted::new() }
        });
        running.used = now;
        &mut running.replica
    }

    /// Tells a replica of one of its links. One that is gone has none.
    fn tell_of_link(&mut self, workspace: &WorkspaceId, input: Input) {
        let now = self.now();
        if let Some(running) = self.replicas.get_mut(workspace) {
            running.used = now;
            running.replica.handle_input(now, input);
        }
    }

    fn take(&mut self, input: ShardInput, touched: &mut BTreeSet<WorkspaceId>) {
        let now = self.now();
        let workspace = match input {
            ShardInput::Open { workspace, link, peer, end } => {
                self.links.insert(link, end);
                self.replica(&workspace).handle_input(now, Input::LinkOpened { link, peer });
                workspace
            }
            ShardInput::Link { workspace, input } => {
                self.tell_of_link(&workspace, input);
                workspace
            }
            ShardInput::Closed { workspace, link } => {
                self.links.remove(&link);
                self.tell_of_link(&workspace, Input::LinkClosed { link, code: None });
                workspace
            }
            ShardInput::Command { workspace, run, reply } => {
                if self.replies.len() >= MAX_COMMANDS {
                    let _ =
                        reply.send(unavailable("too many requests wait for the store; send it again later"));
                    return;
                }
                let token = Token(self.next_token);
                self.next_token += 1;
                self.replies.insert(token, reply);
                let replica = self.replica(&workspace);
                // What it does has the time of now, however long nothing came.
                replica.handle_input(now, Input::Timeout);
                run(replica, token);
                workspace
            }
            ShardInput::Survey { reply } => {
                let backlogs = self.replicas.values().map(|running| running.replica.backlog(now));
                let _ = reply.send(backlogs.fold(Backlog::default(), Backlog::and));
                return;
            }
        };
        touched.insert(workspace);
    }

    /// Does everything that a replica asks for.
    fn drain(&mut self, workspace: &WorkspaceId) {
        let now = self.now();
        let Some(mut running) = self.replicas.remove(workspace) else { return };
        let replica = &mut running.replica;
        while let Some(output) = replica.poll_output() {
            match output {
                Output::Transmit { to, payload } => {
                    for link in self.transmit(&to, payload) {
                        replica.handle_input(now, Input::LinkClosed { link, code: None });
                    }
                }
                Output::Disconnect { link, code, reason } => {
                    if let Some(end) = self.links.remove(&link) {
                        self.give(&end, Outgoing::Close(Box::new(Closing { code, reason })));
                    }
                }
                Output::Store { request, operation } => {
                    let (answers, of) = (Arc::clone(&self.answers), workspace.clone());
                    let reply = Box::new(move |answer: Answer| {
                        let answer = answer.map_err(|error| in_own_words(&of, error));
                        answers.push(of, Input::Stored { request, answer });
                    });
                    if let Err(refused) = self.store.submit(workspace, operation, reply) {
                        let answer = Err(StoreError::from(refused));
                        self.answers.push(workspace.clone(), Input::Stored { request, answer });
                    }
                }
                Output::Compute { request, job } => {
                    self.compute(workspace.clone(), request, move || job.run());
                }
                Output::Reply { token, reply } => {
                    if let Some(sender) = self.replies.remove(&token) {
                        // Whoever asked may have gone.
                        let _ = sender.send(reply);
                    }
                }
                Output::Event(event) => note_event(workspace, &event),
                // For those who follow others.
                _ => {}
            }
        }
        if let Some(age) = replica.take_durable_age() {
            metrics::histogram!(instruments::DURABLE).record(age);
        }
        match replica.poll_timeout() {
            Some(at) => self.deadlines.insert(workspace.clone(), at),
            None => self.deadlines.remove(workspace),
        };
        self.replicas.insert(workspace.clone(), running);
    }

    /// Runs a job on a thread of its own, as many at a time as there are processors.
    fn compute(
        &self,
        workspace: WorkspaceId,
        request: RequestId,
        job: impl FnOnce() -> Computed + Send + 'static,
    ) {
        let (answers, processors) = (Arc::clone(&self.answers), Arc::clone(&self.processors));
        tokio::spawn(async move {
            let Ok(_processor) = processors.acquire().await else { return };
            let computed = tokio::task::spawn_blocking(job).await.unwrap_or_else(|error| {
                tracing::error!(%workspace, %error, "a decision failed; report this as a bug");
                Computed::failed()
            });
            answers.push(workspace, Input::Computed { request, computed });
        });
    }

    /// Gives a message to links; returns those that could not take it and are gone.
    fn transmit(&mut self, to: &[LinkId], payload: bytes::Bytes) -> Vec<LinkId> {
        let encoding =
            to.iter().find_map(|link| self.links.get(link)).map_or(Encoding::Binary, |end| end.encoding);
        let payload = Arc::new(Told::new(Payload::of_encoded(payload, encoding)));
        metrics::counter!(instruments::MESSAGES_SENT).increment(to.len() as u64);
        let refused = |link: &&LinkId| {
            self.links.get(link).is_some_and(|end| !self.give(end, Outgoing::Told(Arc::clone(&payload))))
        };
        let gone: Vec<LinkId> = to.iter().filter(refused).copied().collect();
        for link in &gone {
            self.links.remove(link);
        }
        gone
    }

    fn give(&self, end: &LinkEnd, outgoing: Outgoing) -> bool {
        let given = end.queue.try_send(outgoing).is_ok();
        if !given {
            end.urgent.tell(Urgency::Overflow);
        }
        given
    }
}

fn unavailable(message: &str) -> Reply {
    Reply::Refused { code: ErrorCode::Unavailable, message: message.into() }
}

/// The same failure without the database's own words, which are for the log: clients are told why they were refused.
fn in_own_words(workspace: &WorkspaceId, error: StoreError) -> StoreError {
    let why = || "the server's log says why".into();
    let told = match &error {
        StoreError::Unavailable(_) => StoreError::Unavailable(why()),
        StoreError::QuotaExceeded(_) => StoreError::QuotaExceeded(why()),
        StoreError::Corrupted(_) => StoreError::Corrupted(why()),
        // It is between the store and the replica.
        _ => return error,
    };
    tracing::warn!(%workspace, %error, "the store could not do what it was asked for");
    told
}

fn note_event(workspace: &WorkspaceId, event: &Event) {
    match event {
        Event::StoreFailed { error, .. } => {
            metrics::counter!(instruments::STORE_FAILURES).increment(1);
            tracing::error!(%workspace, %error, "the store failed; changes wait until it works again");
        }
        Event::StoreWorks => tracing::info!(%workspace, "the store works again"),
        Event::Quarantined { document } => {
            tracing::error!(%workspace, %document, "a stored record cannot be read and was put aside");
        }
        Event::Damaged { document, readable, newest } => {
            metrics::counter!(instruments::DAMAGED_DOCUMENTS).increment(1);
            tracing::error!(
                %workspace, %document, %readable, %newest,
                "the newest revisions cannot be read; the document is read-only until somebody connects who holds them"
            );
        }
        Event::Mended { document } => {
            metrics::counter!(instruments::MENDED_DOCUMENTS).increment(1);
            tracing::info!(%workspace, %document, "what could not be read is written again");
        }
        _ => {}
    }
}

fn random_seed() -> Seed {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    Seed(u128::from_le_bytes(bytes))
}

pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
