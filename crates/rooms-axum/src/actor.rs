//! The task that owns the rooms, and does what they ask for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;

use rejoin_core::Instant;
use rejoin_json::Json;
use rejoin_rooms::limits::{MAX_IN_FLIGHT, MAX_PENDING_BATCHES};
use rejoin_rooms::{
    ClientIdLike, Config, Connection, Effect, JoinError, PresenceLike, Refusal, Right, RoomIdLike,
    RoomsManager, Stay, StorageLike, Time,
};
use rejoin_wire::{CloseCode, ErrorCode, UnixMillis};
use tokio::sync::{mpsc, oneshot};

use crate::store::RoomStore;

/// Inputs that wait for the task; who has another waits, and does not read its socket meanwhile.
pub const QUEUE: usize = 1_024;

/// Requests that wait for a storage to be read, or a batch to be stored; one more is refused.
pub const MAX_WAITING: usize = 1_024;

/// What waits for the store of one room: its batches that are not durable, and a little more.
const STORE_QUEUE: usize = MAX_PENDING_BATCHES + 8;

/// What goes to a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Text(Arc<str>),
    Close(CloseCode, &'static str),
}

/// Messages on their way to a socket: the manager gives out no more before it hears that they were taken.
pub(crate) const SOCKET_QUEUE: usize = MAX_IN_FLIGHT + 1;

/// What a program does with the rooms.
pub(crate) type Run<R, C, P, S> = Box<dyn FnOnce(&mut RoomsManager<R, C, P, S>, Time) + Send>;

/// Decides what a client may do in a room.
pub(crate) type Decide<R> = Arc<dyn Fn(&R) -> Result<Right, Refusal> + Send + Sync>;

pub(crate) enum Input<R, C, P, S: StorageLike> {
    Connect {
        client: C,
        room: R,
        right: Right,
        decide: Decide<R>,
        queue: mpsc::Sender<Outgoing>,
        gone: oneshot::Sender<Infallible>,
        reply: oneshot::Sender<Result<Connection, JoinError>>,
    },
    Received(Connection, String),
    Heard(Connection),
    Taken(Connection),
    Closed(Connection),
    Loaded(R, Stay, S),
    Persisted(R, Stay, u64),
    Failed(R, Stay),
    Deleted(R, oneshot::Sender<bool>, bool),
    /// A room's store has nothing more to do, after so many requests.
    Idle(R, u64),
    Delete(R, oneshot::Sender<bool>),
    /// Tells when a version of a room is durable, and what it shows; a room that is not in memory is made.
    Wait(R, u64, oneshot::Sender<Result<(u64, Json), Refusal>>),
    Run(Run<R, C, P, S>),
}

/// What is asked of the store for one room.
enum Ask<R, S: StorageLike> {
    Load(Stay),
    Persist(Stay, u64, S::Change),
    Unload(S),
    Delete(oneshot::Sender<bool>, std::marker::PhantomData<R>),
}

struct Socket<R> {
    queue: mpsc::Sender<Outgoing>,
    /// Dropped when the rooms have given the socket up.
    _gone: oneshot::Sender<Infallible>,
    decide: Decide<R>,
}

struct Worker<R, S: StorageLike> {
    queue: mpsc::Sender<Ask<R, S>>,
    asked: u64,
}

/// Who waits for a version of a room.
struct Waiting<R> {
    room: R,
    version: u64,
    reply: oneshot::Sender<Result<(u64, Json), Refusal>>,
}

pub(crate) struct Actor<R, C, P, S: StorageLike, St> {
    manager: RoomsManager<R, C, P, S>,
    store: Arc<St>,
    sockets: BTreeMap<Connection, Socket<R>>,
    workers: BTreeMap<R, Worker<R, S>>,
    waiting: Vec<Waiting<R>>,
    next: u64,
    started: tokio::time::Instant,
    inputs: mpsc::WeakSender<Input<R, C, P, S>>,
}

impl<R, C, P, S, St> Actor<R, C, P, S, St>
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
    St: RoomStore<R, S>,
{
    pub(crate) fn new(config: Config, store: St, inputs: mpsc::WeakSender<Input<R, C, P, S>>) -> Self {
        Self {
            manager: RoomsManager::new(config, Instant(0)),
            store: Arc::new(store),
            sockets: BTreeMap::new(),
            workers: BTreeMap::new(),
            waiting: Vec::new(),
            next: 1,
            started: tokio::time::Instant::now(),
            inputs,
        }
    }

    fn time(&self) -> Time {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time {
            now: Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)),
            unix: UnixMillis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// Runs until nobody can ask for anything any more.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input<R, C, P, S>>) {
        loop {
            let due = self.started + std::time::Duration::from_micros(self.manager.poll_timeout().0);
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                () = tokio::time::sleep_until(due) => {
                    let time = self.time();
                    self.manager.handle_timeout(time);
                }
            }
            self.perform();
            self.answer();
        }
    }

    /// Answers those who wait for what is there now, or comes no more.
    fn answer(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.manager.storage(&waiting.room) {
                Some(storage) if storage.0 >= waiting.version => {
                    let _ = waiting.reply.send(Ok(storage));
                }
                None if self.manager.members(&waiting.room).is_none() => {
                    let message = "the store does not answer for this room: try again later";
                    let _ = waiting.reply.send(Err(Refusal::new(ErrorCode::Unavailable, message)));
                }
                _ => self.waiting.push(waiting),
            }
        }
    }

    fn take(&mut self, input: Input<R, C, P, S>) {
        let time = self.time();
        match input {
            Input::Connect { client, room, right, decide, queue, gone, reply } => {
                let connection = Connection(self.next);
                self.next += 1;
                let connected = self.manager.connect(time, connection, client, &room, right);
                if connected.is_ok() {
                    self.sockets.insert(connection, Socket { queue, decide, _gone: gone });
                }
                let _ = reply.send(connected.map(|()| connection));
            }
            Input::Received(connection, text) => self.manager.received(time, connection, &text),
            Input::Heard(connection) => self.manager.heard(time, connection),
            Input::Taken(connection) => self.manager.taken(connection),
            Input::Closed(connection) => {
                self.sockets.remove(&connection);
                self.manager.disconnected(time, connection);
            }
            Input::Loaded(room, stay, storage) => self.manager.loaded(time, &room, stay, storage),
            Input::Persisted(room, stay, version) => self.manager.persisted(time, &room, stay, version),
            Input::Failed(room, stay) => self.manager.failed(time, &room, stay),
            Input::Deleted(_, reply, is_deleted) => {
                let _ = reply.send(is_deleted);
            }
            Input::Idle(room, done) => {
                if self.workers.get(&room).is_some_and(|worker| worker.asked == done) {
                    self.workers.remove(&room);
                }
            }
            Input::Delete(room, reply) => {
                self.manager.delete(time, &room);
                self.ask(&room, Ask::Delete(reply, std::marker::PhantomData));
            }
            Input::Wait(_, _, reply) if self.waiting.len() >= MAX_WAITING => {
                let message = "too many wait for storages: try again later";
                let _ = reply.send(Err(Refusal::new(ErrorCode::RateLimited, message)));
            }
            Input::Wait(room, version, reply) => match self.manager.open(time, room.clone()) {
                Ok(()) => self.waiting.push(Waiting { room, version, reply }),
                Err(error) => {
                    let _ = reply.send(Err(error.into()));
                }
            },
            Input::Run(run) => run(&mut self.manager, time),
        }
    }

    fn perform(&mut self) {
        while let Some(effect) = self.manager.poll_effect() {
            match effect {
                Effect::Send { connection, text } => self.send(connection, Outgoing::Text(text)),
                Effect::Close { connection, code, reason } => {
                    self.send(connection, Outgoing::Close(code, reason));
                    self.sockets.remove(&connection);
                }
                Effect::MayJoin { connection, room } => {
                    let time = self.time();
                    let decided = match self.sockets.get(&connection) {
                        Some(socket) => (socket.decide)(&room),
                        None => Err(Refusal::new(ErrorCode::UnexpectedMessage, "the connection is closed")),
                    };
                    match decided {
                        Ok(right) => {
                            // The client is told where it cannot.
                            let _ = self.manager.join(time, connection, &room, right);
                        }
                        Err(refusal) => self.manager.refuse(time, connection, &refusal),
                    }
                }
                Effect::Load { room, stay } => self.ask(&room, Ask::Load(stay)),
                Effect::Persist { room, stay, version, change } => {
                    self.ask(&room, Ask::Persist(stay, version, change));
                }
                Effect::Empty { .. } => {}
                Effect::Unload { room, storage } => self.ask(&room, Ask::Unload(storage)),
            }
        }
    }

    /// The queue has room for all that may be on its way.
    fn send(&mut self, connection: Connection, outgoing: Outgoing) {
        if let Some(socket) = self.sockets.get(&connection) {
            let _ = socket.queue.try_send(outgoing);
        }
    }

    fn ask(&mut self, room: &R, ask: Ask<R, S>) {
        let stay = match &ask {
            Ask::Load(stay) | Ask::Persist(stay, ..) => Some(*stay),
            Ask::Unload(_) | Ask::Delete(..) => None,
        };
        if !self.workers.contains_key(room) {
            let (queue, asked) = mpsc::channel(STORE_QUEUE);
            tokio::spawn(work(Arc::clone(&self.store), room.clone(), asked, self.inputs.clone()));
            self.workers.insert(room.clone(), Worker { queue, asked: 0 });
        }
        let Some(worker) = self.workers.get_mut(room) else { return };
        worker.asked += 1;
        if worker.queue.try_send(ask).is_err()
            && let Some(stay) = stay
        {
            worker.asked -= 1;
            let time = self.time();
            self.manager.failed(time, room, stay);
        }
    }
}

/// Asks the store for what concerns one room, one thing after the other.
async fn work<R, C, P, S, St>(
    store: Arc<St>,
    room: R,
    mut asked: mpsc::Receiver<Ask<R, S>>,
    inputs: mpsc::WeakSender<Input<R, C, P, S>>,
) where
    R: RoomIdLike + Send + Sync + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send,
    St: RoomStore<R, S>,
{
    let mut done = 0;
    // What comes behind a batch that was not stored is no part of what is.
    let mut given_up = None;
    while let Some(ask) = asked.recv().await {
        let ends = matches!(ask, Ask::Unload(_) | Ask::Delete(..));
        let answer = match ask {
            Ask::Load(stay) => Some(match store.load(&room).await {
                Ok(storage) => Input::Loaded(room.clone(), stay, storage),
                Err(error) => failed(&room, stay, &error),
            }),
            Ask::Persist(stay, ..) if given_up == Some(stay) => None,
            Ask::Persist(stay, version, change) => Some(match store.persist(&room, version, change).await {
                Ok(()) => Input::Persisted(room.clone(), stay, version),
                Err(error) => {
                    given_up = Some(stay);
                    failed(&room, stay, &error)
                }
            }),
            Ask::Unload(storage) => {
                store.unload(&room, storage).await;
                None
            }
            Ask::Delete(reply, _) => {
                let deleted = store.delete(&room).await;
                if let Err(error) = &deleted {
                    tracing::error!(%room, %error, "a room was not deleted");
                }
                Some(Input::Deleted(room.clone(), reply, deleted.is_ok()))
            }
        };
        done += 1;
        let idle = ends.then(|| Input::Idle(room.clone(), done));
        for input in answer.into_iter().chain(idle) {
            // The rooms do not stay for the store.
            let Some(inputs) = inputs.upgrade() else { return };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    }
}

fn failed<R: RoomIdLike, C, P, S: StorageLike>(
    room: &R,
    stay: Stay,
    error: &dyn Display,
) -> Input<R, C, P, S> {
    tracing::error!(%room, %error, "the storage of a room is not available");
    Input::Failed(room.clone(), stay)
}
