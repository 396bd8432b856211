//! Upgrades of requests to WebSockets. axum checks the request; the socket is the library's own, as axum's sends no fragments.

use std::borrow::Cow;
use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rejoin_wire::limits::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::line::Line;

/// Bytes that are read from a socket at a time: each link keeps room for so many, and most of them are idle. Larger frames have room of their own.
const READ_BUFFER_BYTES: usize = 1024;

/// Bytes that wait until a socket is written to before it is flushed.
pub(crate) const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that may wait in a socket's write buffer before writing waits for the network.
const MAX_WRITE_BUFFER_BYTES: usize = 2 * MAX_MESSAGE_BYTES;

/// A WebSocket of a client.
pub(crate) type Socket = WebSocketStream<Line<TokioIo<Upgraded>>>;

/// A request for a WebSocket.
pub(crate) struct Upgrade {
    checked: WebSocketUpgrade,
    /// None in HTTP/2, which has another way to say yes.
    key: Option<HeaderValue>,
    connection: OnUpgrade,
}

/// The request is none for a WebSocket.
#[derive(Debug)]
pub(crate) struct NoUpgrade;

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        StatusCode::UPGRADE_REQUIRED.into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = NoUpgrade;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoUpgrade> {
        let connection = parts.extensions.get::<OnUpgrade>().cloned().ok_or(NoUpgrade)?;
        let checked = WebSocketUpgrade::from_request_parts(parts, state).await.map_err(|_| NoUpgrade)?;
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        Ok(Self { checked, key, connection })
    }
}

impl Upgrade {
    /// Chooses the first of these subprotocols that the client offers.
    pub(crate) fn protocols<I>(self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        Self { checked: self.checked.protocols(protocols), ..self }
    }

    /// The subprotocol that was chosen.
    pub(crate) fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.checked.selected_protocol()
    }

    /// Says yes, and has the socket served.
    pub(crate) fn on_upgrade<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { checked, key, connection } = self;
        let protocol = checked.selected_protocol().cloned();
        drop(checked);
        tokio::spawn(async move {
            match connection.await {
                Ok(upgraded) => {
                    let stream = Line::new(TokioIo::new(upgraded));
                    serve(Socket::from_raw_socket(stream, Role::Server, Some(config())).await).await;
                }
                Err(error) => tracing::debug!(%error, "a connection ended while it became a WebSocket"),
            }
        });
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if let Some(protocol) = protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(key) = key {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        response
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_frame_size(Some(MAX_MESSAGE_BYTES.max(MAX_FRAME_BYTES)))
        .max_message_size(Some(MAX_MESSAGE_BYTES))
}
