//! `rejoin mock`: the other end of a WebSocket, for whoever builds against one.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use clap::{Args, Subcommand};
use metrics_exporter_prometheus::PrometheusBuilder;
use rejoin_mock::{
    ChaosProfile, FaultError, FaultPlan, LatencyInjector, LatencyProfile, MockOptions, RecordOptions,
    Redactions, ReplayAugmentationConfig, WsProxyConfig, WsProxyHandler, bind, read_script,
    router_with_events, router_with_options, try_router_with_proxy,
};

use self::config::Config;
use self::log::LogWriter;
use crate::{EXIT_PATIENCE, Failure, StopSignals, log};

mod config;
mod log;
mod view;

/// How long a command has to end when the mock is told to.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether what a command has started is gone: no system tells.
const GROUP_LOOK: Duration = Duration::from_millis(20);

/// Where a mock listens when nobody says otherwise.
const DEFAULT_PORT: u16 = 3_001;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct MockFlags {
    #[command(subcommand)]
    command: Option<MockCommand>,
    /// Serves several paths, each as this file says
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(Subcommand)]
enum MockCommand {
    /// Sends back every message
    Echo(ServeFlags),
    /// Plays a script of JSON Lines on each connection
    Replay {
        /// The script
        #[arg(value_name = "FILE", env = "REJOIN_WS_REPLAY_FILE")]
        file: PathBuf,
        #[command(flatten)]
        script: ScriptFlags,
        #[command(flatten)]
        serve: ServeFlags,
    },
    /// Passes connections on to a server
    Proxy(ProxyFlags),
    /// Passes connections on to a server, and writes each down as a script that `replay` plays
    Record {
        /// The file of the first connection; those of the next have -2, -3 and so on before the extension
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Leaves out the values of this key in JSON messages; may be repeated
        #[arg(long, value_name = "KEY")]
        redact_key: Vec<String>,
        /// Leaves out what this regular expression matches; may be repeated
        #[arg(long, value_name = "REGEX")]
        redact: Vec<String>,
        #[command(flatten)]
        proxy: ProxyFlags,
    },
    /// Streams generated events to each connection, and closes it
    Events(EventsFlags),
    /// An echo, or a proxy, on whose connections much goes wrong that is drawn
    Chaos(ChaosFlags),
    /// Says what is wrong with scripts and configurations
    Check {
        /// The scripts; those that end with .toml are configurations
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        script: ScriptFlags,
    },
}

#[derive(Args)]
pub(crate) struct ScriptFlags {
    /// Whether tokens such as {{uuid}} are made anew, or sent as they stand
    #[arg(long, env = "REJOIN_RESPONSE_TEMPLATE_EXPAND", value_name = "1|0", default_value = "1")]
    expand: Switch,
}

#[derive(Args)]
pub(crate) struct RunFlags {
    /// Port to listen on, on this machine only; 3001 without it
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Address and port to listen on instead; whoever reaches it may connect
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "port")]
    bind: Option<SocketAddr>,
    /// Writes what happens on connections: json, lines or off; without it a terminal has a live view, and other outputs lines, unless a command is run
    #[arg(long, value_name = "HOW")]
    log: Option<log::Log>,
    /// Runs a command against the mock, which is its variable REJOIN_MOCK_URL, and ends with its status
    #[arg(long, value_name = "COMMAND")]
    cmd: Option<String>,
    /// Takes a port that is free for the command
    #[arg(long, requires = "cmd", conflicts_with_all = ["port", "bind"])]
    ci: bool,
}

#[derive(Args)]
pub(crate) struct ServeFlags {
    #[command(flatten)]
    run: RunFlags,
    /// Path of the WebSocket
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    path: String,
    /// What everything is drawn from that is left to chance, so that a run can be repeated
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long messages take each way: fast, normal, slow, 400ms±100, normal(400ms, 100ms)…
    #[arg(long, value_name = "LATENCY", value_parser = latency)]
    latency: Option<LatencyProfile>,
    /// What goes wrong, as "drop(yjs.step2) p=0.1; close(4401) after 3 updates"
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    fault: Option<FaultPlan>,
    /// Has test code ask /__mock who is connected and what was said, say something to clients, and close them
    #[arg(long)]
    admin: bool,
    /// Connections at a time
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_connections: Option<NonZeroUsize>,
    /// Bytes of a message
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_message_bytes: Option<NonZeroUsize>,
}

#[derive(Args)]
pub(crate) struct ProxyFlags {
    /// The server, as ws://host:port/path
    #[arg(value_name = "URL", env = "REJOIN_WS_PROXY_UPSTREAM_URL")]
    upstream: String,
    /// Another server for the paths that match, as /v1/**=ws://host; may be repeated, and the first that matches counts
    #[arg(long, value_name = "PATTERN=URL")]
    rule: Vec<Rule>,
    /// PEM file with certificates of authorities that are trusted too; may be repeated
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    #[command(flatten)]
    serve: ServeFlags,
}

#[derive(Args)]
pub(crate) struct ChaosFlags {
    /// How much goes wrong: mild or wild
    #[arg(long, value_name = "PROFILE", default_value = "mild")]
    profile: ChaosProfile,
    /// The server to pass connections on to, as ws://host:port/path; an echo without it
    #[arg(long, value_name = "URL", env = "REJOIN_WS_PROXY_UPSTREAM_URL")]
    upstream: Option<String>,
    #[command(flatten)]
    serve: ServeFlags,
}

#[derive(Args)]
pub(crate) struct EventsFlags {
    /// What happens, in words
    #[arg(value_name = "NARRATIVE", default_value = "")]
    narrative: String,
    /// Who makes them: builtin, which needs no network, openai, anthropic or ollama; keys come from the environment
    #[arg(long, value_name = "NAME", default_value = "builtin")]
    provider: String,
    /// The provider's model
    #[arg(long, value_name = "NAME", default_value = "")]
    model: String,
    /// Where the provider is, if it is not at its own place
    #[arg(long, value_name = "URL", default_value = "")]
    endpoint: String,
    /// How many events
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Events in a second; as fast as they are made without it
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// File of the JSON Schema of their data
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeFlags,
}

/// Reads a plan, and shows where it is wrong.
fn plan(text: &str) -> Result<FaultPlan, String> {
    text.parse().map_err(|error| placed(&error))
}

/// The same for a latency.
fn latency(text: &str) -> Result<LatencyProfile, String> {
    text.parse().map_err(|error| placed(&error))
}

fn placed(error: &FaultError) -> String {
    format!("line {}, column {}\n\n{}", error.line(), error.column(), error.rendered())
}

/// On or off, as the environment says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Switch(bool);

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // A variable that is set to nothing is not set.
            "" | "1" | "true" => Ok(Self(true)),
            "0" | "false" => Ok(Self(false)),
            _ => Err("take 1 or 0"),
        }
    }
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    upstream: String,
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pattern, upstream) = text.split_once('=').ok_or("take a pattern of paths, = and an address")?;
        Ok(Self { pattern: pattern.to_owned(), upstream: upstream.to_owned() })
    }
}

/// Does what the command says, until it is told to stop.
pub(crate) fn run(flags: MockFlags) -> Result<ExitCode, Failure> {
    log();
    match (flags.command, flags.config) {
        (Some(command), _) => run_command(command),
        (None, Some(file)) => configured(&flags.run, &file),
        (None, None) => {
            Err("name what the mock does, as in `rejoin mock echo`, or a file with --config".into())
        }
    }
}

fn configured(flags: &RunFlags, file: &Path) -> Result<ExitCode, Failure> {
    let config = Config::read(file)?;
    let log = flags.log()?;
    let router = with_metrics(config.router(log.observer())?, config.is_open())?;
    let said = format!("serves {} paths of {}", config.paths().len(), file.display());
    serve(flags, config.address(), &config.paths(), router, &said, log)
}

fn run_command(command: MockCommand) -> Result<ExitCode, Failure> {
    match command {
        MockCommand::Echo(flags) => {
            let log = flags.run.log()?;
            let router = router_with_options(flags.options(&log))?;
            flags.serve(router, "echoes what it is sent", log)
        }
        MockCommand::Replay { file, script, serve: flags } => {
            let log = flags.run.log()?;
            let mut options = flags.options(&log);
            let said = format!("plays {}", file.display());
            options.script = Some(file);
            options.expands = script.expand.0;
            flags.serve(router_with_options(options)?, &said, log)
        }
        MockCommand::Proxy(flags) => {
            let log = flags.serve.run.log()?;
            let said = format!("passes connections on to {}", flags.upstream);
            flags.serve.serve(try_router_with_proxy(flags.handler(&log)?)?, &said, log)
        }
        MockCommand::Record { file, redact_key, redact, proxy } => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                let missing =
                    format!("{} cannot be written: there is no folder {}", file.display(), folder.display());
                return Err(missing.into());
            }
            let log = proxy.serve.run.log()?;
            let mut redactions = Redactions::new();
            for key in &redact_key {
                redactions = redactions.key(key);
            }
            for pattern in &redact {
                redactions = redactions.pattern(pattern, "[redacted]")?;
            }
            let said =
                format!("passes connections on to {} and writes them to {}", proxy.upstream, file.display());
            let handler = proxy.handler(&log)?.record(RecordOptions::to(file).redacted(redactions));
            proxy.serve.serve(try_router_with_proxy(handler)?, &said, log)
        }
        MockCommand::Events(flags) => {
            let log = flags.serve.run.log()?;
            let router = router_with_events(flags.config()?, flags.serve.options(&log))?;
            flags.serve.serve(router, "streams generated events", log)
        }
        MockCommand::Chaos(flags) => chaos(flags),
        MockCommand::Check { files, script } => Ok(check(&files, script.expand.0)?),
    }
}

fn chaos(mut flags: ChaosFlags) -> Result<ExitCode, Failure> {
    let log = flags.serve.run.log()?;
    let seed = match flags.serve.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    let drawn = flags.profile.plan(seed)?;
    log.chaos(seed, flags.profile, &drawn)?;
    let plan = match &flags.serve.fault {
        None => drawn,
        Some(given) => format!("{drawn}; {given}").parse()?,
    };
    (flags.serve.seed, flags.serve.fault) = (Some(seed), Some(plan));
    let options = flags.serve.options(&log);
    let (router, said) = match flags.upstream.filter(|url| !url.is_empty()) {
        None => (router_with_options(options)?, "echoes what it is sent, with faults".to_owned()),
        Some(url) => {
            let handler = WsProxyHandler::new(WsProxyConfig::to(&url)).with_options(options);
            (try_router_with_proxy(handler)?, format!("passes connections on to {url}, with faults"))
        }
    };
    flags.serve.serve(router, &said, log)
}

impl RunFlags {
    /// Where it listens, if the flags say so.
    fn address(&self) -> Option<SocketAddr> {
        let port = self.port.or(self.ci.then_some(0));
        self.bind.or(port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Where what happens is written.
    fn log(&self) -> Result<LogWriter, Failure> {
        // What a command says is not to be mixed with it.
        let usual = if self.cmd.is_some() {
            log::Log::Off
        } else if io::stdout().is_terminal() {
            log::Log::View
        } else {
            log::Log::Lines
        };
        Ok(LogWriter::start(self.log.unwrap_or(usual))?)
    }
}

impl ServeFlags {
    fn serve(&self, router: Router, said: &str, log: LogWriter) -> Result<ExitCode, Failure> {
        let router = with_metrics(router, self.admin)?;
        serve(&self.run, None, std::slice::from_ref(&self.path), router, said, log)
    }

    fn options(&self, log: &LogWriter) -> MockOptions {
        let mut options = MockOptions::default();
        options.path.clone_from(&self.path);
        options.seed = self.seed;
        options.admin = self.admin;
        options.observer = log.observer();
        if self.latency.is_some() || self.fault.is_some() {
            let latency = self.latency.clone().unwrap_or_else(|| LatencyProfile::fixed(Duration::ZERO));
            options.latency = Some(LatencyInjector::new(latency, self.fault.clone().unwrap_or_default()));
        }
        options.max_connections = self.max_connections.map_or(options.max_connections, NonZeroUsize::get);
        options.max_message_bytes =
            self.max_message_bytes.map_or(options.max_message_bytes, NonZeroUsize::get);
        options
    }
}

impl ProxyFlags {
    fn handler(&self, log: &LogWriter) -> Result<WsProxyHandler, Failure> {
        let config = WsProxyConfig::to(&self.upstream);
        let mut handler = WsProxyHandler::new(config).with_options(self.serve.options(log));
        for rule in &self.rule {
            handler = handler.rule(&rule.pattern, &rule.upstream);
        }
        for file in &self.trust {
            let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            handler = handler.trust(pem);
        }
        Ok(handler)
    }
}

impl EventsFlags {
    fn config(&self) -> Result<ReplayAugmentationConfig, Failure> {
        let mut config = ReplayAugmentationConfig {
            narrative: self.narrative.clone(),
            provider: self.provider.clone(),
            model: self.model.clone(),
            endpoint: self.endpoint.clone(),
            events_per_second: self.rate,
            ..ReplayAugmentationConfig::default()
        };
        config.event_count = self.count.unwrap_or(config.event_count);
        if let Some(file) = &self.schema {
            let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
            config.schema = Some(serde_json::from_str(&text).map_err(|error| named(&error))?);
        }
        Ok(config)
    }
}

/// Shows what the mock counts to who may ask, as Prometheus reads it.
fn with_metrics(router: Router, is_open: bool) -> Result<Router, Failure> {
    if !is_open {
        return Ok(router);
    }
    let metrics = PrometheusBuilder::new().install_recorder()?;
    // Pages are refused, as on the other paths of test code.
    let shown = async move |headers: HeaderMap| match headers.contains_key(ORIGIN) {
        true => Err(StatusCode::FORBIDDEN),
        false => Ok(metrics.render()),
    };
    Ok(router.route("/__mock/metrics", get(shown)))
}

fn serve(
    flags: &RunFlags,
    address: Option<SocketAddr>,
    paths: &[String],
    router: Router,
    said: &str,
    log: LogWriter,
) -> Result<ExitCode, Failure> {
    let usual = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT));
    let address = flags.address().or(address).unwrap_or(usual);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served: Result<ExitCode, Failure> = runtime.block_on(async {
        let listener = bind(address).await?;
        let mut signals = StopSignals::listen()?;
        let origin = format!("ws://{}", listener.local_addr()?);
        let urls: Vec<String> = paths.iter().map(|path| format!("{origin}{path}")).collect();
        log.announce(&urls, said)?;
        let url = match urls.as_slice() {
            [url] => url,
            _ => &origin,
        };
        let mut shell = flags.cmd.as_deref().map(|command| Shell::start(command, url)).transpose()?;
        let ended = async {
            match &mut shell {
                Some(shell) => shell.ended().await,
                None => std::future::pending().await,
            }
        };
        let signal = tokio::select! {
            served = rejoin_mock::serve(listener, router) => return served.map(|()| ExitCode::SUCCESS).map_err(Into::into),
            status = ended => return status,
            signal = signals.next() => signal,
            () = resizes(&log) => return Ok(ExitCode::SUCCESS),
        };
        match shell {
            Some(shell) => Ok(shell.stop(signal).await),
            None => Ok(ExitCode::SUCCESS),
        }
    });
    runtime.shutdown_timeout(EXIT_PATIENCE);
    drop(log);
    served
}

/// Has the view know of each new size of the terminal, for ever.
async fn resizes(log: &LogWriter) {
    #[cfg(unix)]
    if let Ok(mut changes) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()) {
        while changes.recv().await.is_some() {
            log.resize();
        }
    }
    let _ = log;
    std::future::pending::<()>().await;
}

/// A command of the shell that runs against the mock.
struct Shell {
    child: tokio::process::Child,
    /// Its number; a child that has ended says none.
    id: Option<i32>,
    /// Whether what it starts is a group of processes, which are ended with it. In a terminal it is not: there the keys reach all of them, and
    /// others than those in front could not read what is typed.
    is_group: bool,
}

impl Shell {
    fn start(command: &str, url: &str) -> Result<Self, Failure> {
        let mut shell = tokio::process::Command::new("sh");
        shell.arg("-c").arg(command).env("REJOIN_MOCK_URL", url).kill_on_drop(true);
        let is_group = cfg!(unix) && !io::stdin().is_terminal();
        #[cfg(unix)]
        if is_group {
            shell.process_group(0);
        }
        let child = shell.spawn().map_err(|error| format!("the command cannot be run: {error}"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self { child, id, is_group })
    }

    /// How it ended.
    async fn ended(&mut self) -> Result<ExitCode, Failure> {
        let status = self.child.wait().await?;
        // Who was ended by a signal has no status; 1 is as good as any.
        Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }

    /// Ends it, and what it has started, because the mock was told to end by a signal; the status of whoever is ended so.
    async fn stop(mut self, signal: u8) -> ExitCode {
        self.signal(false);
        let all_ended = async {
            let _ = self.child.wait().await;
            while self.is_there() {
                tokio::time::sleep(GROUP_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(COMMAND_PATIENCE, all_ended).await;
        self.signal(true);
        ExitCode::from(128 + signal)
    }

    /// Whether something that it started is there still.
    fn is_there(&self) -> bool {
        #[cfg(unix)]
        if let Some(group) = self.id.and_then(rustix::process::Pid::from_raw).filter(|_| self.is_group) {
            return rustix::process::test_kill_process_group(group).is_ok();
        }
        false
    }

    /// Asks it to end, or ends it.
    fn signal(&mut self, kills: bool) {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process, kill_process_group};
            let signal = if kills { Signal::KILL } else { Signal::TERM };
            let pid = self.id.and_then(Pid::from_raw);
            match pid {
                // What it started may be there when it has ended itself.
                Some(group) if self.is_group => drop(kill_process_group(group, signal)),
                Some(pid) if self.child.id().is_some() => drop(kill_process(pid, signal)),
                _ => {}
            }
        }
        #[cfg(not(unix))]
        if kills {
            let _ = self.child.start_kill();
        }
    }
}

fn check(files: &[PathBuf], expands: bool) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut good = true;
    for file in files {
        let checked = if file.extension().is_some_and(|extension| extension == "toml") {
            Config::read(file).and_then(|config| {
                drop(config.router(None)?);
                Ok(format!("{} paths", config.paths().len()))
            })
        } else {
            read_script(file, expands).map(|script| format!("{} lines", script.lines())).map_err(Into::into)
        };
        match checked {
            Ok(found) => writeln!(out, "ok   {}: {found}", file.display())?,
            Err(error) => {
                good = false;
                writeln!(out, "FAIL {error}")?;
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
