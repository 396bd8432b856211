//! Rooms of one's own in an axum application.
//!
//! [`RoomsManager`] is a machine; here are the task that owns it, sockets, REST and a store around it, as a router that mounts into any
//! application. The types of rooms, clients, presence and storage are the application's. Whoever wants documents that replicas, pages and clients of Yjs edit too
//! takes `rejoin-server`, whose rooms are those.
//!
//! ```no_run
//! use rejoin_rooms::presentation::{PresentationPresence, SharedPresentation};
//! use rejoin_rooms::{ClientId, RoomId};
//! use rejoin_rooms_axum::{MemoryStore, Options, Rooms, router};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new(|_: &RoomId| SharedPresentation::default());
//! let rooms = Rooms::<RoomId, ClientId, PresentationPresence, SharedPresentation>::start(Options::default(), store);
//! let app = axum::Router::new().route("/", axum::routing::get(|| async { "mine" })).merge(router(&rooms));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app).await?;
//! # Ok(()) }
//! ```
//!
//! | path | what it is |
//! |---|---|
//! | `/ws/room/{room}` | the socket; `?client_id=` of who comes back |
//! | `GET /api/rooms` | rooms in memory |
//! | `GET`, `POST`, `DELETE /api/rooms/{room}` | one of them: shows it, makes it, deletes it with its storage |
//! | `GET`, `POST`, `PATCH /api/rooms/{room}/storage` | what it shows, `?since=` what changed; edits it |
//! | `GET /api/rooms/{room}/presence` | who is in it |

mod actor;
mod rest;
mod socket;
mod store;

use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use axum::routing::get;
use rejoin_json::Json;
use rejoin_rooms::{
    ClientId, ClientIdLike, Config, Difference, MemberPresence, PresenceLike, Refusal, Right, RoomIdLike,
    RoomsManager, StorageLike,
};
use rejoin_wire::ErrorCode;
use tokio::sync::{mpsc, oneshot};

use actor::{Actor, Input};
pub use actor::{MAX_WAITING, QUEUE};
pub use store::{MemoryStore, Never, RoomStore};

/// Who asks, as the application finds it in the head of a request.
type Admit<R> = Arc<dyn Fn(&Parts, &R) -> Result<Right, Refusal> + Send + Sync>;

/// Who a client is: the id that it says it had before, or a new one.
type Identify<C> = Arc<dyn Fn(Option<&str>) -> Result<C, Refusal> + Send + Sync>;

/// What rooms are made of.
pub struct Options<R, C> {
    /// Times and capacities.
    pub config: Config,
    /// Decides what whoever asks may do in a room, before anything is done. Everybody may edit without it.
    pub admit: Admit<R>,
    /// Gives a client its id. `client_id` of the address is given to it.
    pub identify: Identify<C>,
}

impl<R> Default for Options<R, ClientId> {
    fn default() -> Self {
        Self { config: Config::default(), admit: Arc::new(|_, _| Ok(Right::Edit)), identify: Arc::new(uuid) }
    }
}

/// The id that a client had, or a random one.
fn uuid(had: Option<&str>) -> Result<ClientId, Refusal> {
    if let Some(had) = had {
        let refused =
            |error: rejoin_rooms::ClientIdError| Refusal::new(ErrorCode::InvalidValue, error.to_string());
        return had.parse().map_err(refused);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Refusal::new(ErrorCode::Unavailable, error.to_string()))?;
    let bits = u128::from_le_bytes(bytes);
    // As UUIDs of version 4 are written.
    Ok(ClientId(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62))
}

/// Rooms that run as a task. It ends with the last clone and the last socket.
pub struct Rooms<R, C, P, S: StorageLike> {
    inputs: mpsc::Sender<Input<R, C, P, S>>,
    admit: Admit<R>,
    identify: Identify<C>,
}

impl<R, C, P, S: StorageLike> Clone for Rooms<R, C, P, S> {
    fn clone(&self) -> Self {
        Self {
            inputs: self.inputs.clone(),
            admit: Arc::clone(&self.admit),
            identify: Arc::clone(&self.identify),
        }
    }
}

/// The task of the rooms has ended.
fn ended() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "the rooms are closed: try again later")
}

impl<R, C, P, S> Rooms<R, C, P, S>
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    /// Starts the task. Must be called inside a tokio runtime.
    pub fn start(options: Options<R, C>, store: impl RoomStore<R, S>) -> Self {
        let (inputs, receiver) = mpsc::channel(QUEUE);
        let actor = Actor::new(options.config, store, inputs.downgrade());
        tokio::spawn(actor.run(receiver));
        Self { inputs, admit: options.admit, identify: options.identify }
    }

    /// Has the rooms do something, and gives what comes of it.
    async fn with<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut RoomsManager<R, C, P, S>, rejoin_rooms::Time) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let run = Input::Run(Box::new(move |manager: &mut RoomsManager<R, C, P, S>, time| {
            let _ = reply.send(run(manager, time));
        }));
        self.inputs.send(run).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// The rooms in memory.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where the task has ended, as in all that follow.
    pub async fn rooms(&self) -> Result<Vec<R>, Refusal> {
        self.with(|manager, _| manager.rooms().cloned().collect()).await
    }

    /// Who is in a room; `None` where it is not in memory.
    ///
    /// # Errors
    ///
    /// As [`rooms`](Self::rooms).
    pub async fn members(&self, room: &R) -> Result<Option<Vec<MemberPresence<C>>>, Refusal> {
        let room = room.clone();
        self.with(move |manager, _| manager.members(&room)).await
    }

    /// Makes a room, unless it is there, and waits for its storage: the durable version and what it shows.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where there are too many rooms, or the storage cannot be read.
    pub async fn open(&self, room: &R) -> Result<(u64, Json), Refusal> {
        self.reach(room, 0).await
    }

    /// Waits until a version is durable.
    async fn reach(&self, room: &R, version: u64) -> Result<(u64, Json), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Wait(room.clone(), version, reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// What is durable of a room's storage and came after a version.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn since(&self, room: &R, version: u64) -> Result<Difference, Refusal> {
        let (newest, snapshot) = self.open(room).await?;
        let room = room.clone();
        let known = self.with(move |manager, _| manager.since(&room, version)).await?;
        Ok(known.unwrap_or(Difference::Whole { version: newest, snapshot }))
    }

    /// Edits the storage of a room, which is told; gives the version that the batch made, once it is durable.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where the batch is not taken, or the store fails.
    pub async fn update_storage(&self, room: &R, operation: S::Operation) -> Result<u64, Refusal> {
        self.open(room).await?;
        let edited = room.clone();
        let version = self.with(move |manager, _| manager.update_storage(&edited, operation)).await??;
        self.reach(room, version).await.map(|_| version)
    }

    /// Deletes a room with its storage: its members leave. Says whether the store did so.
    ///
    /// # Errors
    ///
    /// As [`rooms`](Self::rooms).
    pub async fn delete(&self, room: &R) -> Result<bool, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Delete(room.clone(), reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

/// The sockets and the REST of rooms. Mounts into any axum application.
pub fn router<R, C, P, S>(rooms: &Rooms<R, C, P, S>) -> Router
where
    R: RoomIdLike + Send + Sync + 'static,
    C: ClientIdLike + Send + Sync + 'static,
    P: PresenceLike + Send + 'static,
    S: StorageLike + Send + 'static,
    S::Change: Send + 'static,
    S::Operation: Send + 'static,
{
    Router::new()
        .route("/ws/room/{room}", get(socket::upgrade::<R, C, P, S>))
        .route("/api/rooms", get(rest::list::<R, C, P, S>))
        .route(
            "/api/rooms/{room}",
            get(rest::read::<R, C, P, S>).post(rest::create::<R, C, P, S>).delete(rest::delete::<R, C, P, S>),
        )
        .route(
            "/api/rooms/{room}/storage",
            get(rest::storage::<R, C, P, S>)
                .post(rest::update::<R, C, P, S>)
                .patch(rest::update::<R, C, P, S>),
        )
        .route("/api/rooms/{room}/presence", get(rest::presence::<R, C, P, S>))
        .with_state(rooms.clone())
}
