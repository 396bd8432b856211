//! automerge-repo's WebSocket server. What it sends is compressed history that only its own client can read, so that the generator is
//! a program of Node.js with clients of automerge-repo, and has figures of its own instead of a door.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::load::Shape;
use crate::npm;
use crate::process::{Process, script};

/// What came of a run.
pub(crate) struct Run {
    /// Edits that reached one other client.
    pub(crate) deliveries: f64,
    pub(crate) elapsed: Duration,
    /// Time of the server's processor meanwhile.
    pub(crate) processor: Duration,
}

#[derive(Deserialize)]
struct Said {
    deliveries: u64,
}

/// How it is called in tables.
pub(crate) fn name() -> Result<String> {
    Ok(format!("automerge-repo {}", npm::version("@automerge/automerge-repo")?))
}

/// Has everybody edit again as soon as all others have what was edited before.
pub(crate) fn run(shape: Shape, warm: Duration, time: Duration) -> Result<Run> {
    let server = Process::start(script("automerge-server.mjs"))?;
    let mut generator = script("automerge-load.mjs")
        .arg(format!("ws://{}", server.address))
        .args([shape.rooms.to_string(), shape.readers.to_string()])
        .arg(if shape.all_write { "all" } else { "one" })
        .args([warm.as_millis().to_string(), time.as_millis().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("node does not start")?;
    let output = generator.stdout.take().context("the generator has no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut line = || lines.next().context("the generator ended early").and_then(|line| Ok(line?));
    ensure!(line()? == "begin", "the generator does not begin");
    let (before, started) = (server.processor_time()?, Instant::now());
    ensure!(line()? == "end", "the generator does not end");
    let elapsed = started.elapsed();
    let processor = server.processor_time()?.saturating_sub(before);
    let Said { deliveries } = serde_json::from_str(&line()?)?;
    ensure!(generator.wait()?.success(), "the generator failed");
    Ok(Run { deliveries: deliveries as f64, elapsed, processor })
}
