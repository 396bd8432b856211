//! TLS: a certificate and its key, read from PEM files and read anew while the server runs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rejoin_wire::{Rfc3339, UnixMillis};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

pub(crate) use handshakes::Handshakes;
pub use handshakes::{MAX_ADDRESS_HANDSHAKES, MAX_HANDSHAKES};

use crate::hub::unix_now;

mod handshakes;

/// Largest PEM file, in bytes: a chain of certificates takes some thousand.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// What is spoken through TLS, as clients ask for it (ALPN).
const HTTP_1_1: &[u8] = b"http/1.1";

/// The PEM files of a server's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those of its authorities up to one that clients trust.
    pub certificate: PathBuf,
    /// The private key of the first certificate, without a passphrase.
    pub key: PathBuf,
}

/// Why a certificate and a key are of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}; name a PEM file that the server may read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file has more than 1 MiB.
    #[error("{} has more than {MAX_PEM_BYTES} bytes, which no certificate takes; name a PEM file", .0.display())]
    TooLarge(PathBuf),
    /// A file is no PEM.
    #[error("{} is no PEM file: {error}; write it anew", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// There is no certificate in the file for it.
    #[error("{} holds no certificate: it begins with -----BEGIN CERTIFICATE-----, the server's own first", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in the file for it, or one that only a passphrase opens.
    #[error("{} holds no private key without a passphrase: it begins with -----BEGIN PRIVATE KEY-----", .0.display())]
    NoKey(PathBuf),
    /// What a file holds cannot be used.
    #[error("{} cannot be used: {error}; have it issued anew", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The key is that of another certificate.
    #[error("the key in {} is not that of the first certificate in {}; name two files that belong together", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// A server's identity: a pair of files as it was read last. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Locked while they are read, so that of two who read them the later one's pair stays.
    files: Arc<Mutex<TlsFiles>>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the pair.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let pair = read_pair(&files)?;
        let current = Arc::new(Current { pair: RwLock::new(Arc::new(pair)) });
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|_| unreachable!("the provider has suites for every version"))
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self { files: Arc::new(Mutex::new(files)), current, config: Arc::new(config) })
    }

    /// Reads the files again, for handshakes from now on. Where they cannot be used the pair before stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = read_pair(&files)?;
        *self.current.pair.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
        Ok(())
    }

    /// When the certificate begins and ends to be good.
    pub fn validity(&self) -> Validity {
        self.current.pair().validity
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// The time in which a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub begins: UnixMillis,
    /// Until when.
    pub ends: UnixMillis,
}

impl Validity {
    /// Whether it is good now.
    pub fn is_now(&self) -> bool {
        (self.begins..=self.ends).contains(&unix_now())
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "good from {} to {}", Rfc3339(self.begins), Rfc3339(self.ends))
    }
}

/// A certificate with its key.
#[derive(Debug)]
struct Pair {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

/// The pair that is shown to clients.
#[derive(Debug)]
struct Current {
    pair: RwLock<Arc<Pair>>,
}

impl Current {
    fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pair().certified))
    }
}

fn read_pair(files: &TlsFiles) -> Result<Pair, TlsError> {
    let TlsFiles { certificate, key } = files;
    let chain = read_chain(certificate)?;
    let validity = read_validity(certificate, &chain)?;
    let private = match PrivateKeyDer::from_pem_slice(&read(key)?) {
        Ok(private) => private,
        Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey(key.clone())),
        Err(error) => return Err(TlsError::Pem { path: key.clone(), error }),
    };
    let signer = default_provider()
        .key_provider
        .load_private_key(private)
        .map_err(|error| TlsError::Unusable { path: key.clone(), error: error.to_string() })?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(Pair { certified: Arc::new(certified), validity }),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() })
        }
        Err(error) => Err(TlsError::Unusable { path: certificate.clone(), error: error.to_string() }),
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem { path: path.to_owned(), error })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn read_validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, TlsError> {
    let unusable = |error: String| TlsError::Unusable { path: path.to_owned(), error };
    let own = chain.first().ok_or_else(|| TlsError::NoCertificate(path.to_owned()))?;
    let (_, read) = X509Certificate::from_der(own).map_err(|error| unusable(error.to_string()))?;
    let millis = |seconds: i64| UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    let validity = read.validity();
    Ok(Validity {
        begins: millis(validity.not_before.timestamp()),
        ends: millis(validity.not_after.timestamp()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::File { path: path.to_owned(), error };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_PEM_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_PEM_BYTES {
        return Err(TlsError::TooLarge(path.to_owned()));
    }
    Ok(text)
}
