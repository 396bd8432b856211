//! Configuration: flag, then `REJOIN_*`, then `PORT` and `DATABASE_URL`, then file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rejoin_json::{Policy, UnknownPolicy};
use rejoin_rooms::limits::{CLIENT_TIMEOUT, PING_INTERVAL};
use rejoin_wire::{IdError, WorkspaceId};
use serde::Deserialize;

use crate::rates::Rates;
use crate::recordings::RecordingTo;
use crate::router::MAX_CONNECTIONS;
use crate::tls::TlsFiles;

/// Where a server listens without being told.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The database of a server that is not told one.
pub const DEFAULT_DATABASE: &str = "sqlite:rejoin.db";

/// Every environment variable with the prefix that means something.
pub const VARIABLES: [&str; 24] = [
    "REJOIN_BIND_ADDRESS",
    "REJOIN_DATABASE_URL",
    "REJOIN_SECRET",
    "REJOIN_READER_SECRET",
    "REJOIN_TLS_CERT",
    "REJOIN_TLS_KEY",
    "REJOIN_ALLOWED_ORIGINS",
    "REJOIN_POLICY",
    "REJOIN_WORKSPACE_POLICIES",
    "REJOIN_SHARDS",
    "REJOIN_CONNECTIONS_PER_SECOND",
    "REJOIN_REQUESTS_PER_SECOND",
    "REJOIN_MESSAGES_PER_SECOND",
    "REJOIN_CREDENTIAL_REQUESTS_PER_SECOND",
    "REJOIN_CREDENTIAL_MESSAGES_PER_SECOND",
    "REJOIN_MAX_CONNECTIONS",
    "REJOIN_TRUSTED_PROXIES",
    "REJOIN_ROOM_PING_SECONDS",
    "REJOIN_ROOM_TIMEOUT_SECONDS",
    "REJOIN_RECORD",
    "REJOIN_RECORD_CONTENT",
    "REJOIN_WWW",
    "REJOIN_CONFIG",
    "REJOIN_LOG_FORMAT",
];

/// What `REJOIN_LOG_FORMAT` may say.
pub const LOG_FORMATS: [&str; 2] = ["json", "text"];

/// What is configured, each where it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// Address and port to listen on. Default 127.0.0.1:8080.
    pub bind_address: Option<String>,
    /// `sqlite:path`. Default `sqlite:rejoin.db`.
    pub database_url: Option<String>,
    /// What named the database, for whoever has to correct it.
    #[serde(skip)]
    pub database_named_by: Option<&'static str>,
    /// Bearer token that everybody must present. Needed for any address but loopback.
    pub secret: Option<String>,
    /// Besides the secret, a bearer token by which nothing can be changed.
    pub reader_secret: Option<String>,
    /// PEM file of the certificate, with those of its authorities behind it. Without it the server speaks no TLS.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Origins of pages on other hosts that may connect.
    pub allowed_origins: Option<Vec<String>>,
    /// Policy of documents that are created without one. Default `theirs`.
    pub policy: Option<String>,
    /// Workspaces in which it is another one, each with its policy.
    pub workspace_policies: Option<BTreeMap<String, String>>,
    /// Tasks that own replicas. Default: one a core.
    pub shards: Option<usize>,
    /// WebSocket connections from one address a second; 0 is no limit, as in all that follow. Without a secret none is the default, else
    /// [`Rates::GENEROUS`].
    pub connections_per_second: Option<u32>,
    /// REST requests from one address a second.
    pub requests_per_second: Option<u32>,
    /// Messages over WebSockets from one address a second.
    pub messages_per_second: Option<u32>,
    /// REST requests and new links of one credential a second.
    pub credential_requests_per_second: Option<u32>,
    /// Messages over WebSockets of one credential a second.
    pub credential_messages_per_second: Option<u32>,
    /// WebSocket connections that may be open at a time; 0 is no limit. Default [`MAX_CONNECTIONS`].
    pub max_connections: Option<usize>,
    /// Proxies in front of the server that append to `X-Forwarded-For`. Default 0: the header is not believed.
    pub trusted_proxies: Option<usize>,
    /// Seconds of silence after which a client of rooms is sent a ping. Default 30.
    pub room_ping_seconds: Option<u32>,
    /// Seconds of silence after which it is taken for dead. Default 60.
    pub room_timeout_seconds: Option<u32>,
    /// Folder to which each workspace is recorded. Default: none is.
    pub record: Option<PathBuf>,
    /// Whether what people typed is recorded, too. Default: it is, or nothing could be replayed.
    pub record_content: Option<bool>,
    /// Whether the demo is served. Default: it is.
    pub www: Option<bool>,
}

/// A configuration that a server can start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where to listen.
    pub address: SocketAddr,
    /// The database.
    pub database_url: String,
    /// What named it; nothing where it is the default.
    pub database_named_by: Option<&'static str>,
    /// The bearer token.
    pub secret: Option<String>,
    /// That of readers.
    pub reader_secret: Option<String>,
    /// The server's identity; without it the server speaks no TLS.
    pub tls: Option<TlsFiles>,
    /// Pages that may connect.
    pub allowed_origins: Vec<String>,
    /// Policy of new documents.
    pub policy: Policy,
    /// Workspaces with another one.
    pub workspace_policies: BTreeMap<WorkspaceId, Policy>,
    /// Tasks that own replicas.
    pub shards: usize,
    /// How much one address and one credential may ask for.
    pub rates: Rates,
    /// WebSocket connections that may be open at a time; 0 is no limit.
    pub max_connections: usize,
    /// Proxies in front.
    pub trusted_proxies: usize,
    /// Silence of a client of rooms until it is sent a ping.
    pub room_ping_interval: Duration,
    /// Silence until it is taken for dead.
    pub room_client_timeout: Duration,
    /// Where to record.
    pub recording: Option<RecordingTo>,
    /// Whether the demo is served.
    pub www: bool,
}

/// Why a configuration is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {error}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why, with the line.
        error: Box<toml::de::Error>,
    },
    /// An address is none.
    #[error(
        "`{0}` is no address: write HOST:PORT, as 127.0.0.1:8080, with a name or an address of this machine as HOST"
    )]
    Address(String),
    /// The log has another form.
    #[error("REJOIN_LOG_FORMAT is `{0}`: write json or text")]
    LogFormat(String),
    /// A port is none.
    #[error("PORT is `{0}`, which is no port")]
    Port(String),
    /// A policy is none.
    #[error("{0}")]
    Policy(#[from] UnknownPolicy),
    /// The policy of a workspace is none.
    #[error("of the workspace `{workspace}`: {error}")]
    PolicyOf {
        /// The workspace.
        workspace: String,
        /// Why.
        error: UnknownPolicy,
    },
    /// A workspace with a policy is none.
    #[error("`{workspace}` has a policy and is no workspace: {error}")]
    Workspace {
        /// The name.
        workspace: String,
        /// Why.
        error: IdError,
    },
    /// It is not said which workspace has which policy.
    #[error(
        "`{0}` does not say which workspace has which policy: write NAME=POLICY, as team=manual, and each NAME once"
    )]
    WorkspacePolicy(String),
    /// Of a certificate and its key one is missing.
    #[error("{0} is set and {1} is not: a certificate needs its key; set {1} too ({2}), or take {0} away")]
    HalfTls(&'static str, &'static str, &'static str),
    /// A number is none.
    #[error("{name} is `{value}`, which is no number: write a whole one, as {example}")]
    Number {
        /// The variable.
        name: String,
        /// What it says.
        value: String,
        /// What it may say.
        example: u32,
    },
    /// A switch is neither on nor off.
    #[error("{name} is `{value}`: write true or false")]
    Switch {
        /// The variable.
        name: String,
        /// What it says.
        value: String,
    },
    /// An open server would be reachable from other machines.
    #[error(
        "{0} can be reached from other machines, and this server has no secret: set REJOIN_SECRET (32 random characters, say), or listen on 127.0.0.1"
    )]
    OpenToOthers(SocketAddr),
    /// A secret that can be guessed would be all that keeps others out.
    #[error(
        "{address} can be reached from other machines, and the secret has only {bytes} bytes: set REJOIN_SECRET to at least {GOOD_SECRET_BYTES} random ones (`openssl rand -hex 16` makes 32), or listen on 127.0.0.1"
    )]
    ShortSecret {
        /// Where it was to listen.
        address: SocketAddr,
        /// The length of the secret.
        bytes: usize,
    },
    /// Readers would be all who may come in, or not be told from others.
    #[error(
        "the secret of readers (--reader-secret, REJOIN_READER_SECRET) goes with another one of those who may edit: set --secret or REJOIN_SECRET, to something else"
    )]
    ReaderSecret,
    /// Clients of rooms would be dead before they are asked.
    #[error(
        "a client of rooms is asked after {ping} s of silence and dead after {timeout} s: set --room-timeout-seconds to more than --room-ping-seconds, and that to 1 at least"
    )]
    RoomTimeout {
        /// Seconds until it is asked.
        ping: u64,
        /// Seconds until it is dead.
        timeout: u64,
    },
}

/// Shortest secret of a server that other machines reach, in bytes.
pub const GOOD_SECRET_BYTES: usize = 16;

impl Settings {
    /// Reads a file. An unknown key is an error.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.into(), error })?;
        let mut settings: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Format { path: path.into(), error: Box::new(error) })?;
        settings.database_named_by = settings.database_url.is_some().then_some("the configuration file");
        Ok(settings)
    }

    /// What the environment says, and warnings about variables that mean nothing.
    pub fn from_environment(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let mut settings = Self::default();
        let mut fallback = Self::default();
        let mut warnings = Vec::new();
        for (name, value) in variables {
            match name.as_str() {
                "REJOIN_BIND_ADDRESS" => settings.bind_address = Some(value),
                "REJOIN_DATABASE_URL" => {
                    settings.database_url = Some(value);
                    settings.database_named_by = Some("REJOIN_DATABASE_URL");
                }
                "REJOIN_LOG_FORMAT" if !LOG_FORMATS.contains(&value.as_str()) => {
                    return Err(ConfigError::LogFormat(value));
                }
                "REJOIN_SECRET" => settings.secret = Some(value),
                "REJOIN_READER_SECRET" => settings.reader_secret = Some(value),
                "REJOIN_TLS_CERT" => settings.tls_cert = file(value),
                "REJOIN_TLS_KEY" => settings.tls_key = file(value),
                "REJOIN_ALLOWED_ORIGINS" => {
                    settings.allowed_origins =
                        Some(value.split(',').map(|origin| origin.trim().to_owned()).collect());
                }
                "REJOIN_POLICY" => settings.policy = Some(value),
                "REJOIN_WORKSPACE_POLICIES" if value.is_empty() => {}
                "REJOIN_WORKSPACE_POLICIES" => {
                    settings.workspace_policies = Some(workspace_policies(value.split(',').map(str::trim))?);
                }
                "REJOIN_SHARDS" => settings.shards = Some(number(&name, &value, 4)?),
                "REJOIN_CONNECTIONS_PER_SECOND" => {
                    settings.connections_per_second = Some(number(&name, &value, 100)?);
                }
                "REJOIN_REQUESTS_PER_SECOND" => {
                    settings.requests_per_second = Some(number(&name, &value, 100)?);
                }
                "REJOIN_MESSAGES_PER_SECOND" => {
                    settings.messages_per_second = Some(number(&name, &value, 100)?);
                }
                "REJOIN_CREDENTIAL_REQUESTS_PER_SECOND" => {
                    settings.credential_requests_per_second = Some(number(&name, &value, 100)?);
                }
                "REJOIN_CREDENTIAL_MESSAGES_PER_SECOND" => {
                    settings.credential_messages_per_second = Some(number(&name, &value, 100)?);
                }
                "REJOIN_MAX_CONNECTIONS" => settings.max_connections = Some(number(&name, &value, 10_000)?),
                "REJOIN_TRUSTED_PROXIES" => settings.trusted_proxies = Some(number(&name, &value, 1)?),
                "REJOIN_RECORD" => settings.record = file(value),
                "REJOIN_RECORD_CONTENT" => {
                    let content = value.parse().map_err(|_| ConfigError::Switch { name, value })?;
                    settings.record_content = Some(content);
                }
                "REJOIN_ROOM_PING_SECONDS" => settings.room_ping_seconds = Some(number(&name, &value, 30)?),
                "REJOIN_ROOM_TIMEOUT_SECONDS" => {
                    settings.room_timeout_seconds = Some(number(&name, &value, 60)?);
                }
                "REJOIN_WWW" => {
                    let www = value.parse().map_err(|_| ConfigError::Switch { name, value })?;
                    settings.www = Some(www);
                }
                "PORT" => {
                    let port: u16 = value.parse().map_err(|_| ConfigError::Port(value))?;
                    fallback.bind_address = Some(every_address(port));
                }
                "DATABASE_URL" => {
                    fallback.database_url = Some(value);
                    fallback.database_named_by = Some("DATABASE_URL");
                }
                name if name.starts_with("REJOIN_") && !VARIABLES.contains(&name) => {
                    warnings.push(format!(
                        "{name} means nothing to this server; known are {}",
                        VARIABLES.join(", ")
                    ));
                }
                _ => {}
            }
        }
        Ok((settings.or(fallback), warnings))
    }

    /// These settings, and where they say nothing the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            bind_address: self.bind_address.or(other.bind_address),
            database_named_by: match self.database_url {
                Some(_) => self.database_named_by,
                None => other.database_named_by,
            },
            database_url: self.database_url.or(other.database_url),
            secret: self.secret.or(other.secret),
            reader_secret: self.reader_secret.or(other.reader_secret),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            allowed_origins: self.allowed_origins.or(other.allowed_origins),
            policy: self.policy.or(other.policy),
            workspace_policies: self.workspace_policies.or(other.workspace_policies),
            shards: self.shards.or(other.shards),
            connections_per_second: self.connections_per_second.or(other.connections_per_second),
            requests_per_second: self.requests_per_second.or(other.requests_per_second),
            messages_per_second: self.messages_per_second.or(other.messages_per_second),
            credential_requests_per_second: self
                .credential_requests_per_second
                .or(other.credential_requests_per_second),
            credential_messages_per_second: self
                .credential_messages_per_second
                .or(other.credential_messages_per_second),
            max_connections: self.max_connections.or(other.max_connections),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            room_ping_seconds: self.room_ping_seconds.or(other.room_ping_seconds),
            room_timeout_seconds: self.room_timeout_seconds.or(other.room_timeout_seconds),
            record: self.record.or(other.record),
            record_content: self.record_content.or(other.record_content),
            www: self.www.or(other.www),
        }
    }

    /// Fills in defaults and checks that a server may start so.
    pub fn resolve(self) -> Result<Resolved, ConfigError> {
        let address = match self.bind_address {
            None => DEFAULT_ADDRESS,
            Some(text) => listened_on(&text).ok_or(ConfigError::Address(text))?,
        };
        let secret = self.secret.filter(|secret| !secret.is_empty());
        if !address.ip().is_loopback() && secret.is_none() {
            return Err(ConfigError::OpenToOthers(address));
        }
        let seconds = |set: Option<u32>, default| set.map_or(default, |set| Duration::from_secs(set.into()));
        let room_ping_interval = seconds(self.room_ping_seconds, PING_INTERVAL);
        let room_client_timeout = seconds(self.room_timeout_seconds, CLIENT_TIMEOUT);
        if room_ping_interval.is_zero() || room_client_timeout <= room_ping_interval {
            let (ping, timeout) = (room_ping_interval.as_secs(), room_client_timeout.as_secs());
            return Err(ConfigError::RoomTimeout { ping, timeout });
        }
        let reader_secret = self.reader_secret.filter(|secret| !secret.is_empty());
        if reader_secret.is_some() && (secret.is_none() || secret == reader_secret) {
            return Err(ConfigError::ReaderSecret);
        }
        let secrets = secret.iter().chain(&reader_secret);
        let short = secrets.map(String::len).find(|bytes| *bytes < GOOD_SECRET_BYTES);
        if let Some(bytes) = short.filter(|_| !address.ip().is_loopback()) {
            return Err(ConfigError::ShortSecret { address, bytes });
        }
        let tls = match (self.tls_cert, self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (Some(_), None) => {
                return Err(ConfigError::HalfTls("tls_cert", "tls_key", "--tls-key, REJOIN_TLS_KEY"));
            }
            (None, Some(_)) => {
                return Err(ConfigError::HalfTls("tls_key", "tls_cert", "--tls-cert, REJOIN_TLS_CERT"));
            }
        };
        let policy = match self.policy {
            None => Policy::Theirs,
            Some(text) => text.parse()?,
        };
        let workspace_policies = self.workspace_policies.unwrap_or_default();
        let workspace_policies =
            workspace_policies.into_iter().map(workspace_policy).collect::<Result<_, _>>()?;
        // Without a secret only this machine can connect, and whoever runs programs on it may let them run.
        let default = if secret.is_some() { Rates::GENEROUS } else { Rates::NONE };
        let rates = Rates {
            connections: self.connections_per_second.unwrap_or(default.connections),
            requests: self.requests_per_second.unwrap_or(default.requests),
            messages: self.messages_per_second.unwrap_or(default.messages),
            credential_requests: self.credential_requests_per_second.unwrap_or(default.credential_requests),
            credential_messages: self.credential_messages_per_second.unwrap_or(default.credential_messages),
        };
        Ok(Resolved {
            address,
            database_named_by: self.database_named_by,
            database_url: self.database_url.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
            secret,
            reader_secret,
            tls,
            allowed_origins: self.allowed_origins.unwrap_or_default(),
            policy,
            workspace_policies,
            shards: self
                .shards
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
                .max(1),
            rates,
            max_connections: self.max_connections.unwrap_or(MAX_CONNECTIONS),
            trusted_proxies: self.trusted_proxies.unwrap_or(0),
            room_ping_interval,
            room_client_timeout,
            recording: self
                .record
                .map(|folder| RecordingTo { folder, content: self.record_content.unwrap_or(true) }),
            www: self.www.unwrap_or(true),
        })
    }
}

/// Reads `NAME=POLICY` of several workspaces.
pub fn workspace_policies<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut policies = BTreeMap::new();
    for text in texts {
        // A name may hold the sign, a policy does not.
        let pair = text.rsplit_once('=').map(|(name, policy)| (name.to_owned(), policy.to_owned()));
        if pair.is_none_or(|(name, policy)| policies.insert(name, policy).is_some()) {
            return Err(ConfigError::WorkspacePolicy(text.to_owned()));
        }
    }
    Ok(policies)
}

fn workspace_policy((workspace, policy): (String, String)) -> Result<(WorkspaceId, Policy), ConfigError> {
    let id = WorkspaceId::new(&workspace)
        .map_err(|error| ConfigError::Workspace { workspace: workspace.clone(), error })?;
    match policy.parse() {
        Ok(policy) => Ok((id, policy)),
        Err(error) => Err(ConfigError::PolicyOf { workspace, error }),
    }
}

/// The address that a port alone means: every one of this machine.
#[must_use]
pub fn every_address(port: u16) -> String {
    SocketAddr::from(([0, 0, 0, 0], port)).to_string()
}

/// The address of `HOST:PORT`. A name is looked up, and its first address taken; `localhost` is 127.0.0.1 everywhere.
fn listened_on(text: &str) -> Option<SocketAddr> {
    let localhost = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    localhost.as_deref().unwrap_or(text).to_socket_addrs().ok()?.next()
}

/// A variable that is set to nothing names no file.
fn file(value: String) -> Option<PathBuf> {
    (!value.is_empty()).then(|| value.into())
}

fn number<T: FromStr>(name: &str, value: &str, example: u32) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError::Number { name: name.into(), value: value.into(), example })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Settings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_environment(variables).unwrap().0
    }

    #[test]
    fn a_server_without_configuration_is_open_to_this_machine_only() {
        let resolved = Settings::default().resolve().unwrap();
        assert_eq!(resolved.address, DEFAULT_ADDRESS);
        assert_eq!(resolved.secret, None);
    }

    #[test]
    fn an_address_that_others_reach_needs_a_secret_and_the_refusal_names_the_variable() {
        let open = environment(&[("PORT", "9000")]).resolve().unwrap_err();
        assert!(open.to_string().contains("REJOIN_SECRET"), "{open}");
        let closed =
            environment(&[("PORT", "9000"), ("REJOIN_SECRET", "0123456789abcdef")]).resolve().unwrap();
        assert_eq!(closed.address.to_string(), "0.0.0.0:9000");
        let short = ("REJOIN_SECRET", "0123456789abcde");
        let guessable = environment(&[("PORT", "9000"), short]).resolve().unwrap_err().to_string();
        assert!(guessable.contains("only 15 bytes") && guessable.contains("REJOIN_SECRET"), "{guessable}");
        assert!(environment(&[short]).resolve().is_ok(), "on this machine it is only warned about");
        assert!(environment(&[("PORT", "9000"), ("REJOIN_SECRET", "")]).resolve().is_err());
    }

    #[test]
    fn readers_have_a_secret_besides_that_of_the_others() {
        let resolved = |secret: &str, readers: &str| {
            environment(&[("PORT", "9000"), ("REJOIN_SECRET", secret), ("REJOIN_READER_SECRET", readers)])
                .resolve()
        };
        let (members, readers) = ("0123456789abcdef", "fedcba9876543210");
        assert_eq!(resolved(members, readers).unwrap().reader_secret.as_deref(), Some(readers));
        assert_eq!(resolved(members, "").unwrap().reader_secret, None);
        assert!(matches!(resolved(members, members), Err(ConfigError::ReaderSecret)));
        assert!(matches!(
            resolved(members, "fedcba987654321"),
            Err(ConfigError::ShortSecret { bytes: 15, .. })
        ));
        let alone = environment(&[("REJOIN_READER_SECRET", readers)]).resolve().unwrap_err();
        assert!(alone.to_string().contains("REJOIN_READER_SECRET"), "{alone}");
    }

    #[test]
    fn a_certificate_and_its_key_are_set_together_or_not_at_all() {
        let resolved = |variables: &[(&str, &str)]| environment(variables).resolve();
        let (certificate, key) = (("REJOIN_TLS_CERT", "a.pem"), ("REJOIN_TLS_KEY", "b.pem"));
        let files = TlsFiles { certificate: "a.pem".into(), key: "b.pem".into() };
        assert_eq!(resolved(&[certificate, key]).unwrap().tls, Some(files));
        assert_eq!(resolved(&[("REJOIN_TLS_CERT", ""), ("REJOIN_TLS_KEY", "")]).unwrap().tls, None);
        let alone = resolved(&[certificate]).unwrap_err();
        assert!(matches!(alone, ConfigError::HalfTls("tls_cert", "tls_key", _)), "{alone}");
        assert!(alone.to_string().contains("REJOIN_TLS_KEY"), "{alone}");
        let alone = resolved(&[key, ("REJOIN_TLS_CERT", "")]).unwrap_err();
        assert!(alone.to_string().contains("REJOIN_TLS_CERT"), "{alone}");
    }

    #[test]
    fn workspaces_have_policies_of_their_own_and_what_is_none_is_refused_with_the_words() {
        let resolved = |text: &str| {
            let variables = [("REJOIN_WORKSPACE_POLICIES".to_owned(), text.to_owned())];
            Settings::from_environment(variables.into_iter())?.0.resolve()
        };
        let policies = resolved("team=manual, a=b=server_wins,").map(|resolved| resolved.workspace_policies);
        assert!(matches!(policies, Err(ConfigError::WorkspacePolicy(text)) if text.is_empty()));
        let policies = resolved("team=manual, a=b=server_wins").unwrap().workspace_policies;
        let expected = [("team", Policy::Manual), ("a=b", Policy::Ours)];
        let id = |name: &str| WorkspaceId::new(name).unwrap();
        assert_eq!(policies, expected.map(|(name, policy)| (id(name), policy)).into());
        assert!(resolved("").unwrap().workspace_policies.is_empty());

        for (wrong, part) in [
            (
                "team=mine",
                "of the workspace `team`: unknown merge policy \"mine\": use theirs (client_wins, auto), ours",
            ),
            ("team=", "unknown merge policy"),
            ("team", "write NAME=POLICY"),
            ("team=ours,team=theirs", "each NAME once"),
            ("=ours", "is no workspace"),
        ] {
            let error = resolved(wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{wrong}: {error}");
        }
        let policy = environment(&[("REJOIN_POLICY", "mine")]).resolve().unwrap_err();
        assert!(matches!(policy, ConfigError::Policy(_)) && policy.to_string().contains("latest or manual"));
    }

    #[test]
    fn the_own_variables_come_before_the_common_ones() {
        let settings = environment(&[
            ("DATABASE_URL", "sqlite:a.db"),
            ("REJOIN_DATABASE_URL", "sqlite:b.db"),
            ("PORT", "1"),
            ("REJOIN_BIND_ADDRESS", "localhost:2"),
        ]);
        let resolved = settings.resolve().unwrap();
        assert_eq!(resolved.database_url, "sqlite:b.db");
        assert_eq!(resolved.address.to_string(), "127.0.0.1:2");
    }

    #[test]
    fn the_database_says_what_named_it() {
        let named = |settings: Settings| settings.resolve().unwrap().database_named_by;
        assert_eq!(named(Settings::default()), None);
        let common = environment(&[("DATABASE_URL", "postgres://db/x")]);
        assert_eq!(named(common.clone()), Some("DATABASE_URL"));
        let own = environment(&[("DATABASE_URL", "a"), ("REJOIN_DATABASE_URL", "sqlite:b.db")]);
        assert_eq!(named(own), Some("REJOIN_DATABASE_URL"));
        let flag = Settings {
            database_url: Some("sqlite:c.db".into()),
            database_named_by: Some("--database-url"),
            ..Settings::default()
        };
        assert_eq!(named(flag.or(common)), Some("--database-url"));
    }

    #[test]
    fn clients_of_rooms_are_asked_before_they_are_dead() {
        let set = |ping: &str, timeout: &str| {
            let variables = [("REJOIN_ROOM_PING_SECONDS", ping), ("REJOIN_ROOM_TIMEOUT_SECONDS", timeout)];
            environment(&variables).resolve()
        };
        assert_eq!(environment(&[]).resolve().unwrap().room_ping_interval, PING_INTERVAL);
        let resolved = set("5", "6").unwrap();
        assert_eq!((resolved.room_ping_interval.as_secs(), resolved.room_client_timeout.as_secs()), (5, 6));
        assert!(matches!(set("5", "5"), Err(ConfigError::RoomTimeout { ping: 5, timeout: 5 })));
        assert!(matches!(set("0", "5"), Err(ConfigError::RoomTimeout { .. })));
    }

    #[test]
    fn an_address_is_a_host_with_a_port_and_the_log_has_a_known_form() {
        let at = |text: &str| environment(&[("REJOIN_BIND_ADDRESS", text)]).resolve();
        assert_eq!(at("[::1]:2").unwrap().address.to_string(), "[::1]:2");
        for wrong in ["", "127.0.0.1", "localhost:99999", "no.such.host.invalid:80", ":80:80"] {
            let error = at(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("HOST:PORT"), "{error}");
        }
        let format = [("REJOIN_LOG_FORMAT".to_owned(), "xml".to_owned())];
        let error = Settings::from_environment(format.into_iter()).unwrap_err().to_string();
        assert_eq!(error, "REJOIN_LOG_FORMAT is `xml`: write json or text");
    }

    #[test]
    fn unknown_variables_warn_and_unknown_keys_of_a_file_are_errors() {
        let variables = [("REJOIN_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned())];
        let (_, warnings) = Settings::from_environment(variables.into_iter()).unwrap();
        assert_eq!(warnings.len(), 1);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rejoin.toml");
        std::fs::write(&file, "bind_adress = \"127.0.0.1:1\"\n").unwrap();
        let error = Settings::read(&file).unwrap_err().to_string();
        assert!(error.contains("bind_adress"), "{error}");
    }

    #[test]
    fn the_demo_is_served_unless_it_is_switched_off() {
        assert!(environment(&[]).resolve().unwrap().www);
        assert!(!environment(&[("REJOIN_WWW", "false")]).resolve().unwrap().www);
        let wrong = [("REJOIN_WWW".to_owned(), "no".to_owned())];
        let error = Settings::from_environment(wrong.into_iter()).unwrap_err().to_string();
        assert_eq!(error, "REJOIN_WWW is `no`: write true or false");
    }

    #[test]
    fn limits_hold_where_others_can_connect_and_each_can_be_set_or_taken_away() {
        assert_eq!(environment(&[]).resolve().unwrap().rates, Rates::NONE);
        let secret = ("REJOIN_SECRET", "0123456789abcdef");
        assert_eq!(environment(&[secret]).resolve().unwrap().rates, Rates::GENEROUS);
        let set = [secret, ("REJOIN_MESSAGES_PER_SECOND", "7"), ("REJOIN_REQUESTS_PER_SECOND", "0")];
        let resolved = environment(&set).resolve().unwrap();
        assert_eq!(resolved.rates, Rates { messages: 7, requests: 0, ..Rates::GENEROUS });
        assert_eq!((resolved.trusted_proxies, resolved.max_connections), (0, MAX_CONNECTIONS));
        let set = environment(&[("REJOIN_MAX_CONNECTIONS", "7")]).resolve().unwrap();
        assert_eq!(set.max_connections, 7);
        let wrong = [("REJOIN_TRUSTED_PROXIES".to_owned(), "yes".to_owned())];
        let error = Settings::from_environment(wrong.into_iter()).unwrap_err().to_string();
        assert_eq!(error, "REJOIN_TRUSTED_PROXIES is `yes`, which is no number: write a whole one, as 1");
    }
}
