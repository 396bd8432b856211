//! Connections through TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rejoin_client::{Client, ClientOptions, StartError};
use rejoin_wire::limits::MAX_MESSAGE_BYTES;
use rejoin_wire::{Assembler, Encoding, Frame, Message as Wire, SUBPROTOCOL_BINARY, decode_message};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

const DEADLINE: Duration = Duration::from_secs(30);

/// A listener for `localhost`.
struct Secured {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    /// The certificate that it shows, which nobody has signed.
    pem: String,
    url: String,
}

impl Secured {
    async fn bind() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("wss://localhost:{}/ws", listener.local_addr().unwrap().port());
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), pem: made.cert.pem(), url }
    }

    /// The next connection, or why it could not be made.
    async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let next = async {
            let (stream, _) = self.listener.accept().await?;
            self.acceptor.accept(stream).await
        };
        tokio::time::timeout(DEADLINE, next).await.unwrap()
    }
}

#[allow(clippy::result_large_err, reason = "the shape of the callback")]
fn negotiate(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL_BINARY.parse().unwrap());
    Ok(response)
}

#[tokio::test]
async fn a_client_speaks_through_tls_to_a_server_whose_authority_it_trusts() {
    let secured = Secured::bind().await;
    let client = Client::start(ClientOptions::new(&secured.url).trust(&secured.pem)).unwrap();
    let stream = secured.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, negotiate).await.unwrap();
    let mut assembler = Assembler::new(Encoding::Binary, MAX_MESSAGE_BYTES);
    let hello = loop {
        let frame = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
        let Message::Binary(bytes) = frame else { continue };
        if let Some(message) = assembler.push(Frame::Binary(bytes)).unwrap() {
            break decode_message(&message, Encoding::Binary).unwrap();
        }
    };
    assert!(matches!(hello, Wire::Hello(_)), "{hello:?}");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_authority_nobody_trusts_is_told_nothing() {
    let (secured, other) = (Secured::bind().await, Secured::bind().await);
    let client = Client::start(ClientOptions::new(&secured.url).trust(&other.pem)).unwrap();
    assert!(secured.accept().await.is_err());
    client.close().await.unwrap();
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_before_anything_starts() {
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = Client::start(ClientOptions::new("wss://localhost/ws").trust(pem)).err().unwrap();
        assert!(matches!(error, StartError::Certificates(_)), "{pem}: {error:?}");
    }
}
