//! Mocks that are written as code.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt;
use tracing::Span;

use super::bridge::{Bridge, Inbox};
use super::error::Error;
use super::options::MockOptions;
use super::rooms::{ConnectionId, Outbox, Rooms};
use super::router::{Entry, Hall, sized};
use crate::limits::{MAX_NAME_BYTES, MAX_ROOMS_PER_CONNECTION};
use crate::spans::{connected, create_ws_connection_span, record_ws_error};
use crate::{CloseFrame, Frame};

/// Why a handler gives up. Its connection is closed with 1011, and the error is logged.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// What happens on the connections of a path. The calls for one connection come one after the other.
///
/// ```
/// use rejoin_mock::{Frame, HandlerError, Handlers, WsContext, WsHandler, router_with_handlers};
///
/// struct Chat;
///
/// impl WsHandler for Chat {
///     async fn on_connect(&self, context: &mut WsContext) -> Result<(), HandlerError> {
///         context.join("lobby")?;
///         Ok(context.send_text("welcome").await?)
///     }
///
///     async fn on_message(&self, context: &mut WsContext, message: Frame) -> Result<(), HandlerError> {
///         context.broadcast("lobby", &message);
///         Ok(())
///     }
/// }
///
/// let app = router_with_handlers(Handlers::new().on("/ws", Chat))?;
/// # let _: axum::Router = app;
/// # Ok::<(), rejoin_mock::Error>(())
/// ```
pub trait WsHandler: Send + Sync + 'static {
    /// A client has connected.
    fn on_connect(&self, context: &mut WsContext) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let _ = context;
        async { Ok(()) }
    }

    /// A text or a binary message has come.
    fn on_message(
        &self,
        context: &mut WsContext,
        message: Frame,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// The connection has ended, for whatever reason. Nothing can be sent on it any more.
    fn on_disconnect(
        &self,
        context: &mut WsContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let _ = context;
        async { Ok(()) }
    }
}

/// One connection, as its handler has it.
pub struct WsContext {
    id: ConnectionId,
    uri: Uri,
    headers: HeaderMap,
    outbox: Outbox,
    rooms: Arc<Rooms>,
    metadata: BTreeMap<String, serde_json::Value>,
    max_message_bytes: usize,
}

impl WsContext {
    /// Tells this connection from the others of the router.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The path and query of the request by which it was opened.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The headers of that request.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a message; waits where too much is on its way already.
    pub async fn send(&self, frame: Frame) -> Result<(), Error> {
        let (bytes, max) = (frame.size(), self.max_message_bytes);
        if bytes > max {
            return Err(Error::TooLarge { bytes, max });
        }
        self.outbox.send(frame).await
    }

    /// Sends a text.
    pub async fn send_text(&self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Frame::Text(text.into())).await
    }

    /// Sends a value as JSON.
    pub async fn send_json(&self, value: &serde_json::Value) -> Result<(), Error> {
        self.send_text(value.to_string()).await
    }

    /// Closes the connection, once what was sent before has gone out.
    pub fn close(&self, close: CloseFrame) {
        self.outbox.close(close);
    }

    /// Joins a room of this router, which is there once somebody is in it.
    pub fn join(&self, room: &str) -> Result<(), Error> {
        self.rooms.join(self.id, room)
    }

    /// Leaves a room.
    pub fn leave(&self, room: &str) {
        self.rooms.leave(self.id, room);
    }

    /// Sends to all others in a room, and says to how many. Waits for nobody: who has no room for it is closed with 4413.
    pub fn broadcast(&self, room: &str, frame: &Frame) -> usize {
        self.rooms.broadcast(room, frame, Some(self.id))
    }

    /// What was kept under this name with the connection.
    pub fn metadata(&self, name: &str) -> Option<&serde_json::Value> {
        self.metadata.get(name)
    }

    /// Keeps a value with the connection.
    pub fn set_metadata(&mut self, name: &str, value: serde_json::Value) -> Result<(), Error> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::TooMany("the name of a value has at most 256 bytes"));
        }
        if self.metadata.len() == MAX_ROOMS_PER_CONNECTION && !self.metadata.contains_key(name) {
            return Err(Error::TooMany("a connection keeps at most 64 values"));
        }
        self.metadata.insert(name.to_owned(), value);
        Ok(())
    }
}

/// Handlers by path.
#[derive(Default)]
pub struct Handlers {
    options: MockOptions,
    by_path: BTreeMap<String, Arc<dyn AnyHandler>>,
}

impl Handlers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those limits, latencies and faults instead of the usual ones; the path and the script are for other mocks.
    pub fn with_options(mut self, options: MockOptions) -> Self {
        self.options = options;
        self
    }

    /// Has the connections to a path handled, in axum's notation: `/chat/{room}`.
    pub fn on(mut self, path: &str, handler: impl WsHandler) -> Self {
        self.by_path.insert(path.to_owned(), Arc::new(handler));
        self
    }
}

/// The router of handlers that are written as code. Rooms are shared by its paths.
///
/// # Panics
///
/// If a path is none of axum's, as [`Router::route`] does.
pub fn router_with_handlers(handlers: Handlers) -> Result<Router, Error> {
    let hall = Arc::new(Hall::new(&handlers.options)?);
    let mut router = hall.admin();
    let shared = Arc::new(Shared { hall, options: handlers.options, rooms: Arc::default() });
    for (path, handler) in handlers.by_path {
        router = router.route(&path, any(upgrade).with_state((shared.clone(), handler)));
    }
    Ok(router)
}

struct Shared {
    hall: Arc<Hall>,
    options: MockOptions,
    rooms: Arc<Rooms>,
}

type Handled = (Arc<Shared>, Arc<dyn AnyHandler>);

async fn upgrade(
    State((shared, handler)): State<Handled>,
    upgrade: WebSocketUpgrade,
    request: Request,
) -> Response {
    let entry = match shared.hall.gate.enter() {
        Ok(entry) => entry,
        Err(full) => return full.into_response(),
    };
    let bytes = shared.options.max_message_bytes;
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let span = create_ws_connection_span(&request);
    let upgrade = sized(upgrade, bytes);
    upgrade.on_upgrade(move |socket| connected(span, serve(socket, shared, handler, uri, headers, entry)))
}

async fn serve(
    socket: WebSocket,
    shared: Arc<Shared>,
    handler: Arc<dyn AnyHandler>,
    uri: Uri,
    headers: HeaderMap,
    entry: Entry,
) {
    let (outbox, frames) = Outbox::new();
    let inbox = Arc::new(Inbox::beside(&outbox));
    let (wake, path) = (outbox.wake(), uri.path().to_owned());
    let rooms = shared.rooms.clone();
    let id = rooms.enter(outbox.clone());
    let max_message_bytes = shared.options.max_message_bytes;
    let mut context =
        WsContext { id, uri, headers, outbox, rooms, metadata: BTreeMap::new(), max_message_bytes };
    let bridge = Bridge::new(Some(inbox.clone()), frames);
    let hall = &shared.hall;
    let mut driving = pin!(hall.drive(socket, bridge, &shared.options, (&path, entry.seed), Some(wake)));
    tokio::select! {
        () = &mut driving => {}
        // What it has sent before it failed goes out still, and a closing behind it.
        () = handle(&inbox, &*handler, &mut context) => driving.await,
    }
    context.rooms.leave_all(id);
    let ended = AssertUnwindSafe(handler.on_disconnect(&mut context)).catch_unwind().await;
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, connection = id.0, "the handler failed at the end of a connection");
    }
}

/// Calls the handler for each message until it fails.
async fn handle(inbox: &Inbox, handler: &dyn AnyHandler, context: &mut WsContext) {
    let mut done = AssertUnwindSafe(handler.on_connect(context)).catch_unwind().await;
    loop {
        let failed = match done {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it panicked".to_owned()),
        };
        if let Some(error) = failed {
            tracing::error!(%error, connection = context.id.0, "the handler failed");
            record_ws_error(&Span::current(), &error);
            return context.close(CloseFrame { code: 1_011, reason: "the mock's handler failed".to_owned() });
        }
        let message = inbox.next().await;
        done = AssertUnwindSafe(handler.on_message(context, message)).catch_unwind().await;
    }
}

type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send + 'a>>;

/// A handler whose type is not named.
trait AnyHandler: Send + Sync + 'static {
    fn on_connect<'a>(&'a self, context: &'a mut WsContext) -> Handling<'a>;
    fn on_message<'a>(&'a self, context: &'a mut WsContext, message: Frame) -> Handling<'a>;
    fn on_disconnect<'a>(&'a self, context: &'a mut WsContext) -> Handling<'a>;
}

impl<H: WsHandler> AnyHandler for H {
    fn on_connect<'a>(&'a self, context: &'a mut WsContext) -> Handling<'a> {
        Box::pin(WsHandler::on_connect(self, context))
    }

    fn on_message<'a>(&'a self, context: &'a mut WsContext, message: Frame) -> Handling<'a> {
        Box::pin(WsHandler::on_message(self, context, message))
    }

    fn on_disconnect<'a>(&'a self, context: &'a mut WsContext) -> Handling<'a> {
        Box::pin(WsHandler::on_disconnect(self, context))
    }
}
