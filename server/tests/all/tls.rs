//! TLS, over real sockets and processes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Process, http_over, within};
use futures_util::StreamExt;
use rejoin_client::{Client, ClientOptions, Json};
use rejoin_server::{Patience, Server, ServerOptions, Tls, TlsFiles, router, serve_tls};
use rejoin_wire::{Rfc3339, UnixMillis};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate and its key in a folder, signed by nobody else.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    pem: String,
}

impl Identity {
    fn new(folder: &Path) -> Self {
        Self::valid(folder, Duration::ZERO, 100 * 365 * DAY)
    }

    /// One that is good for a time only, which is told from 1970 on.
    fn valid(folder: &Path, begins: Duration, ends: Duration) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        (parameters.not_before, parameters.not_after) = (epoch + begins, epoch + ends);
        let key_pair = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key_pair).unwrap();
        let identity =
            Self { certificate: folder.join("cert.pem"), key: folder.join("key.pem"), pem: made.pem() };
        std::fs::write(&identity.certificate, &identity.pem).unwrap();
        std::fs::write(&identity.key, key_pair.serialize_pem()).unwrap();
        identity
    }

    fn flags(&self) -> [&str; 4] {
        ["--tls-cert", self.certificate.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()]
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.certificate.clone(), key: self.key.clone() }
    }

    /// A secure connection of somebody who trusts this certificate alone.
    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.unwrap();
        within("a handshake", connector(&self.pem).connect("localhost".try_into().unwrap(), stream)).await
    }
}

fn connector(trusted: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn is_served(identity: &Identity, address: SocketAddr) -> bool {
    let Ok(stream) = identity.connect(address).await else { return false };
    http_over(stream, "localhost", "GET /health", &[], "").await.0 == 200
}

#[tokio::test]
async fn clients_and_requests_speak_through_tls_and_what_is_plain_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new(folder.path());
    let process = Process::start_with(folder.path(), &identity.flags());
    let at = process.address;
    let [requests, sockets] = &process.announced;
    assert!(requests.ends_with(&format!(" https://{at}")), "{requests}");
    assert!(sockets.ends_with(&format!(" wss://{at}/ws")), "{sockets}");

    let url = format!("wss://localhost:{}/ws", at.port());
    let client = Client::start(ClientOptions::new(url).trust(&identity.pem)).unwrap();
    let document = within("opening", client.open("d")).await.unwrap();
    document.create(Json::from_value(&json!({"text": "secure"})).unwrap()).await.unwrap();
    within("acknowledgement", document.acknowledged()).await.unwrap();

    let stream = identity.connect(at).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (status, _, body) = http_over(stream, "localhost", "GET /api/documents/d", &[], "").await;
    assert_eq!((status, &body["content"]["text"]), (200, &json!("secure")), "{body}");

    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = within("the end of a plain connection", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    assert!(is_served(&identity, at).await);
    client.close().await.unwrap();
    assert_eq!(process.logged(), "");
}

#[tokio::test]
async fn a_secure_socket_is_told_to_move_when_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new(folder.path());
    let process = Process::start_with(folder.path(), &identity.flags());
    let stream = identity.connect(process.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/ws", stream).await.unwrap();
    let silent = TcpStream::connect(process.address).await.unwrap();
    assert!(is_served(&identity, process.address).await, "the silent one was accepted before");
    let stopping = tokio::task::spawn_blocking(move || (process.terminate(), Instant::now()));
    let mut code = None;
    while let Some(Ok(frame)) = within("a frame", socket.next()).await {
        if let Message::Close(Some(frame)) = frame {
            code = Some(u16::from(frame.code));
        }
    }
    assert_eq!(code, Some(1012));
    assert!(stopping.await.unwrap().0.success());
    drop(silent);
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed_in_time_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new(folder.path());
    let url = format!("sqlite:{}", folder.path().join("server.db").display());
    let server = Server::start(ServerOptions::new(url)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Tls::load(identity.files()).unwrap();
    let handshake = Duration::from_millis(500);
    tokio::spawn(async move {
        let patience = Patience { handshake, ..Patience::default() };
        serve_tls(listener, &tls, router(&server), &server, patience, std::future::pending()).await;
    });
    let started = Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    // The start of a ClientHello that never ends.
    begun.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.unwrap();
    assert!(is_served(&identity, address).await);
    for stalled in [&mut silent, &mut begun] {
        let mut answer = Vec::new();
        let _ = within("the end of a stalled handshake", stalled.read_to_end(&mut answer)).await;
        assert!(started.elapsed() >= handshake, "after {:?}", started.elapsed());
    }
    assert!(is_served(&identity, address).await);
}

#[tokio::test]
async fn at_a_hangup_the_pair_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = Identity::new(folder.path());
    let process = Process::start_with(folder.path(), &first.flags());
    let at = process.address;
    let kept = first.connect(at).await.unwrap();
    let second = Identity::new(folder.path());
    assert!(is_served(&first, at).await, "files that nobody spoke of are not read");
    assert!(!is_served(&second, at).await);
    process.signal("HUP");
    within("the new certificate", async { while !is_served(&second, at).await {} }).await;
    assert!(!is_served(&first, at).await);

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Identity::new(elsewhere.path());
    std::fs::copy(&other.key, &second.key).unwrap();
    process.signal("HUP");
    let refused = "certificate and key stay as they were";
    within("the refusal", async {
        while !process.logged().contains(refused) {
            assert!(is_served(&second, at).await);
        }
    })
    .await;
    assert!(process.logged().contains("is not that of the first certificate"), "{}", process.logged());
    assert!(is_served(&second, at).await);
    let (status, ..) = http_over(kept, "localhost", "GET /health", &[], "").await;
    assert_eq!(status, 200, "what was connected before stays");
}

fn rejoin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rejoin")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].concat().try_into().unwrap()
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_with_the_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, other) = (folder.path(), tempfile::tempdir().unwrap());
    let (identity, other) = (Identity::new(folder), Identity::new(other.path()));
    let written = |name: &str, content: &[u8]| {
        std::fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let short = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        (folder.join("none.pem"), key.clone(), "none.pem cannot be read"),
        (certificate.clone(), folder.join("none.pem"), "none.pem cannot be read"),
        (key.clone(), key.clone(), "key.pem holds no certificate"),
        (certificate.clone(), certificate.clone(), "cert.pem holds no private key"),
        (certificate.clone(), written("locked.pem", locked.as_bytes()), "without a passphrase"),
        (written("short.pem", short.as_bytes()), key.clone(), "short.pem cannot be used"),
        (written("cut.pem", &short.as_bytes()[..30]), key.clone(), "cut.pem is no PEM file"),
        (written("large.pem", &[b'\n'; 1024 * 1024 + 1]), key.clone(), "has more than 1048576 bytes"),
        (written("full.pem", &[b'\n'; 1024 * 1024]), key, "full.pem holds no certificate"),
        (certificate, other.key, "is not that of the first certificate"),
    ];
    let database = format!("sqlite:{}", folder.join("x.db").display());
    for (certificate, key, expected) in cases {
        let pair = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        for command in ["serve", "dev", "doctor"] {
            let common = [command, "--bind", "127.0.0.1:0", "--database-url", &database];
            let refused = rejoin(&[&common[..], &pair].concat());
            assert!(!refused.status.success() && said(&refused).contains(expected), "{}", said(&refused));
        }
    }
    assert!(!folder.join("x.db").exists(), "nothing is created in vain");
    let half = rejoin(&["serve", "--tls-key", identity.key.to_str().unwrap()]);
    assert!(!half.status.success() && said(&half).contains("--tls-cert, REJOIN_TLS_CERT"), "{}", said(&half));
}

#[test]
fn the_doctor_says_when_a_certificate_ends() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let (day, hour) = (DAY, DAY / 24);
    let database = format!("sqlite:{}", folder.path().join("x.db").display());
    let cases = [
        (now - 100 * day, now + 7 * day + hour, "ok   TLS: certificate and key belong together"),
        (now - 100 * day, now + 7 * day - hour, "FAIL TLS: the certificate in"),
        // One that lives for ten days is new on its second.
        (now - 8 * day, now + 2 * day, "ok   TLS: certificate and key belong together"),
        (now - 10 * day, now + day, "FAIL TLS: the certificate in"),
        (now - 2 * day, now - hour, "FAIL TLS: clients refuse the certificate"),
        (now + hour, now + 90 * day, "FAIL TLS: clients refuse the certificate"),
    ];
    for (begins, ends, expected) in cases {
        let identity = Identity::valid(folder.path(), begins, ends);
        let doctor = ["doctor", "--bind", "127.0.0.1:0", "--database-url", &database];
        let looked = rejoin(&[&doctor[..], &identity.flags()].concat());
        assert!(said(&looked).contains(expected), "{expected}: {}", said(&looked));
        assert_eq!(looked.status.success(), expected.starts_with("ok"), "{}", said(&looked));
        let ends = Rfc3339(UnixMillis(ends.as_secs() * 1_000));
        assert!(said(&looked).contains(&format!("to {ends}")), "{}", said(&looked));
    }
}

#[tokio::test]
async fn the_doctor_finds_the_server_that_answers_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new(folder.path());
    let process = Process::start_with(folder.path(), &identity.flags());
    let address = process.address.to_string();
    let database = format!("sqlite:{}", folder.path().join("x.db").display());
    let doctor = ["doctor", "--bind", &address, "--database-url", &database];
    for flags in [&identity.flags()[..], &[]] {
        let looked = rejoin(&[&doctor[..], flags].concat());
        let expected = format!("ok   address: a Rejoin server answers at {address} through TLS");
        assert!(said(&looked).contains(&expected), "{}", said(&looked));
    }
    assert!(is_served(&identity, process.address).await);
}
