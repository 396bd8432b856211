//! The server as an axum router.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use rejoin_core::storage::{Answer, Operation, StoreError};
use rejoin_core::{Config, Credentials, Grant, Instant, Reply, Role, Session, SessionConfig, Token};
use rejoin_json::Policy;
use rejoin_rooms::RoomId;
use rejoin_rooms::limits::{CLIENT_TIMEOUT, PING_INTERVAL};
use rejoin_store::{SqliteOptions, SqliteStore, Store};
use rejoin_wire::{
    CloseCode, Encoding, ErrorCode, Hello, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Sequence, WorkspaceId,
};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::admission::{LOCAL, Open, Secret};
use crate::connections::{Connection, Connections};
use crate::error::ApiError;
use crate::feed::Feed;
use crate::gate::{BODY_PATIENCE, Bodies, MAX_BODIES_BYTES, MAX_BODY_BYTES, Names, admit};
use crate::hub::{ANSWER_PATIENCE, Hub, Stopped, unix_now};
use crate::instruments;
use crate::policies::Policies;
use crate::rates::{Limiters, Rates, counted_address, take};
use crate::recordings::{RecordingTo, Recordings};
use crate::rooms_door::Rooms;
use crate::socket::{self, Admission, Conversation, serve};
use crate::tickets::Tickets;
use crate::upgrade::{NoUpgrade, Upgrade};
use crate::yjs_door::KEEP_ALIVE_INTERVAL;
use crate::{openapi, rest};

mod rooms;
#[cfg(test)]
mod tests;
mod yjs;

use rooms::upgrade_room;
use yjs::{upgrade_hocuspocus, upgrade_y_websocket};

/// WebSocket connections that may be open at a time unless another number is set: some 160 MiB while they are idle.
pub const MAX_CONNECTIONS: usize = 16_384;

/// How often what histograms were told is put into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The default workspace, in which a link acts that names none.
const DEFAULT_WORKSPACE: &str = "default";

/// What a server is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// `sqlite:path`, with or without `?mode=rwc`; a missing file is created.
    pub database_url: String,
    /// The bearer token that everybody must present; without it everybody may come in.
    pub secret: Option<Arc<str>>,
    /// Besides the secret, a bearer token by which nothing can be changed.
    pub reader_secret: Option<Arc<str>>,
    /// Origins of pages on other hosts that may connect.
    pub allowed_origins: Vec<String>,
    /// Whether pages of this machine may connect, from whatever port they come: a development server has one of its own.
    pub allows_local_pages: bool,
    /// Without a secret: names, besides those of this machine (`localhost`, loopback addresses), under which requests are answered, as
    /// `docs.internal`. With a secret every name is good.
    pub hosts: Vec<String>,
    /// Tasks that own replicas; a workspace belongs to one.
    pub shards: usize,
    /// The policy of documents that are created without one.
    pub policy: Policy,
    /// Workspaces in which it is another one.
    pub workspace_policies: BTreeMap<WorkspaceId, Policy>,
    /// How much one address and one credential may ask for.
    pub rates: Rates,
    /// WebSocket connections that may be open at a time; 0 is no limit.
    pub max_connections: usize,
    /// Proxies in front of the server that append to `X-Forwarded-For`; 0 where clients connect by themselves, and the header is not
    /// believed.
    pub trusted_proxies: usize,
    /// Bytes of REST bodies that may be in memory at a time; more are refused with 503.
    pub max_bodies_bytes: usize,
    /// Time that a REST body may take to arrive.
    pub body_patience: Duration,
    /// Time that a request has to be answered while the store works slowly or not at all; then it is refused with 503.
    pub answer_patience: Duration,
    /// Silence of a client of rooms after which it is sent a ping.
    pub room_ping_interval: Duration,
    /// Silence after which such a client is taken for dead, and leaves its room.
    pub room_client_timeout: Duration,
    /// Where each workspace is recorded, so that what happened can be replayed; nowhere by default.
    pub recording: Option<RecordingTo>,
    /// Where metrics are read from, as made by [`recorder`](crate::recorder); without it `/metrics` says that there are none.
    pub metrics: Option<PrometheusHandle>,
}

impl ServerOptions {
    /// An open server over a database, for programs that sit in front of it or run on this machine only.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            secret: None,
            reader_secret: None,
            allowed_origins: Vec::new(),
            allows_local_pages: false,
            hosts: Vec::new(),
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            policy: Policy::Theirs,
            workspace_policies: BTreeMap::new(),
            rates: Rates::NONE,
            max_connections: MAX_CONNECTIONS,
            trusted_proxies: 0,
            max_bodies_bytes: MAX_BODIES_BYTES,
            body_patience: BODY_PATIENCE,
            answer_patience: ANSWER_PATIENCE,
            room_ping_interval: PING_INTERVAL,
            room_client_timeout: CLIENT_TIMEOUT,
            recording: None,
            metrics: None,
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database could not be opened.
    #[error("the database cannot be opened: {0}")]
    Store(#[from] rejoin_store::OpenError),
    /// Recordings cannot be written.
    #[error("recordings cannot be written to {}: {error}", folder.display())]
    Recordings {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// A running server, behind its router.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    hub: Hub,
    store: Arc<dyn Store>,
    /// Whether the log says that the store does not answer.
    store_fails: AtomicBool,
    answer_patience: Duration,
    /// The database, where the server opened it.
    database: Option<Arc<SqliteStore>>,
    secret: Option<Secret>,
    names: Names,
    bodies: Bodies,
    admission: Arc<dyn Admission>,
    session: Arc<SessionConfig>,
    /// Of Yjs clients.
    foreign_session: Arc<SessionConfig>,
    /// Of clients of rooms.
    room_session: Arc<SessionConfig>,
    rooms: Arc<Rooms>,
    tickets: Arc<Tickets>,
    workspace: WorkspaceId,
    policies: Arc<Policies>,
    limiters: Arc<Limiters>,
    connections: Connections,
    trusted_proxies: usize,
    metrics: Option<PrometheusHandle>,
    recordings: Option<Arc<Recordings>>,
}

impl Server {
    /// Opens the database and starts the shards. Must be called inside a tokio runtime.
    pub fn start(options: ServerOptions) -> Result<Self, StartError> {
        let database = Arc::new(SqliteStore::open(&options.database_url, &SqliteOptions::default())?);
        let store: Arc<dyn Store> = Arc::clone(&database) as Arc<dyn Store>;
        let to = options.recording.clone();
        let recordings = to.map(|to| {
            let started = Recordings::start(&to);
            started.map_err(|error| StartError::Recordings { folder: to.folder, error })
        });
        let recordings = recordings.transpose()?.map(Arc::new);
        Ok(Self::over(&store, Some(database), recordings, options))
    }

    /// Starts the shards over a store that the application opened and closes by itself; the options' database and folder of recordings are
    /// not looked at. Must be called inside a tokio runtime.
    pub fn over_store(store: &Arc<dyn Store>, options: ServerOptions) -> Self {
        Self::over(store, None, None, options)
    }

    fn over(
        store: &Arc<dyn Store>,
        database: Option<Arc<SqliteStore>>,
        recordings: Option<Arc<Recordings>>,
        options: ServerOptions,
    ) -> Self {
        instruments::describe();
        if let Some(metrics) = options.metrics.clone() {
            tokio::spawn(keep_up(metrics));
        }
        let policies = Arc::new(Policies::new(options.policy, options.workspace_policies));
        let of_workspaces = Arc::clone(&policies);
        let configure = move |workspace: WorkspaceId| {
            let policy = of_workspaces.of(&workspace);
            let mut config = Config::new(workspace, Role::Root);
            config.policy = policy;
            config
        };
        let hub = Hub::start_recorded(store, options.shards, configure, recordings.as_ref())
            .answering_within(options.answer_patience);
        let local = options.secret.is_none().then(|| Grant::new(LOCAL, true));
        let hosts = options.secret.is_none().then_some(options.hosts);
        let tickets = Arc::new(Tickets::new(options.secret.as_deref()));
        let secret = options.secret.map(|members| Secret { members, readers: options.reader_secret });
        let admission: Arc<dyn Admission> = match &secret {
            None => Arc::new(Open),
            Some(secret) => Arc::new(secret.clone()),
        };
        let shared = Shared {
            rooms: Rooms::new(hub.clone()),
            tickets,
            hub,
            store: Arc::clone(store),
            store_fails: AtomicBool::new(false),
            answer_patience: options.answer_patience,
            database,
            names: Names {
                allowed_origins: options.allowed_origins,
                allows_local_pages: options.allows_local_pages,
                hosts,
            },
            bodies: Bodies::new(options.max_bodies_bytes, options.body_patience),
            secret,
            admission,
            session: Arc::new(SessionConfig { local, ..SessionConfig::default() }),
            foreign_session: Arc::new(SessionConfig {
                heartbeat_interval: KEEP_ALIVE_INTERVAL,
                ..SessionConfig::default()
            }),
            room_session: Arc::new(SessionConfig {
                heartbeat_interval: options.room_ping_interval,
                heartbeat_timeout: options.room_client_timeout,
                ..SessionConfig::default()
            }),
            workspace: WorkspaceId::new(DEFAULT_WORKSPACE)
                .unwrap_or_else(|_| unreachable!("a constant id is well formed")),
            policies,
            limiters: Arc::new(Limiters::new(options.rates)),
            connections: Connections::at_most(options.max_connections),
            trusted_proxies: options.trusted_proxies,
            metrics: options.metrics,
            recordings,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells clients to move, finishes what is under way and closes the database.
    ///
    /// For applications with an accept loop of their own; [`serve`](crate::serve) does it by itself.
    pub async fn stop(&self, patience: Duration) {
        self.leave(patience).await;
        self.close().await;
    }

    /// Tells clients to move and refuses further requests; returns when they have gone, or the time is over.
    pub(crate) async fn leave(&self, patience: Duration) {
        self.shared.hub.stop(patience).await;
    }

    /// Closes the database, and the recordings.
    pub(crate) async fn close(&self) {
        if let Some(recordings) = self.shared.recordings.clone() {
            // Closing waits for the thread that writes them.
            let _ = tokio::task::spawn_blocking(move || recordings.close()).await;
        }
        let Some(database) = self.shared.database.clone() else { return };
        // Closing waits for the writer's thread.
        let _ = tokio::task::spawn_blocking(move || database.close()).await;
    }

    /// The replicas.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// The policy of documents that are created without one, in the default workspace.
    pub(crate) fn policy(&self) -> Policy {
        self.shared.policies.of(&self.shared.workspace)
    }

    pub(crate) async fn command(
        &self,
        run: impl FnOnce(&mut rejoin_core::Replica, Token) + Send + 'static,
    ) -> Result<Reply, Stopped> {
        self.shared.hub.command(&self.shared.workspace, run).await
    }

    /// The same in another workspace than the default one.
    pub(crate) async fn command_in(
        &self,
        workspace: &WorkspaceId,
        run: impl FnOnce(&mut rejoin_core::Replica, Token) + Send + 'static,
    ) -> Result<Reply, Stopped> {
        self.shared.hub.command(workspace, run).await
    }

    pub(crate) fn workspace(&self) -> &WorkspaceId {
        &self.shared.workspace
    }

    /// Why the store does not answer a read, where it does not. Nothing lies behind the end of a feed, so that no damage to a document or a
    /// workspace matters. The log says so once, until it answers again.
    async fn store_fails(&self) -> Option<&'static str> {
        const SILENT: &str = "the store does not answer";
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answer: Answer| {
            let _ = sender.send(answer.err());
        });
        let operation = Operation::ScanHeads { after: Sequence(u64::MAX), past: None, limit: 1 };
        // One that is refused drops the reply, so that nothing is waited for.
        let _ = self.shared.store.submit(&self.shared.workspace, operation, reply);
        let answer = timeout(self.shared.answer_patience, answer).await;
        if let Ok(Ok(None)) = answer {
            self.shared.store_fails.store(false, Ordering::Relaxed);
            return None;
        }
        let error = answer.ok().and_then(Result::ok).flatten();
        if !self.shared.store_fails.swap(true, Ordering::Relaxed) {
            let why = error.as_ref().map_or_else(|| SILENT.to_owned(), ToString::to_string);
            tracing::error!(why, "not ready");
        }
        Some(match error {
            None => SILENT,
            Some(StoreError::Corrupted(_)) => {
                "the database is damaged: `rejoin doctor` says how, and what can be done"
            }
            Some(_) => "the store answers with an error, which the log has",
        })
    }

    /// The events of the default workspace.
    pub(crate) fn feed(&self) -> Feed {
        Feed { hub: self.shared.hub.clone(), workspace: self.shared.workspace.clone() }
    }

    pub(crate) fn rooms(&self) -> &Arc<Rooms> {
        &self.shared.rooms
    }

    pub(crate) fn tickets(&self) -> &Tickets {
        &self.shared.tickets
    }

    pub(crate) fn limiters(&self) -> &Limiters {
        &self.shared.limiters
    }

    pub(crate) fn trusted_proxies(&self) -> usize {
        self.shared.trusted_proxies
    }

    pub(crate) fn bodies(&self) -> &Bodies {
        &self.shared.bodies
    }

    /// Whether a request's page and the name that it was sent to are good.
    pub(crate) fn check_names(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
        self.shared.names.check(headers, uri)
    }

    /// Who sends a REST request, and what it may do.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Result<Grant, ApiError> {
        let grant = self.identify(headers)?;
        let limit = self.shared.limiters.credential_requests.as_ref();
        take(limit, Some(Arc::clone(&grant.principal))).map_err(ApiError::rate_limited)?;
        Ok(grant)
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Grant, ApiError> {
        let Some(secret) = &self.shared.secret else { return Ok(Grant::new(LOCAL, true)) };
        match bearer(headers).map(|token| secret.grant(&token)) {
            Some(Some(grant)) => Ok(grant),
            Some(None) => Err(ApiError::new(
                ErrorCode::Unauthorized,
                "the token is not the server's secret; check REJOIN_SECRET",
            )),
            None => Err(ApiError::new(
                ErrorCode::Unauthorized,
                "this server wants a token: send `Authorization: Bearer …`",
            )),
        }
    }
}

/// The whole server as a router: `/ws`, `/api`, `/health`, `/ready`, `/metrics`. Mounts into any axum application.
///
/// [`serve`](crate::serve) serves it, or the application that it is mounted in. An accept loop of another kind must bound how long the head of
/// a request takes by itself, and give the address, which limits by address need:
/// [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info) for [`SocketAddr`]. Where that is left out only
/// limits by credential hold. It must set `TCP_NODELAY` too, as by axum's `ListenerExt::tap_io`, or the second of two frames waits for the
/// acknowledgement of the first.
pub fn router(server: &Server) -> Router {
    let shared = Arc::clone(&server.shared);
    let allows =
        move |origin: &HeaderValue, _: &_| origin.to_str().is_ok_and(|origin| shared.names.allows(origin));
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER]);
    // Every route that looks at a token, or somebody could try one secret after the other.
    let limited =
        rest::router().route("/metrics", get(metrics)).route_layer(from_fn_with_state(server.clone(), admit));
    Router::new()
        .merge(limited)
        .route("/ws", get(upgrade))
        .route("/ws/room/{room}", get(upgrade_room))
        .route("/yjs/{*room}", get(upgrade_y_websocket))
        .route("/hocuspocus", get(upgrade_hocuspocus))
        .route("/health", get(|| async { "ok" }))
        .route("/ready", get(ready))
        .route("/api/openapi.json", get(openapi::document))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(cors)
        .with_state(server.clone())
}

/// Puts what histograms were told into their buckets, so that it does not pile up where nobody reads metrics. Ends with its runtime.
async fn keep_up(metrics: PrometheusHandle) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}

async fn ready(State(server): State<Server>) -> Response {
    if server.shared.hub.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response();
    }
    match server.store_fails().await {
        None => "ready".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

async fn metrics(State(server): State<Server>) -> Response {
    match &server.shared.metrics {
        Some(metrics) => {
            if let Some(database) = &server.shared.database {
                instruments::record_store(database.stats());
            }
            instruments::record_backlog(&server.shared.hub.backlog().await);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
        }
        None => (StatusCode::NOT_FOUND, Json("this server records no metrics")).into_response(),
    }
}

/// From where a request came; unknown where the application does not say.
pub(crate) struct Caller(pub(crate) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(address)| address.ip())))
    }
}

/// A WebSocket that may be opened, and what is counted of it.
struct Upgrading {
    upgrade: Upgrade,
    connection: Connection,
    address: Option<IpAddr>,
}

/// Looks at a request for a WebSocket of one of the doors; refuses what has to be.
fn begin_upgrade(
    server: &Server,
    peer: Option<IpAddr>,
    uri: &Uri,
    headers: &HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Result<Upgrading, Response>, ApiError> {
    server.check_names(headers, uri)?;
    let Ok(upgrade) = upgrade else { return Ok(Err(upgrade_required(headers))) };
    let address = counted_address(headers, peer, server.shared.trusted_proxies);
    take(server.shared.limiters.connections.as_ref(), address).map_err(ApiError::rate_limited)?;
    if server.shared.hub.is_stopping() {
        return Err(Stopped.into());
    }
    let connection = server.shared.connections.open()?;
    Ok(Ok(Upgrading { upgrade, connection, address }))
}

impl Shared {
    /// What a token allows in a room: one of the server's, or a ticket.
    fn admit_to(
        &self,
        room: Option<&RoomId>,
        hello: Hello,
        token: Option<&str>,
    ) -> Result<Grant, (CloseCode, Arc<str>)> {
        let ticket = token.and_then(|token| self.tickets.admit(token, room, unix_now()));
        ticket.unwrap_or_else(|| self.admission.admit(&Credentials::Hello(hello), token))
    }

    fn conversation(
        &self,
        (session, encoding): (Session, Encoding),
        token: Option<String>,
        address: Option<IpAddr>,
    ) -> Conversation {
        Conversation {
            hub: self.hub.clone(),
            admission: Arc::clone(&self.admission),
            tickets: Arc::clone(&self.tickets),
            session,
            encoding,
            default_workspace: self.workspace.clone(),
            policies: Arc::clone(&self.policies),
            foreign: None,
            token,
            limiters: Arc::clone(&self.limiters),
            address,
            patience: socket::Patience::default(),
        }
    }
}

async fn upgrade(
    State(server): State<Server>,
    Caller(peer): Caller,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Result<Response, ApiError> {
    let Upgrading { upgrade, connection, address } =
        match begin_upgrade(&server, peer, &uri, &headers, upgrade)? {
            Ok(upgrading) => upgrading,
            Err(response) => return Ok(response),
        };
    let upgrade = upgrade.protocols([SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON]);
    let door = upgrade.selected_protocol().and_then(|protocol| protocol.to_str().ok()).map(str::to_owned);
    let token = bearer(&headers);
    // No `async` block: what is only needed to begin would stay in the future of every idle link.
    Ok(upgrade.on_upgrade(move |socket| {
        let shared = &server.shared;
        let mut config = Arc::clone(&shared.session);
        // A text client that showed the secret with its upgrade request need not authenticate again.
        let known = token.as_deref().and_then(|token| shared.secret.as_ref()?.grant(token));
        if let Some(local) = known.map(Some) {
            config = Arc::new(SessionConfig { local, ..(*config).clone() });
        }
        let start = Instant(0);
        let session = match door.as_deref() {
            Some(SUBPROTOCOL_BINARY) => (Session::server(config, Encoding::Binary, start), Encoding::Binary),
            Some(SUBPROTOCOL_JSON) => (Session::server(config, Encoding::Json, start), Encoding::Json),
            _ => (Session::text(config, connection_name(), start), Encoding::Binary),
        };
        serve(socket, shared.conversation(session, token, address), connection)
    }))
}

/// Says what to connect with.
fn upgrade_required(headers: &HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost:8080");
    let message = format!(
        "only WebSockets (version 13) are served here: connect with one, as `npx wscat -c ws://{host}/ws` does (wss:// through TLS)"
    );
    let error = ApiError::new(ErrorCode::BadMessage, message).with_status(StatusCode::UPGRADE_REQUIRED);
    let wanted = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
    (wanted, error).into_response()
}

/// A name that no other connection has, of this server or another one.
fn connection_name() -> Arc<str> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    format!("link-{:016x}", u64::from_le_bytes(bytes)).into()
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
