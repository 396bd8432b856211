//! Who echoes, and who stands between.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use crate::process::{Process, program, script};
use crate::{lock, npm};

/// A server that sends back what it is sent.
pub(super) struct Echo {
    pub(super) name: String,
    start: fn() -> Result<Process>,
}

impl Echo {
    pub(super) fn start(&self) -> Result<Process> {
        (self.start)()
    }
}

/// The ceiling first.
pub(super) fn echoes() -> Result<Vec<Echo>> {
    Ok(vec![
        Echo { name: format!("bare echo ({})", lock::named("axum")?), start: bare },
        Echo { name: "rejoin mock echo".to_owned(), start: || mock(&["echo"]) },
        Echo { name: npm::named("ws")?, start: || Process::start(script("echo.mjs")) },
    ])
}

/// The echo behind every proxy.
pub(super) fn bare() -> Result<Process> {
    Process::start(program("echo")?)
}

/// A proxy to an upstream; nothing is the direct way.
pub(super) struct Between {
    pub(super) name: String,
    start: Option<fn(SocketAddr) -> Result<Process>>,
}

impl Between {
    /// Starts it before an upstream.
    pub(super) fn start(&self, upstream: SocketAddr) -> Result<Option<Process>> {
        self.start.map(|start| start(upstream)).transpose()
    }
}

/// The direct way first.
pub(super) fn between() -> Result<Vec<Between>> {
    Ok(vec![
        Between { name: "direct".to_owned(), start: None },
        Between {
            name: "rejoin mock proxy".to_owned(),
            start: Some(|upstream| mock(&["proxy", &format!("ws://{upstream}/ws")])),
        },
        Between {
            name: format!("{} (bytes)", npm::named("http-proxy")?),
            start: Some(|upstream| Process::start(with(script("http-proxy.mjs"), upstream))),
        },
        Between {
            name: format!("{} (messages)", npm::named("ws")?),
            start: Some(|upstream| Process::start(with(script("ws-proxy.mjs"), upstream))),
        },
    ])
}

fn with(mut command: Command, upstream: SocketAddr) -> Command {
    command.arg(upstream.to_string());
    command
}

/// `rejoin mock` on a free port.
pub(super) fn mock(arguments: &[&str]) -> Result<Process> {
    let mut command = program("rejoin")?;
    command.arg("mock").args(arguments).args(["--port", "0"]);
    Process::start(command)
}
