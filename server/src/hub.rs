//! Replicas and their shards: which task owns a workspace, and how the rest of the server reaches it.
//!
//! A workspace belongs to one shard and its feed has one order. A shard is one task that owns its replicas: there is no lock around the
//! machine. Everything reaches it through one bounded queue, and it never waits for a socket: a link that does not take what it is
//! given is closed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::join_all;
use rejoin_core::{Backlog, Config, Input, LinkId, Peer, Replica, Reply, Token};
use rejoin_store::Store;
use rejoin_wire::{CloseCode, ErrorCode, Message, UnixMillis, WorkspaceId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::instruments;
use crate::recordings::Recordings;
use crate::text_door::Told;
use shard::{LinkEnd, Shard, ShardInput};
pub(crate) use urgent::Urgency;
use urgent::Urgent;

mod shard;
mod urgent;

#[cfg(test)]
mod tests;

/// Inputs that wait for one shard; whoever has more to say waits, and stops reading its socket meanwhile.
const SHARD_QUEUE: usize = 4_096;

/// Messages that wait for one link. The replica stops by bytes long before; this bounds what it does not count.
const LINK_QUEUE: usize = 4_096;

/// Time that a command has to be answered.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Said where it was not.
const SILENT: &str = "the store does not answer; what was asked for may still take effect: send it again, under the same key if it had one";

/// Time that a shard has to say what waits there.
const SURVEY_PATIENCE: Duration = Duration::from_secs(1);

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

/// What a shard has a replica do.
pub(crate) type Run = Box<dyn FnOnce(&mut Replica, Token) + Send>;

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
                    let (store, configure) = (Arc::clone(&store), Arc::clone(&configure));
                    Shard::new(store, configure, Arc::clone(&processors), recordings.clone())
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

fn unavailable(message: &str) -> Reply {
    Reply::Refused { code: ErrorCode::Unavailable, message: message.into() }
}

pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
