//! Posts over HTTP, one connection for each request.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Posts a body, and gives the answer as soon as it begins. The error is a sentence without secrets.
pub(crate) async fn post(
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Vec<u8>,
    patience: Duration,
) -> Result<Response<Incoming>, String> {
    let asked = async {
        let host = uri.host().ok_or("the address has no host")?.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let socket = TcpStream::connect((host.as_str(), port))
            .await
            .map_err(|error| format!("{host}:{port}: {error}"))?;
        let request = request(uri, headers, body)?;
        if !secure {
            return send(socket, request).await;
        }
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let tls = TlsConnector::from(trust()?);
        let socket = tls.connect(name, socket).await.map_err(|error| format!("{host}: {error}"))?;
        send(socket, request).await
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}

fn request(
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let host = uri.authority().map_or("", |it| it.as_str());
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut request = Request::post(path).header(HOST, host);
    for (name, value) in headers.iter().filter(|(name, _)| *name != HOST) {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
}

async fn send<S>(socket: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opened = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = opened.map_err(|error| error.to_string())?;
    // It ends when the answer has been read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to a provider broke");
        }
    });
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// The authorities of this machine, read once.
fn trust() -> Result<Arc<rustls::ClientConfig>, String> {
    static TRUST: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(trust) = TRUST.get() {
        return Ok(trust.clone());
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TRUST.get_or_init(|| Arc::new(trust)).clone())
}
