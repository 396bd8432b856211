//! Spans and metrics of connections and messages, with the attributes of OpenTelemetry, and the trace context of W3C.

#[cfg(feature = "otlp")]
mod otlp;

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tracing::field::Empty;
use tracing::{Instrument, Span};

#[cfg(feature = "otlp")]
pub use otlp::Otlp;

use crate::{Direction, Frame};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Begins the span of a connection, `WS Connect {path}`, as a part of the trace that the request names. Queries are not in it: they have tokens.
///
/// ```
/// use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
/// use axum::response::IntoResponse;
/// use rejoin_mock::{create_ws_connection_span, record_ws_connection_success};
/// use rejoin_mock::{create_ws_message_span, record_ws_message_success};
/// use tracing::Instrument;
///
/// async fn traced_ws_handler(
///     ws: WebSocketUpgrade,
///     request: axum::http::Request<axum::body::Body>,
/// ) -> impl IntoResponse {
///     // Create connection span
///     let span = create_ws_connection_span(&request);
///
///     // Record successful connection
///     record_ws_connection_success(&span);
///
///     ws.on_upgrade(|socket| handle_socket_with_tracing(socket).instrument(span))
/// }
///
/// async fn handle_socket_with_tracing(mut socket: WebSocket) {
///     while let Some(Ok(Message::Text(text))) = socket.recv().await {
///         let message_span = create_ws_message_span(text.len(), "in");
///         // Process message...
///         record_ws_message_success(&message_span, text.len());
///     }
/// }
///
/// let app: axum::Router = axum::Router::new().route("/ws", axum::routing::any(traced_ws_handler));
/// ```
pub fn create_ws_connection_span<B>(request: &Request<B>) -> Span {
    connection(request.method().as_str(), request.uri().path(), request.headers())
}

pub(crate) fn connection(method: &str, path: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "ws_connect",
        otel.name = %format_args!("WS Connect {path}"),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method,
        url.path = path,
        network.protocol.name = "websocket",
        server.address = Empty,
        user_agent.original = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        trace_id = Empty,
        parent_id = Empty,
    );
    for (field, header) in [("server.address", header::HOST), ("user_agent.original", header::USER_AGENT)] {
        if let Some(value) = headers.get(header).and_then(|value| value.to_str().ok()) {
            span.record(field, value);
        }
    }
    if let Some(context) = TraceContext::of(headers) {
        span.record("trace_id", tracing::field::display(context.trace_id()));
        span.record("parent_id", tracing::field::display(context.parent_id()));
        #[cfg(feature = "otlp")]
        otlp::adopt(&span, headers);
    }
    span
}

/// Counts a connection that was answered with 101.
pub(crate) fn connection_stands() {
    metrics::counter!(CONNECTIONS).increment(1);
}

/// Serves a connection that stands, within its span.
pub(crate) async fn connected(span: Span, serving: impl Future<Output = ()>) {
    record_ws_connection_success(&span);
    serving.instrument(span).await;
}

/// Says that a message has come or gone; other frames are none.
pub(crate) fn message_passed(direction: Direction, frame: &Frame) {
    if let Frame::Text(_) | Frame::Binary(_) = frame {
        let direction = if direction == Direction::In { "in" } else { "out" };
        let span = create_ws_message_span(frame.size(), direction);
        record_ws_message_success(&span, frame.size());
    }
}

/// Begins the span of a message, `WS Message in` or `WS Message out`, within the current one, and counts it.
pub fn create_ws_message_span(message_size: usize, direction: &str) -> Span {
    let (kind, label) = match direction {
        "in" => ("consumer", "in"),
        "out" => ("producer", "out"),
        _ => ("internal", "other"),
    };
    metrics::counter!(MESSAGES, "direction" => label).increment(1);
    metrics::counter!(MESSAGE_BYTES, "direction" => label).increment(message_size as u64);
    tracing::info_span!(
        "ws_message",
        otel.name = %format_args!("WS Message {direction}"),
        otel.kind = kind,
        otel.status_code = Empty,
        otel.status_description = Empty,
        network.protocol.name = "websocket",
        ws.message.direction = direction,
        ws.message.size = message_size,
        error.type = Empty,
    )
}

/// Says that the connection stands: the handshake was answered with 101.
pub fn record_ws_connection_success(span: &Span) {
    connection_stands();
    span.record("otel.status_code", "ok");
    span.record("http.response.status_code", 101);
}

/// Says that a message was handled, and its size where that has changed.
pub fn record_ws_message_success(span: &Span, message_size: usize) {
    span.record("otel.status_code", "ok");
    span.record("ws.message.size", message_size);
}

/// Says what went wrong with a connection or a message.
pub fn record_ws_error(span: &Span, error: &str) {
    metrics::counter!(ERRORS).increment(1);
    span.record("otel.status_code", "error");
    span.record("otel.status_description", error);
    span.record("error.type", "websocket");
    tracing::debug!(parent: span, error, "a WebSocket failed");
}

/// Says in the headers of a request to which trace it belongs: to that of the span. Where nobody collects spans, they stay as they are, so that
/// what a client has sent goes on.
pub fn inject_trace_context(span: &Span, headers: &mut HeaderMap) {
    #[cfg(feature = "otlp")]
    otlp::inject(span, headers);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, headers);
}

const CONNECTIONS: &str = "rejoin_mock_connections_total";
const MESSAGES: &str = "rejoin_mock_messages_total";
const MESSAGE_BYTES: &str = "rejoin_mock_message_bytes_total";
const ERRORS: &str = "rejoin_mock_errors_total";

/// To which trace a request belongs: the header `traceparent` of W3C's Trace Context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext(String);

impl TraceContext {
    /// What the headers say; `None` where they say nothing, or nothing valid.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value)
    }

    /// Reads a value of `traceparent`. Of later versions the part is taken that this one has.
    pub fn parse(value: &str) -> Option<Self> {
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        let some = |part: &str| part.bytes().any(|it| it != b'0');
        let mut parts = value.trim().split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        let valid =
            known && hex(trace, 32) && some(trace) && hex(parent, 16) && some(parent) && hex(flags, 2);
        valid.then(|| Self(format!("00-{trace}-{parent}-{flags}")))
    }

    /// The trace, as 32 digits.
    pub fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }

    /// The span that asked, as 16 digits.
    pub fn parent_id(&self) -> &str {
        self.0.get(36..52).unwrap_or_default()
    }

    /// The value of the header.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
