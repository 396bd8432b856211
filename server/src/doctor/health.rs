//! What listens at an address: whether it says that it is a server in good health, plainly or through TLS.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// Time that whatever listens at the address has for each step of an answer.
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that are read of its answer: a server's own has some hundred.
const MAX_HEALTH_BYTES: u64 = 4 * 1024;

/// How a server in good health answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Healthy {
    Plainly,
    /// Through TLS, whoever its certificate says that it is.
    Securely,
}

/// Whether what listens at an address says that it is a server in good health.
pub(super) fn healthy(address: SocketAddr) -> Option<Healthy> {
    if connect(address).and_then(|stream| answers(stream, address)).unwrap_or(false) {
        return Some(Healthy::Plainly);
    }
    let secured = connect(address).and_then(|stream| answers(secure(stream, address)?, address));
    secured.unwrap_or(false).then_some(Healthy::Securely)
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, HEALTH_PATIENCE)?;
    stream.set_read_timeout(Some(HEALTH_PATIENCE))?;
    stream.set_write_timeout(Some(HEALTH_PATIENCE))?;
    Ok(stream)
}

fn answers(mut stream: impl Read + Write, address: SocketAddr) -> std::io::Result<bool> {
    write!(stream, "GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.take(MAX_HEALTH_BYTES).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"\r\n\r\nok"))
}

fn secure(
    stream: TcpStream,
    address: SocketAddr,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = default_provider();
    let anybody = Anybody(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Takes every certificate: nothing is told to the server but that somebody asks for its health.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
