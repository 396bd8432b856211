//! The `rejoin` command.

#[cfg(feature = "mock")]
mod mock;
mod pages;
mod replay;
#[cfg(feature = "client")]
mod room_client;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::{Args, Parser, Subcommand};
use rejoin_server::config::{GOOD_SECRET_BYTES, Resolved, Settings, every_address, workspace_policies};
use rejoin_server::{Patience, Server, ServerOptions, Tls, examine, recorder, router, serve, serve_tls};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// A server allocates a little for every change and frees it on another thread, which glibc is slow at.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time for threads that the runtime still waits for when everything is stopped.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);

/// Offline-first, real-time collaboration: one server for documents that people edit apart and rejoin.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves documents.
    Serve(Flags),
    /// Serves documents for trying out: on this machine only, in `rejoin-dev.db`.
    Dev(Flags),
    /// Says what is wrong with a set-up.
    Doctor(Flags),
    /// Replays a recording, and says where something else comes out.
    Replay(replay::ReplayFlags),
    /// Joins a room in this terminal, for trying rooms out.
    #[cfg(feature = "client")]
    Client(room_client::ClientFlags),
    /// Plays the other end of a WebSocket: echo, replay, record and proxy, for whoever builds against one.
    #[cfg(feature = "mock")]
    Mock(mock::MockFlags),
    /// Simulates replicas, networks and disks under faults, and checks what is claimed of them.
    #[cfg(feature = "sim")]
    Sim(rejoin_sim::command::Arguments),
}

#[derive(Args)]
struct Flags {
    /// Address and port to listen on; 127.0.0.1:8080 without it
    #[arg(long = "bind", visible_alias = "bind-address", value_name = "HOST:PORT")]
    bind_address: Option<String>,
    /// Port to listen on, on every address of this machine; needs a secret
    #[arg(long, value_name = "PORT", conflicts_with = "bind_address")]
    port: Option<u16>,
    /// Database, as sqlite:rejoin.db
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Bearer token that everybody must present; needed for any address but loopback
    #[arg(long)]
    secret: Option<String>,
    /// Bearer token by which nothing can be changed, besides the secret
    #[arg(long)]
    reader_secret: Option<String>,
    /// PEM file of the server's certificate and those of its authorities, for https:// and wss://; needs --tls-key
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Origin of pages on another host that may connect; may be repeated
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// Policy of documents that are created without one: theirs, ours, latest or manual
    #[arg(long)]
    policy: Option<String>,
    /// Another such policy for one workspace; may be repeated
    #[arg(long = "workspace-policy", value_name = "NAME=POLICY")]
    workspace_policies: Vec<String>,
    /// Tasks that own replicas; one a core without it
    #[arg(long)]
    shards: Option<usize>,
    /// WebSocket connections from one address a second; 0 is no limit, as in all that follow
    #[arg(long, value_name = "N", help_heading = "Limits")]
    connections_per_second: Option<u32>,
    /// REST requests from one address a second
    #[arg(long, value_name = "N", help_heading = "Limits")]
    requests_per_second: Option<u32>,
    /// Messages over WebSockets from one address a second
    #[arg(long, value_name = "N", help_heading = "Limits")]
    messages_per_second: Option<u32>,
    /// REST requests and new links of one credential a second
    #[arg(long, value_name = "N", help_heading = "Limits")]
    credential_requests_per_second: Option<u32>,
    /// Messages over WebSockets of one credential a second
    #[arg(long, value_name = "N", help_heading = "Limits")]
    credential_messages_per_second: Option<u32>,
    /// WebSocket connections that may be open at a time; 0 is no limit
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_connections: Option<usize>,
    /// Proxies in front that append to X-Forwarded-For; without it the header is not believed
    #[arg(long, value_name = "N", help_heading = "Limits")]
    trusted_proxies: Option<usize>,
    /// Seconds of silence after which a client of rooms is sent a ping; 30 without it
    #[arg(long, value_name = "N")]
    room_ping_seconds: Option<u32>,
    /// Seconds of silence after which such a client is taken for dead; 60 without it
    #[arg(long, value_name = "N")]
    room_timeout_seconds: Option<u32>,
    /// Folder to which each workspace is recorded, for `rejoin replay`; what people type is in it
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Records kinds, sizes and times only, which can be shown and not replayed
    #[arg(long)]
    record_without_content: bool,
    /// Serves no demo at `/`
    #[arg(long)]
    no_www: bool,
    /// File of the same settings in TOML
    #[arg(long, env = "REJOIN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(flags) => settings(flags).and_then(|settings| run_server(settings, false)),
        Command::Dev(flags) => settings(flags).and_then(|settings| {
            let mut dev = Settings::default();
            dev.database_url = Some("sqlite:rejoin-dev.db".into());
            run_server(settings.or(dev), true)
        }),
        Command::Doctor(flags) => settings(flags).and_then(doctor),
        Command::Replay(flags) => replay::run(&flags),
        #[cfg(feature = "client")]
        Command::Client(flags) => room_client::run(flags),
        #[cfg(feature = "mock")]
        Command::Mock(command) => mock::run(command),
        #[cfg(feature = "sim")]
        Command::Sim(arguments) => Ok(rejoin_sim::command::run(&arguments)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "rejoin: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Flags before environment before file.
fn settings(flags: Flags) -> Result<Settings, Failure> {
    let file = flags.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let (environment, warnings) = Settings::from_environment(std::env::vars())?;
    for warning in warnings {
        let _ = writeln!(std::io::stderr(), "rejoin: warning: {warning}");
    }
    let workspace_policies = match &flags.workspace_policies[..] {
        [] => None,
        texts => Some(workspace_policies(texts.iter().map(String::as_str))?),
    };
    let mut given = Settings::default();
    given.bind_address = flags.bind_address.or(flags.port.map(every_address));
    given.database_named_by = flags.database_url.is_some().then_some("--database-url");
    given.database_url = flags.database_url;
    given.secret = flags.secret;
    given.reader_secret = flags.reader_secret;
    given.tls_cert = flags.tls_cert;
    given.tls_key = flags.tls_key;
    given.allowed_origins = (!flags.allowed_origins.is_empty()).then_some(flags.allowed_origins);
    given.policy = flags.policy;
    given.workspace_policies = workspace_policies;
    given.shards = flags.shards;
    given.connections_per_second = flags.connections_per_second;
    given.requests_per_second = flags.requests_per_second;
    given.messages_per_second = flags.messages_per_second;
    given.credential_requests_per_second = flags.credential_requests_per_second;
    given.credential_messages_per_second = flags.credential_messages_per_second;
    given.max_connections = flags.max_connections;
    given.trusted_proxies = flags.trusted_proxies;
    given.record = flags.record;
    given.record_content = flags.record_without_content.then_some(false);
    given.room_ping_seconds = flags.room_ping_seconds;
    given.room_timeout_seconds = flags.room_timeout_seconds;
    given.www = flags.no_www.then_some(false);
    Ok(given.or(environment).or(file))
}

fn run_server(settings: Settings, dev: bool) -> Result<ExitCode, Failure> {
    log();
    let resolved = settings.resolve()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ran = runtime.block_on(run(resolved, dev));
    runtime.shutdown_timeout(EXIT_PATIENCE);
    ran?;
    Ok(ExitCode::SUCCESS)
}

async fn run(resolved: Resolved, dev: bool) -> Result<(), Failure> {
    let metrics = recorder().install_recorder()?;
    let tls = resolved.tls.clone().map(Tls::load).transpose()?;
    let listener = TcpListener::bind(resolved.address).await.map_err(|error| {
        let address = resolved.address;
        format!("{address} cannot be listened on ({error}); stop what uses it, or choose another with --bind")
    })?;
    let address = listener.local_addr()?;
    let mut options = ServerOptions::new(resolved.database_url.clone());
    options.secret = resolved.secret.clone().map(Arc::from);
    options.reader_secret = resolved.reader_secret.clone().map(Arc::from);
    options.allowed_origins = resolved.allowed_origins.clone();
    options.allows_local_pages = dev;
    options.shards = resolved.shards;
    options.policy = resolved.policy;
    options.workspace_policies = resolved.workspace_policies.clone();
    options.rates = resolved.rates;
    options.max_connections = resolved.max_connections;
    options.trusted_proxies = resolved.trusted_proxies;
    options.room_ping_interval = resolved.room_ping_interval;
    options.room_client_timeout = resolved.room_client_timeout;
    options.recording.clone_from(&resolved.recording);
    options.metrics = Some(metrics);
    let server = Server::start(options).map_err(|error| match resolved.database_named_by {
        Some(named_by) => format!("{error} (named by {named_by})"),
        None => error.to_string(),
    })?;
    let mut signals = StopSignals::listen()?;
    let mut hangups = tls.clone().map(Hangups::listen).transpose()?;
    announce(address, &resolved, dev);
    if let Some(secret) = resolved.secret.as_ref().filter(|secret| secret.len() < GOOD_SECRET_BYTES) {
        let bytes = secret.len();
        tracing::warn!("the secret has only {bytes} bytes: take at least {GOOD_SECRET_BYTES} random ones");
    }
    let stop = Notify::new();
    let mut serving = pin!(async {
        let router = match resolved.www {
            true => router(&server).fallback(page),
            false => router(&server).route("/", get(start)).fallback(no_such_path),
        };
        let (patience, asked) = (Patience::default(), stop.notified());
        match &tls {
            Some(tls) => serve_tls(listener, tls, router, &server, patience, asked).await,
            None => serve(listener, router, &server, patience, asked).await,
        }
    });
    let reloading = async {
        match &mut hangups {
            Some(hangups) => hangups.reload().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = &mut serving => return Ok(()),
        _ = signals.next() => stop.notify_one(),
        () = reloading => {}
    }
    tokio::select! {
        () = &mut serving => tracing::info!("stopped"),
        _ = signals.next() => {
            tracing::warn!("stopping at once: asked a second time");
            std::process::exit(1);
        }
    }
    Ok(())
}

/// SIGHUP, at which certificate and key are read again.
struct Hangups {
    tls: Tls,
    signal: Signal,
}

impl Hangups {
    fn listen(tls: Tls) -> std::io::Result<Self> {
        note_validity(&tls);
        Ok(Self { tls, signal: signal(SignalKind::hangup())? })
    }

    /// Reads them at each signal, for as long as there may be one.
    async fn reload(&mut self) {
        while self.signal.recv().await.is_some() {
            let tls = self.tls.clone();
            // Files are read on a thread of their own: those on a network may take their time.
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(())) => {
                    tracing::info!("certificate and key were read again");
                    note_validity(&self.tls);
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "certificate and key stay as they were");
                }
                Err(error) => tracing::error!(%error, "certificate and key could not be read again"),
            }
        }
        std::future::pending::<()>().await;
    }
}

fn note_validity(tls: &Tls) {
    let validity = tls.validity();
    if !validity.is_now() {
        tracing::warn!("clients will refuse the certificate: it is {validity}; renew it and send SIGHUP");
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next of them, with its number.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}

/// Answers with a page of the demo.
async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match pages::answer(pages::ALL, &method, uri.path(), &headers) {
        Some(page) => page,
        None => no_such_path().await.into_response(),
    }
}

/// Answers a path that there is none of, as those below `/api` are answered.
async fn no_such_path() -> (StatusCode, Json<serde_json::Value>) {
    let message = "there is no such path; see /api/openapi.json, and connect WebSockets to /ws";
    let error = serde_json::json!({"code": "bad_message", "message": message, "retry": false});
    (StatusCode::NOT_FOUND, Json(serde_json::json!({"error": error})))
}

/// Says to whoever looks what there is.
async fn start() -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "rejoin": env!("CARGO_PKG_VERSION"),
        "description": "/api/openapi.json",
        "socket": "/ws",
        "health": "/health",
    }))
}

/// Says where the server is, for whom, and in `dev` what to try.
fn announce(address: SocketAddr, resolved: &Resolved, dev: bool) {
    let mut out = std::io::stdout().lock();
    let (http, ws) = if resolved.tls.is_some() { ("https", "wss") } else { ("http", "ws") };
    let _ = writeln!(out, "rejoin is listening on {http}://{address}");
    let _ = writeln!(out, "WebSockets connect to {ws}://{address}/ws");
    let _ = match &resolved.secret {
        None => writeln!(out, "open to this machine only: nobody needs a token, and nobody else can connect"),
        Some(_) => writeln!(out, "everybody needs the secret, as `Authorization: Bearer …`"),
    };
    let named_by = resolved.database_named_by.map_or_else(String::new, |by| format!(", which {by} names"));
    let _ = writeln!(out, "documents are kept in {}{named_by}", resolved.database_url);
    if let Some(recording) = &resolved.recording {
        let content = if recording.content { ", with what people type" } else { ", without content" };
        let _ = writeln!(out, "each workspace is recorded to {}{content}", recording.folder.display());
    }
    if resolved.www && !pages::ALL.is_empty() {
        let _ = writeln!(out, "the demo is at {http}://{address}/");
    }
    if dev {
        // The secret itself is not for a terminal's history.
        let curl = match &resolved.secret {
            None => "curl",
            Some(_) => "curl -H \"authorization: Bearer $REJOIN_SECRET\"",
        };
        let _ = writeln!(
            out,
            "\ntry, in another terminal:\n  \
             {curl} -X POST {http}://{address}/api/documents -H 'content-type: application/json' -d '{{\"id\":\"note\",\"content\":{{\"text\":\"Hello\"}}}}'\n  \
             {curl} -X PATCH {http}://{address}/api/documents/note -H 'content-type: application/json-patch+json' -d '[{{\"op\":\"replace\",\"path\":\"/text\",\"value\":\"Hello, world\"}}]'\n  \
             {curl} {http}://{address}/api/documents/note/changes\n\
             or connect a WebSocket to {ws}://{address}/ws and send {{\"type\":\"subscribe\"}}\n"
        );
    }
    let _ = out.flush();
}

fn doctor(settings: Settings) -> Result<ExitCode, Failure> {
    let findings = examine(settings);
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{} {}", if finding.good { "ok  " } else { "FAIL" }, finding.text)?;
    }
    Ok(if findings.iter().all(|finding| finding.good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Logs go to standard error: lines for people in a terminal, JSON elsewhere or when asked for.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let json = std::env::var("REJOIN_LOG_FORMAT")
        .map_or_else(|_| !std::io::stderr().is_terminal(), |format| format == "json");
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.init() }
}
