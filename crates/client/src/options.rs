//! What a client is told before it starts.

use std::path::PathBuf;
use std::sync::Arc;

use rejoin_record::RecordingOptions;
use rejoin_wire::{Scope, WorkspaceId};

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub(crate) url: String,
    pub(crate) workspace: WorkspaceId,
    pub(crate) token: Option<Arc<str>>,
    pub(crate) scope: Option<Scope>,
    pub(crate) database: Option<PathBuf>,
    pub(crate) principal: Arc<str>,
    pub(crate) online: bool,
    pub(crate) recording: Option<RecordingOptions>,
    /// In PEM.
    #[cfg(feature = "tls")]
    pub(crate) authorities: Vec<Arc<[u8]>>,
}

/// Why a client could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is none.
    #[error("`{0}` is no WebSocket address; write ws://HOST:PORT/ws or wss://…")]
    Url(String),
    /// The address is `wss://`, and TLS is left out of this build.
    #[error("this build has no TLS, which `{0}` needs; enable the feature `tls`, or write ws://")]
    NoTls(String),
    /// Certificates to trust could not be read.
    #[cfg(feature = "tls")]
    #[error("the certificates of authorities cannot be used: {0}")]
    Certificates(String),
    /// There is nobody to trust: neither this machine nor the options name an authority.
    #[cfg(feature = "tls")]
    #[error(
        "this machine trusts no certificate authority, so `wss://` reaches nobody; install its certificates, or name one with `trust`"
    )]
    NoAuthorities,
    /// The database could not be opened.
    #[cfg(feature = "sqlite")]
    #[error("the database cannot be opened: {0}")]
    Store(#[from] rejoin_store::OpenError),
    /// Databases are left out of this build.
    #[error("this build has no SQLite; enable the feature `sqlite`")]
    NoSqlite,
}

impl ClientOptions {
    /// A client of the default workspace, at a `ws://` or `wss://` address, that keeps everything in memory and holds the documents that it opens.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            workspace: WorkspaceId::new("default")
                .unwrap_or_else(|_| unreachable!("a constant id is well formed")),
            token: None,
            scope: None,
            database: None,
            principal: "local".into(),
            online: true,
            recording: None,
            #[cfg(feature = "tls")]
            authorities: Vec::new(),
        }
    }

    /// Keeps documents and changes in a SQLite file, which is created when it is missing.
    #[must_use]
    pub fn sqlite(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = Some(path.into());
        self
    }

    /// Works in this workspace.
    #[must_use]
    pub fn workspace(mut self, workspace: WorkspaceId) -> Self {
        self.workspace = workspace;
        self
    }

    /// Presents this token.
    #[must_use]
    pub fn token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Follows the whole workspace, or its list, besides the documents that are opened.
    #[must_use]
    pub fn follow(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Trusts the certificate authorities in this PEM text too, besides those that this machine trusts. For `wss://` addresses.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn trust(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(pem.as_ref().into());
        self
    }

    /// Records what goes into the replica and comes out of it, so that it can be replayed:
    /// [`Client::recording`](crate::Client::recording) gives the file. What is typed is in it, unless the options say otherwise; tokens are
    /// not.
    #[must_use]
    pub fn record(mut self, recording: RecordingOptions) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Starts without connecting, until [`Client::go_online`](crate::Client::go_online).
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.online = false;
        self
    }
}
