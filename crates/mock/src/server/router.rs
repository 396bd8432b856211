//! The router of an echo or a replay.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::admin;
use super::desk::{Desk, Orders, Watch};
use super::error::Error;
use super::options::MockOptions;
use super::script_file::ScriptFile;
use super::socket::{Clock, drive};
use crate::limits::READ_BUFFER_BYTES;
use crate::random::Random;
use crate::spans::{connected, create_ws_connection_span};
use crate::{Dialect, Echo, LatencyInjector, LatencyProfile, Linked, Machine, Replay};

/// The router of an echo at `/ws`, or of a replay where `REJOIN_WS_REPLAY_FILE` names a script; with
/// `REJOIN_RESPONSE_TEMPLATE_EXPAND` its tokens are made anew.
///
/// # Panics
///
/// If what the environment names cannot be used: a mock that plays something else would be taken for a fault of what is tested.
/// [`router_with_options`] gives the error instead.
///
/// ```
/// use rejoin_mock::router;
///
/// let app = router();
/// // Routes WebSocket connections to /ws
/// # let _: axum::Router = app;
/// ```
pub fn router() -> Router {
    match MockOptions::from_environment().and_then(router_with_options) {
        Ok(router) => router,
        Err(error) => panic!("{error}"),
    }
}

/// The same as [`router`], where messages take time and go wrong.
///
/// # Panics
///
/// As [`router`] does.
///
/// ```
/// use rejoin_mock::{LatencyInjector, LatencyProfile, router_with_latency};
///
/// let latency = LatencyProfile::slow(); // 300-800ms
/// let injector = LatencyInjector::new(latency, Default::default());
/// let app = router_with_latency(injector);
/// # let _: axum::Router = app;
/// ```
pub fn router_with_latency(latency_injector: LatencyInjector) -> Router {
    let options = MockOptions::from_environment();
    let router = options
        .and_then(|options| router_with_options(MockOptions { latency: Some(latency_injector), ..options }));
    match router {
        Ok(router) => router,
        Err(error) => panic!("{error}"),
    }
}

/// Serves what [`router_with_latency`] does, or [`router`], on this port of this machine, for as long as nothing fails.
///
/// ```no_run
/// use rejoin_mock::LatencyProfile;
/// use rejoin_mock::start_with_latency;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// start_with_latency(3001, Some(LatencyProfile::normal())).await?;
/// # Ok(())
/// # }
/// ```
pub async fn start_with_latency(port: u16, latency: Option<LatencyProfile>) -> Result<(), Error> {
    let latency = latency.map(|profile| LatencyInjector::new(profile, Default::default()));
    let router = router_with_options(MockOptions { latency, ..MockOptions::from_environment()? })?;
    serve(bind(SocketAddr::from(([127, 0, 0, 1], port))).await?, router).await
}

/// The router of an echo, or of a replay where there is a script.
pub fn router_with_options(options: MockOptions) -> Result<Router, Error> {
    let hall = Arc::new(Hall::new(&options)?);
    let admin = hall.admin();
    Ok(mock_routes(options, hall)?.merge(admin))
}

pub(super) fn mock_routes(options: MockOptions, hall: Arc<Hall>) -> Result<Router, Error> {
    let path = options.path.clone();
    let mock = Arc::new(Mock::new(options, hall)?);
    Ok(Router::new().route(&path, any(upgrade)).with_state(mock))
}

/// Serves a router for as long as nothing fails, as `axum::serve` does, but has each message leave when it is sent. Otherwise the second of two
/// that are sent within 40 ms waits until the client has acknowledged the first.
///
/// ```no_run
/// # async fn example() -> Result<(), rejoin_mock::Error> {
/// let listener = rejoin_mock::bind(([127, 0, 0, 1], 3001).into()).await?;
/// rejoin_mock::serve(listener, rejoin_mock::router()).await
/// # }
/// ```
pub async fn serve(listener: TcpListener, router: Router) -> Result<(), Error> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "messages of a connection may wait for each other");
        }
    });
    axum::serve(listener, router).await.map_err(|error| Error::Protocol(error.to_string()))
}

/// Listens on an address, for [`serve`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })
}

/// What all paths of a mock share: who may come in, and who watches.
pub(super) struct Hall {
    pub(super) gate: Gate,
    desk: Option<Arc<Desk>>,
    admin: bool,
}

impl Hall {
    pub(super) fn new(options: &MockOptions) -> Result<Self, Error> {
        let watched = options.admin || options.observer.is_some();
        let desk = watched.then(|| Arc::new(Desk::new(options.admin, options.observer.clone())));
        Ok(Self { gate: Gate::new(options)?, desk, admin: options.admin })
    }

    /// A place at the desk for a connection, if there is a desk.
    pub(super) fn watch(&self, path: &str, dialect: Dialect) -> Option<(Watch, Orders)> {
        self.desk.as_ref().map(|desk| desk.open(path, dialect, Clock::start().now()))
    }

    /// The routes of the desk, if anybody may ask it.
    pub(super) fn admin(&self) -> Router {
        self.desk.clone().filter(|_| self.admin).map(admin::routes).unwrap_or_default()
    }

    /// Does what a machine says, behind a link if there is one.
    pub(super) async fn drive<M>(
        &self,
        socket: WebSocket,
        machine: M,
        options: &MockOptions,
        (path, seed): (&str, u64),
        wake: Option<Arc<Notify>>,
    ) where
        M: Machine,
        M::Note: Display,
    {
        let watch = self.watch(path, Dialect::Unknown);
        match &options.latency {
            None => drive(socket, machine, options, watch, wake).await,
            Some(link) => {
                drive(socket, Linked::new(machine, link, path, seed), options, watch, wake).await;
            }
        }
    }
}

/// What serves as an echo or by a script.
pub(super) struct Mock {
    pub(super) options: MockOptions,
    script: Option<ScriptFile>,
    pub(super) hall: Arc<Hall>,
}

impl Mock {
    pub(super) fn new(options: MockOptions, hall: Arc<Hall>) -> Result<Self, Error> {
        options.check()?;
        let script =
            options.script.clone().map(|path| ScriptFile::open(path, options.expands)).transpose()?;
        Ok(Self { script, hall, options })
    }

    /// Serves a connection as an echo or by the script.
    pub(super) async fn serve(self: Arc<Self>, socket: WebSocket, path: String, entry: Entry) {
        if self.script.is_none() {
            return self.drive(socket, Echo::new(), &path, entry.seed).await;
        }
        let mock = self.clone();
        let script = tokio::task::spawn_blocking(move || mock.script.as_ref().map(ScriptFile::current)).await;
        if let Ok(Some(script)) = script {
            self.drive(socket, Replay::new(script, entry.seed), &path, entry.seed).await;
        }
    }

    async fn drive<M>(&self, socket: WebSocket, machine: M, path: &str, seed: u64)
    where
        M: Machine,
        M::Note: Display,
    {
        self.hall.drive(socket, machine, &self.options, (path, seed), None).await;
    }
}

async fn upgrade(State(mock): State<Arc<Mock>>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let entry = match mock.hall.gate.enter() {
        Ok(entry) => entry,
        Err(full) => return full.into_response(),
    };
    let bytes = mock.options.max_message_bytes;
    let (span, path) = (create_ws_connection_span(&request), request.uri().path().to_owned());
    let upgrade = sized(upgrade, bytes);
    upgrade.on_upgrade(move |socket| connected(span, mock.serve(socket, path, entry)))
}

/// Counts connections, and gives each its seed.
pub(super) struct Gate {
    room: Arc<Semaphore>,
    seed: u64,
    next: AtomicU64,
}

/// A connection's place, until it is dropped.
pub(super) struct Entry {
    pub(super) seed: u64,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(options: &MockOptions) -> Result<Self, Error> {
        let seed = match options.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(Error::Randomness)?,
        };
        tracing::debug!(seed, "what is left to chance comes from this seed");
        let room = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { room, seed, next: AtomicU64::new(0) })
    }

    pub(super) fn enter(&self) -> Result<Entry, Full> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| Full)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let seed = Random::new(self.seed.wrapping_add(Random::new(number).next())).next();
        Ok(Entry { seed, _permit: permit })
    }
}

/// As many connections are open as may be.
pub(super) struct Full;

impl IntoResponse for Full {
    fn into_response(self) -> Response {
        let text = "too many connections; close one, or raise the limit\n";
        (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], text).into_response()
    }
}

/// A connection of messages of so many bytes.
pub(super) fn sized(upgrade: WebSocketUpgrade, max_message_bytes: usize) -> WebSocketUpgrade {
    let upgrade = upgrade.read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(READ_BUFFER_BYTES);
    upgrade.max_message_size(max_message_bytes).max_frame_size(max_message_bytes)
}
