//! A shard: one task that owns its replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rejoin_core::storage::{Answer, RequestId, StoreError};
use rejoin_core::{
    Backlog, Computed, Config, Event, Input, Instant, LinkId, Output, Payload, Peer, Replica, Reply, Role,
    Seed, Token,
};
use rejoin_record::Start;
use rejoin_store::Store;
use rejoin_wire::{Encoding, WorkspaceId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::{Closing, Outgoing, Run, Urgency, Urgent, unavailable, unix_now};
use crate::instruments;
use crate::recordings::Recordings;
use crate::text_door::Told;

/// Inputs that a shard takes before it does what they ask for: the larger, the more edits share a commit and a frame.
pub(super) const SHARD_BATCH: usize = 512;

/// Commands that wait for their answers in one shard, those included that nobody waits for any more; one more is refused.
pub(super) const MAX_COMMANDS: usize = 16_384;

/// Time after which a workspace that nobody uses leaves memory: nobody is linked to it and nothing is under way.
pub(crate) const IDLE_PATIENCE: Duration = Duration::from_secs(60);

/// How often a shard looks for such workspaces.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// The end of a link that its shard holds.
pub(super) struct LinkEnd {
    pub(super) queue: mpsc::Sender<Outgoing>,
    pub(super) urgent: Arc<Urgent>,
    pub(super) encoding: Encoding,
}

/// What reaches a shard.
pub(super) enum ShardInput {
    Open { workspace: WorkspaceId, link: LinkId, peer: Peer, end: LinkEnd },
    Link { workspace: WorkspaceId, input: Input },
    Closed { workspace: WorkspaceId, link: LinkId },
    Command { workspace: WorkspaceId, run: Run, reply: oneshot::Sender<Reply> },
    Survey { reply: oneshot::Sender<Backlog> },
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
pub(super) struct Shard {
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
    pub(super) fn new(
        store: Arc<dyn Store>,
        configure: Arc<dyn Fn(WorkspaceId) -> Config + Send + Sync>,
        processors: Arc<Semaphore>,
        recordings: Option<Arc<Recordings>>,
    ) -> Self {
        Self {
            store,
            configure,
            processors,
            recordings,
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

    pub(super) async fn run(mut self, queue: &mut mpsc::Receiver<ShardInput>) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_decision_that_panics_is_answered_as_one_that_failed() {
        let store: Arc<dyn Store> = Arc::new(rejoin_store::SharedMemoryStore::default());
        let configure = Arc::new(|workspace| Config::new(workspace, Role::Root));
        let shard = Shard::new(store, configure, Arc::new(Semaphore::new(1)), None);
        for job in [|| panic!("on purpose"), Computed::failed] {
            shard.compute(WorkspaceId::new("w").unwrap(), RequestId(7), job);
            shard.answers.arrived.notified().await;
            let answers = shard.answers.take();
            let [(_, Input::Computed { request: RequestId(7), .. })] = &answers[..] else {
                panic!("{answers:?}")
            };
        }
    }
}
