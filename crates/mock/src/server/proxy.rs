//! The proxy: one upstream a client, and what becomes of messages on their way.

mod pump;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tracing::{Instrument, Span};

use self::pump::{Passage, pump};
use self::upstream::{Dialler, Refusal, Upstream, answered};
use super::error::Error;
use super::options::MockOptions;
use super::recorder::{RecordOptions, Recorder};
use super::router::{Entry, Hall, Mock, sized};
use super::socket::{Clock, close};
use crate::glob::Glob;
use crate::limits::CONNECT_PATIENCE;
use crate::spans::{
    connected, connection_stands, create_ws_connection_span, inject_trace_context, record_ws_error,
};
use crate::{CloseFrame, Dialect, Direction, Frame, MessageTransform, close_code};

/// The variable that names the upstream.
const UPSTREAM_URL: &str = "REJOIN_WS_PROXY_UPSTREAM_URL";

/// Where a proxy goes. [`WsProxyHandler`] has what else can be said.
///
/// ```
/// use rejoin_mock::{WsProxyConfig, WsProxyHandler, router_with_proxy};
///
/// let proxy_config = WsProxyConfig {
///     upstream_url: "wss://api.example.com/ws".to_string(),
///     should_proxy: true,
///     ..Default::default()
/// };
/// let proxy = WsProxyHandler::new(proxy_config);
/// let app = router_with_proxy(proxy);
/// # let _: axum::Router = app;
/// ```
#[derive(Clone, Debug)]
pub struct WsProxyConfig {
    /// The upstream of `/ws` and of what lies below it.
    pub upstream_url: String,
    /// Whether connections go to that upstream. If not, they are served here, by the script or as an echo; rules hold all the same.
    pub should_proxy: bool,
    /// What is done to messages.
    pub message_transform: Option<MessageTransform>,
}

impl Default for WsProxyConfig {
    fn default() -> Self {
        Self {
            upstream_url: "ws://127.0.0.1:9000/ws".to_owned(),
            should_proxy: true,
            message_transform: None,
        }
    }
}

impl WsProxyConfig {
    /// A proxy to this upstream.
    pub fn to(upstream_url: impl Into<String>) -> Self {
        Self { upstream_url: upstream_url.into(), ..Self::default() }
    }

    /// One to the upstream that `REJOIN_WS_PROXY_UPSTREAM_URL` names; `None` if it names none.
    pub fn from_environment() -> Option<Self> {
        std::env::var(UPSTREAM_URL).ok().filter(|url| !url.is_empty()).map(Self::to)
    }

    /// Does that to messages.
    #[must_use]
    pub fn with_transform(mut self, transform: MessageTransform) -> Self {
        self.message_transform = Some(transform);
        self
    }
}

/// A proxy before it is served.
#[derive(Clone, Debug)]
pub struct WsProxyHandler {
    config: WsProxyConfig,
    rules: Vec<ProxyRule>,
    options: MockOptions,
    authorities: Vec<Vec<u8>>,
    recording: Option<RecordOptions>,
    connect_patience: Duration,
}

#[derive(Clone, Debug)]
struct ProxyRule {
    pattern: String,
    /// Where it goes; nowhere is here.
    upstream_url: Option<String>,
    transform: Option<MessageTransform>,
}

impl WsProxyHandler {
    /// One that does what the configuration says.
    pub fn new(config: WsProxyConfig) -> Self {
        Self {
            config,
            rules: Vec::new(),
            options: MockOptions::default(),
            authorities: Vec::new(),
            recording: None,
            connect_patience: CONNECT_PATIENCE,
        }
    }

    /// Has the paths that match go to another upstream. `*` stands for any part of a segment, `**` for any part of the path, `?` for
    /// one character; what stars at the end match is added to the upstream's path. The first rule that matches counts.
    #[must_use]
    pub fn rule(self, pattern: &str, upstream_url: &str) -> Self {
        self.with_rule(pattern, Some(upstream_url), None)
    }

    /// The same with something else that is done to messages.
    #[must_use]
    pub fn rule_with_transform(self, pattern: &str, upstream_url: &str, transform: MessageTransform) -> Self {
        self.with_rule(pattern, Some(upstream_url), Some(transform))
    }

    /// Has the paths that match served here, by the script or as an echo.
    #[must_use]
    pub fn local(self, pattern: &str) -> Self {
        self.with_rule(pattern, None, None)
    }

    /// Those limits, and that script, instead of the usual ones.
    #[must_use]
    pub fn with_options(mut self, options: MockOptions) -> Self {
        self.options = options;
        self
    }

    /// Trusts the certificates of a PEM text, besides those of this machine.
    #[must_use]
    pub fn trust(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Records the connections that go to an upstream.
    #[must_use]
    pub fn record(mut self, recording: RecordOptions) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Gives upstreams so long to answer.
    #[must_use]
    pub fn connect_patience(mut self, patience: Duration) -> Self {
        self.connect_patience = patience;
        self
    }

    fn with_rule(
        mut self,
        pattern: &str,
        upstream_url: Option<&str>,
        transform: Option<MessageTransform>,
    ) -> Self {
        let (pattern, upstream_url) = (pattern.to_owned(), upstream_url.map(str::to_owned));
        self.rules.push(ProxyRule { pattern, upstream_url, transform });
        self
    }
}

/// The router of a proxy.
///
/// # Panics
///
/// If an address or a pattern cannot be used. [`try_router_with_proxy`] gives the error instead.
pub fn router_with_proxy(proxy: WsProxyHandler) -> Router {
    match try_router_with_proxy(proxy) {
        Ok(router) => router,
        Err(error) => panic!("{error}"),
    }
}

/// The router of a proxy, or why there is none.
pub fn try_router_with_proxy(proxy: WsProxyHandler) -> Result<Router, Error> {
    let hall = Arc::new(Hall::new(&proxy.options)?);
    let admin = hall.admin();
    let proxy = Proxy::new(proxy, hall)?;
    Ok(Router::new().fallback(upgrade).with_state(Arc::new(proxy)).merge(admin))
}

/// A proxy of nothing but its path and what lies below it.
pub(super) fn proxy_routes(proxy: WsProxyHandler, hall: Arc<Hall>) -> Result<Router, Error> {
    let path = proxy.options.path.trim_end_matches('/').to_owned();
    let own = if path.is_empty() { "/" } else { &path };
    let proxy = Arc::new(Proxy::new(proxy, hall)?);
    let below = format!("{path}/{{*rest}}");
    Ok(Router::new().route(own, any(upgrade)).route(&below, any(upgrade)).with_state(proxy))
}

impl Proxy {
    fn new(proxy: WsProxyHandler, hall: Arc<Hall>) -> Result<Self, Error> {
        let dialler =
            Dialler::new(&proxy.authorities, proxy.options.max_message_bytes, proxy.connect_patience)?;
        let transform = proxy.config.message_transform;
        let mut rules = Vec::new();
        for rule in proxy.rules {
            let upstream = rule.upstream_url.as_deref().map(Upstream::new).transpose()?;
            let transform = rule.transform.or_else(|| transform.clone());
            rules.push(Rule { glob: Glob::new(&rule.pattern)?, upstream, transform });
        }
        let upstream =
            proxy.config.should_proxy.then(|| Upstream::new(&proxy.config.upstream_url)).transpose()?;
        let path = proxy.options.path.trim_end_matches('/').to_owned();
        for pattern in [path.clone(), format!("{path}/**")] {
            let (upstream, transform) = (upstream.clone(), transform.clone());
            rules.push(Rule { glob: Glob::new(&pattern)?, upstream, transform });
        }
        let mock = Arc::new(Mock::new(proxy.options, hall)?);
        Ok(Self { rules, dialler, mock, recording: proxy.recording })
    }
}

struct Proxy {
    rules: Vec<Rule>,
    dialler: Dialler,
    mock: Arc<Mock>,
    recording: Option<RecordOptions>,
}

struct Rule {
    glob: Glob,
    upstream: Option<Upstream>,
    transform: Option<MessageTransform>,
}

async fn upgrade(
    State(proxy): State<Arc<Proxy>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let found = proxy.rules.iter().find_map(|rule| Some((rule, rule.glob.rest(path)?)));
    let Some((rule, rest)) = found else {
        return (StatusCode::NOT_FOUND, "no rule of the proxy is for this path\n").into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let entry = match proxy.mock.hall.gate.enter() {
        Ok(entry) => entry,
        Err(full) => return full.into_response(),
    };
    let bytes = proxy.mock.options.max_message_bytes;
    let upgrade = sized(upgrade, bytes);
    let span = create_ws_connection_span(&request);
    let Some(upstream) = &rule.upstream else {
        let (mock, path) = (proxy.mock.clone(), path.to_owned());
        return upgrade.on_upgrade(move |socket| connected(span, mock.serve(socket, path, entry)));
    };
    let mut headers = request.headers().clone();
    inject_trace_context(&span, &mut headers);
    let dialling = proxy.dialler.dial(upstream, rest, request.uri().query(), &headers);
    let dialled = dialling.instrument(span.clone()).await;
    match dialled {
        Ok((upstream, response)) => {
            let transform = rule.transform.clone();
            let (path, headers) = (path.to_owned(), response.headers().clone());
            pass(upgrade, upstream, path, &headers, proxy.clone(), transform, (entry, span))
        }
        Err(Refusal::Answered(response)) => refused(*response),
        Err(Refusal::Down(reason)) => {
            tracing::warn!(%reason, path, "the upstream cannot be reached");
            record_ws_error(&span, "the upstream cannot be reached");
            let said = (close_code::UPSTREAM_DOWN, "the upstream cannot be reached");
            closed(upgrade, said, path.to_owned(), proxy.clone(), (entry, span))
        }
        Err(Refusal::Silent) => {
            tracing::warn!(path, "the upstream does not answer");
            record_ws_error(&span, "the upstream does not answer");
            let said = (close_code::UPSTREAM_SILENT, "the upstream does not answer");
            closed(upgrade, said, path.to_owned(), proxy.clone(), (entry, span))
        }
    }
}

/// Upgrades the client too, and passes its messages.
fn pass(
    mut upgrade: WebSocketUpgrade,
    upstream: upstream::Socket,
    path: String,
    headers: &HeaderMap,
    proxy: Arc<Proxy>,
    transform: Option<MessageTransform>,
    (entry, span): (Entry, Span),
) -> Response {
    let chosen = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
    let dialect = Dialect::of_subprotocol(chosen.and_then(|chosen| chosen.to_str().ok()));
    if let Some(chosen) = chosen {
        upgrade.set_selected_protocol(chosen.clone());
    }
    let serve = move |socket| async move {
        let options = &proxy.mock.options;
        let recorder = match &proxy.recording {
            None => None,
            Some(recording) => match Recorder::create(recording).await {
                Ok(recorder) => Some(recorder),
                Err(error) => {
                    tracing::error!(%error, "a connection that cannot be recorded is not served");
                    let reason = "the recording cannot be written".to_owned();
                    let frame = CloseFrame { code: 1_011, reason };
                    return close(socket, Some(frame), options.close_patience).await;
                }
            },
        };
        let (watch, orders) = proxy.mock.hall.watch(&path, dialect).unzip();
        let passage = Passage {
            clock: Clock::start(),
            transform,
            recorder,
            watch,
            link: options.latency.clone().map(|link| (link, dialect)),
            path,
            seed: entry.seed,
            write_patience: options.write_patience,
            close_patience: options.close_patience,
            stall_patience: options.stall_patience,
            max_message_bytes: options.max_message_bytes,
        };
        pump(socket, upstream, orders, passage).await;
        drop(entry);
    };
    let mut response = upgrade.on_upgrade(move |socket| connected(span, serve(socket)));
    response.headers_mut().extend(answered(headers));
    response
}

/// The upstream's own answer, where that was no upgrade: what it says of authorisation is for the client.
fn refused(response: axum::http::Response<Option<Vec<u8>>>) -> Response {
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(body.map_or_else(Body::empty, Body::from));
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = answered(&parts.headers);
    answer
}

/// Upgrades the client to tell it by a code: pages see no status of a request that is no upgrade.
fn closed(
    upgrade: WebSocketUpgrade,
    (code, reason): (u16, &str),
    path: String,
    proxy: Arc<Proxy>,
    (entry, span): (Entry, Span),
) -> Response {
    let frame = CloseFrame { code, reason: reason.to_owned() };
    let serve = move |socket| async move {
        connection_stands();
        let (watch, _orders) = proxy.mock.hall.watch(&path, Dialect::Unknown).unzip();
        if let Some(watch) = &watch {
            watch.saw(Clock::start().now(), Direction::Out, &Frame::Close(Some(frame.clone())));
        }
        close(socket, Some(frame), proxy.mock.options.close_patience).await;
        drop((watch, entry));
    };
    upgrade.on_upgrade(move |socket| serve(socket).instrument(span))
}
