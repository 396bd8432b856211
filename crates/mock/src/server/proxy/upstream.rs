//! The way to an upstream: its address, what of a request it is told, and the connection.

use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::limits::READ_BUFFER_BYTES;
use crate::server::Error;

/// A connection to an upstream.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Headers that are about one connection, and are made anew for the other.
const HOP_BY_HOP: [HeaderName; 15] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where an upstream is.
#[derive(Clone, Debug)]
pub(super) struct Upstream(Uri);

impl Upstream {
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let wrong = |reason| Error::Setting { name: "upstream_url", value: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no address; take one as ws://host:port/path"))?;
        match uri.scheme_str() {
            Some("ws" | "wss") => {}
            _ => return Err(wrong("it has to begin with ws:// or wss://")),
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("it names no host"));
        }
        Ok(Self(uri))
    }

    /// The upgrade request that does there what the client's does here; `rest` is what its path adds.
    fn request(&self, rest: &str, query: Option<&str>, headers: &HeaderMap) -> Result<Request, SocketError> {
        let base = self.0.path_and_query().map_or("/", PathAndQuery::path);
        let mut path = match rest {
            "" => base.to_owned(),
            _ => format!("{}/{}", base.trim_end_matches('/'), rest.trim_start_matches('/')),
        };
        for (sign, query) in ['?', '&'].into_iter().zip(self.0.query().into_iter().chain(query)) {
            path.push(sign);
            path.push_str(query);
        }
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(path.parse()?);
        let mut request = Uri::from_parts(parts).map_err(axum::http::Error::from)?.into_client_request()?;
        for (name, value) in headers {
            if !HOP_BY_HOP.contains(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
        Ok(request)
    }
}

/// Headers of the upstream's answer that the client gets too.
pub(super) fn answered(headers: &HeaderMap) -> HeaderMap {
    let passed = headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
    let mut answered = HeaderMap::new();
    for (name, value) in passed {
        answered.append(name, value.clone());
    }
    answered
}

/// Why there is no connection to an upstream.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It answered, but not by an upgrade.
    Answered(Box<Response>),
    /// It cannot be reached, or talks something else.
    Down(String),
    /// It did not answer in time.
    Silent,
}

/// How upstreams are connected to.
#[derive(Clone)]
pub(super) struct Dialler {
    security: Connector,
    config: WebSocketConfig,
    patience: Duration,
}

impl Dialler {
    /// One that trusts the authorities of this machine, and these.
    pub(super) fn new(pems: &[Vec<u8>], max_message_bytes: usize, patience: Duration) -> Result<Self, Error> {
        let wrong = |reason| Error::Setting { name: "authority", value: String::new(), reason };
        let mut roots = RootCertStore::empty();
        // Machines hold some that are of no use; the others serve.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in pems {
            let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|_| wrong("it is no PEM text"))?;
            if certificates.is_empty() {
                return Err(wrong("there is no certificate in the PEM text"));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|_| wrong("a certificate cannot be read"))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Protocol(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        Ok(Self { security: Connector::Rustls(Arc::new(tls)), config, patience })
    }

    /// Connects as the client wants to, with one of the subprotocols that it offers.
    pub(super) async fn dial(
        &self,
        upstream: &Upstream,
        rest: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<(Socket, Response), Refusal> {
        let offered = offered(headers);
        let dialled = tokio::time::timeout(self.patience, async {
            match self.attempt(upstream.request(rest, query, headers)?, offered.clone()).await {
                // That is allowed: such an upstream means nothing by them, and the client decides whether it goes on.
                Err(error) if chose_none(&error) => {
                    self.attempt(upstream.request(rest, query, headers)?, None).await
                }
                dialled => dialled,
            }
        });
        match dialled.await {
            Err(_) => Err(Refusal::Silent),
            Ok(Ok(dialled)) => Ok(dialled),
            Ok(Err(SocketError::Http(response))) => Err(Refusal::Answered(response)),
            Ok(Err(error)) => Err(Refusal::Down(error.to_string())),
        }
    }

    async fn attempt(
        &self,
        mut request: Request,
        offered: Option<HeaderValue>,
    ) -> Result<(Socket, Response), SocketError> {
        if let Some(offered) = offered {
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        }
        connect_async_tls_with_config(request, Some(self.config), true, Some(self.security.clone())).await
    }
}

/// All subprotocols that a client offers, in one header.
fn offered(headers: &HeaderMap) -> Option<HeaderValue> {
    let all: Vec<&[u8]> =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::as_bytes).collect();
    (!all.is_empty()).then(|| HeaderValue::from_bytes(&all.join(&b", "[..])).ok()).flatten()
}

fn chose_none(error: &SocketError) -> bool {
    let none = ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol);
    matches!(error, SocketError::Protocol(error) if *error == none)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked(url: &str, rest: &str, query: Option<&str>) -> String {
        Upstream::new(url).unwrap().request(rest, query, &HeaderMap::new()).unwrap().uri().to_string()
    }

    #[test]
    fn paths_and_queries_are_joined() {
        for (url, rest, query, expected) in [
            ("ws://a", "", None, "ws://a/"),
            ("ws://a:1/b", "", Some("c=d"), "ws://a:1/b?c=d"),
            ("wss://a/b/?x=1", "c/d", Some("y=2"), "wss://a/b/c/d?x=1&y=2"),
            ("ws://a/b?x=1", "", None, "ws://a/b?x=1"),
        ] {
            assert_eq!(asked(url, rest, query), expected);
        }
    }

    #[test]
    fn an_upstream_is_a_web_socket_with_a_host() {
        for url in ["", "a", "http://a", "ws:///b", "ws://a b"] {
            let error = Upstream::new(url).unwrap_err().to_string();
            assert!(error.starts_with("upstream_url cannot be "), "{error}");
        }
    }

    #[test]
    fn headers_of_the_connection_itself_are_made_anew() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "mock"), ("sec-websocket-key", "k"), ("connection", "x"), ("te", "x")]
        {
            headers.append(name, value.parse().unwrap());
        }
        for value in ["a=1", "b=2"] {
            headers.append("cookie", value.parse().unwrap());
        }
        let request = Upstream::new("ws://up:7/").unwrap().request("", None, &headers).unwrap();
        assert_eq!(request.headers()["host"], "up:7");
        assert_ne!(request.headers()["sec-websocket-key"], "k");
        assert_eq!(request.headers()["connection"], "Upgrade");
        assert_eq!(request.headers().get("te"), None);
        assert_eq!(request.headers().get_all("cookie").iter().count(), 2);
    }
}
