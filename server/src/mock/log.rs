//! What happens on the connections of a mock, written to standard output.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use rejoin_mock::{ChaosProfile, FaultPlan, Happening, Observed, Observer};
use serde_json::{Value, json};

use super::view::View;
use crate::EXIT_PATIENCE;

/// Lines that wait for whoever reads them. Beyond them lines are lost and counted: no connection waits for a reader.
const MAX_WAITING_LINES: usize = 10_000;

/// How what happens is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// One JSON object a line.
    Json,
    /// For people, without the messages.
    Lines,
    /// As it stands, in a terminal.
    View,
    /// Not at all.
    Off,
}

impl FromStr for Log {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "lines" => Ok(Self::Lines),
            "off" => Ok(Self::Off),
            _ => Err("take json, lines or off"),
        }
    }
}

/// Writes what happens, on a thread of its own.
pub(super) struct LogWriter {
    log: Log,
    view: View,
    lines: Option<SyncSender<String>>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let (lost, view) = (Arc::new(AtomicU64::new(0)), View::default());
        if log == Log::Off {
            return Ok(Self { log, view, lines: None, lost, thread: None });
        }
        let (lines, waiting) = mpsc::sync_channel(MAX_WAITING_LINES);
        let writer = {
            let (lost, drawn) = (lost.clone(), view.clone());
            move || match log {
                Log::View => {
                    let _ = drawn.draw(&waiting);
                }
                _ => write(log, &waiting, &lost),
            }
        };
        let thread = std::thread::Builder::new().name("mock-log".to_owned()).spawn(writer)?;
        Ok(Self { log, view, lines: Some(lines), lost, thread: Some(thread) })
    }

    /// Who is to be told by a mock.
    pub(super) fn observer(&self) -> Option<Observer> {
        if self.log == Log::View {
            let view = self.view.clone();
            return Some(Observer::new(move |observed| view.tell(observed)));
        }
        let (log, lines, lost) = (self.log, self.lines.clone()?, self.lost.clone());
        let observer = Observer::new(move |observed| {
            let line = match log {
                Log::Json => Some(as_json(observed).to_string()),
                Log::Lines => as_line(observed),
                Log::View | Log::Off => None,
            };
            if let Some(line) = line
                && lines.try_send(line).is_err()
            {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        Some(if log == Log::Json { observer } else { observer.without_messages() })
    }

    /// Says where the mock is.
    pub(super) fn announce(&self, urls: &[String], said: &str) -> io::Result<()> {
        if self.log == Log::View {
            self.view.head(format!("the mock {said}; Ctrl-C ends it"));
            urls.iter().for_each(|url| self.view.head(url.clone()));
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.log == Log::Json {
            writeln!(out, "{}", json!({"event": "listening", "urls": urls, "mock": said}))?;
        } else {
            writeln!(out, "the mock {said}")?;
            for url in urls {
                writeln!(out, "WebSockets connect to {url}")?;
            }
        }
        out.flush()
    }

    /// Says by what the faults can be had again.
    pub(super) fn chaos(&self, seed: u64, profile: ChaosProfile, plan: &FaultPlan) -> io::Result<()> {
        if self.log == Log::View {
            self.view.head(format!("the seed is {seed}: --profile {profile} --seed {seed} repeats this run"));
            self.view.head(format!("the faults are {plan}"));
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.log == Log::Json {
            let (profile, plan) = (profile.to_string(), plan.to_string());
            // As a text: readers of JSON may take numbers for doubles.
            let seed = seed.to_string();
            writeln!(out, "{}", json!({"event": "chaos", "seed": seed, "profile": profile, "plan": plan}))?;
        } else {
            writeln!(out, "the seed is {seed}: --profile {profile} --seed {seed} repeats this run")?;
            writeln!(out, "the faults are {plan}")?;
        }
        out.flush()
    }

    /// The terminal may have another size now.
    pub(super) fn resize(&self) {
        self.view.resize();
    }
}

/// Writes what is left, and leaves the terminal as it was; waits no longer than that, as nobody may read it.
impl Drop for LogWriter {
    fn drop(&mut self) {
        self.lines = None;
        let Some(thread) = self.thread.take() else { return };
        let (done, ended) = mpsc::channel::<()>();
        let joined = std::thread::Builder::new().spawn(move || {
            let _ = thread.join();
            drop(done);
        });
        if joined.is_ok() {
            let _ = ended.recv_timeout(EXIT_PATIENCE);
        }
    }
}

fn write(log: Log, waiting: &Receiver<String>, lost: &AtomicU64) {
    while let Ok(line) = waiting.recv() {
        let mut out = io::stdout().lock();
        let mut next = Some(line);
        while let Some(line) = next.take() {
            if writeln!(out, "{line}").is_err() {
                // Nobody reads any more, and that is no reason to end.
                return;
            }
            next = waiting.try_recv().ok();
        }
        let gone = lost.swap(0, Ordering::Relaxed);
        let said = match log {
            _ if gone == 0 => Ok(()),
            Log::Json => writeln!(out, "{}", json!({"event": "lost", "lines": gone})),
            _ => writeln!(out, "{gone} lines were not written, as they came too fast"),
        };
        if said.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn as_json(observed: &Observed<'_>) -> Value {
    let (event, more) = match &observed.what {
        Happening::Opened => ("opened", json!({})),
        Happening::Gone => ("gone", json!({})),
        Happening::Message { direction, kind, bytes } => {
            ("message", json!({"dir": direction.to_string(), "kind": kind.to_string(), "bytes": bytes}))
        }
        Happening::Closing { direction, code } => {
            ("closing", json!({"dir": direction.to_string(), "code": code}))
        }
        Happening::Note(text) => ("note", json!({"text": text})),
        Happening::Fault(made) => {
            let kind = made.kind.as_ref().map(ToString::to_string);
            ("fault", json!({"fault": made.fault, "dir": made.direction.to_string(), "kind": kind}))
        }
        _ => ("other", json!({})),
    };
    let mut line = json!({
        "event": event,
        "unix_ms": observed.unix_ms,
        "connection": observed.connection,
        "path": observed.path,
    });
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    line
}

/// The same for people; messages are too many for them.
pub(super) fn as_line(observed: &Observed<'_>) -> Option<String> {
    let said = match &observed.what {
        Happening::Opened => format!("opened {}", observed.path),
        Happening::Gone => "is gone".to_owned(),
        Happening::Closing { direction, code } => {
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            format!("closes {direction}: {code}")
        }
        Happening::Note(text) => text.clone(),
        Happening::Fault(made) => format!("fault: {made}"),
        _ => return None,
    };
    Some(printable(&format!("connection {}: {said}", observed.connection)))
}

/// A text without what terminals take for commands: clients say what they like.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { char::REPLACEMENT_CHARACTER } else { it }).collect()
}
