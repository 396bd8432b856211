//! The way to a server: address, upgrade and refusal.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{CloseCode, SUBPROTOCOL_BINARY};
#[cfg(feature = "tls")]
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
#[cfg(feature = "tls")]
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_key};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::uri::Authority;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::line::Socket;
use crate::options::{ClientOptions, StartError};

/// An attempt to connect that takes longer has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The way that every attempt to connect takes.
#[derive(Clone)]
pub(crate) struct Route {
    request: Request,
    security: Security,
}

impl Route {
    /// Reads the address and what it needs.
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, StartError> {
        let wrong = || StartError::Url(options.url.clone());
        let mut request = options.url.as_str().into_client_request().map_err(|_| wrong())?;
        if !request.uri().authority().is_some_and(names_a_host) {
            return Err(wrong());
        }
        let security = match request.uri().scheme_str() {
            Some("ws") => plain(),
            Some("wss") => secure(options)?,
            _ => return Err(wrong()),
        };
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_BINARY));
        if let Some(token) = &options.token
            && let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}"))
        {
            headers.insert("authorization", value);
        }
        Ok(Self { request, security })
    }

    /// Connects to the server and asks for the native protocol.
    pub(crate) async fn connect(self) -> Result<Socket, SocketError> {
        let Self { mut request, security } = self;
        // Each attempt has a key of its own.
        request.headers_mut().insert("sec-websocket-key", key());
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let connecting = dial(request, config, security);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map(|(socket, _)| socket),
            Err(_) => Err(SocketError::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Whether there is a host, and behind it nothing or a port.
fn names_a_host(authority: &Authority) -> bool {
    let host = authority.host();
    !host.is_empty() && (authority.port_u16().is_some() || authority.as_str().ends_with(host))
}

fn key() -> HeaderValue {
    HeaderValue::from_str(&generate_key()).unwrap_or_else(|_| unreachable!("base64 is a header's value"))
}

type Dialled = Result<(Socket, Response), SocketError>;

#[cfg(feature = "tls")]
type Security = Connector;

/// There is no choice without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
struct Security;

#[cfg(feature = "tls")]
async fn dial(request: Request, config: WebSocketConfig, security: Security) -> Dialled {
    tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, Some(security)).await
}

#[cfg(not(feature = "tls"))]
async fn dial(request: Request, config: WebSocketConfig, _: Security) -> Dialled {
    tokio_tungstenite::connect_async_with_config(request, Some(config), true).await
}

#[cfg(feature = "tls")]
fn plain() -> Security {
    Connector::Plain
}

#[cfg(not(feature = "tls"))]
fn plain() -> Security {
    Security
}

#[cfg(not(feature = "tls"))]
fn secure(options: &ClientOptions) -> Result<Security, StartError> {
    Err(StartError::NoTls(options.url.clone()))
}

/// Trusts the authorities that this machine trusts, and those of the options.
#[cfg(feature = "tls")]
fn secure(options: &ClientOptions) -> Result<Security, StartError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a certificate of this machine cannot be read");
    }
    // Machines hold some that are of no use; the others serve.
    roots.add_parsable_certificates(native.certs);
    for pem in &options.authorities {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| StartError::Certificates(error.to_string()))?;
        if certificates.is_empty() {
            return Err(StartError::Certificates("there is none in the PEM text".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| StartError::Certificates(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(StartError::NoAuthorities);
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| StartError::Certificates(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

/// The close code that says what a refusal to upgrade says; `None` for one that may be another answer next time.
pub(crate) fn refusal(status: u16) -> Option<u16> {
    match status {
        401 => Some(CloseCode::Unauthorized.number()),
        403 => Some(CloseCode::Forbidden.number()),
        _ => None,
    }
}
