//! Servers as processes of their own, on a core of their own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::cores;

/// A program that was built beside this one.
pub(crate) fn program(name: &str) -> Result<Command> {
    let path = std::env::current_exe()?.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    Ok(Command::new(path))
}

/// A script of `tests/bench/node`.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("node").join(name));
    command.env("NODE_ENV", "production");
    command
}

/// Behind what servers name their address; `rejoin mock` names others before.
const MARKS: [&str; 2] = ["http://", "connect to ws://"];

/// A server that says where it listens.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: Arc<TempDir>,
    kept: Option<Kept>,
}

/// Where Rejoin keeps its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In SQLite, flushed to the disk before anything is told.
    OnDisk,
    /// Nowhere.
    InMemory,
}

impl Process {
    /// Starts a `rejoin serve` on a free port and an empty database, `synchronous=FULL` as always; or the same server over a
    /// store that keeps nothing.
    pub(crate) fn rejoin(kept: Kept) -> Result<Self> {
        Self::rejoin_in(kept, Arc::new(TempDir::new()?))
    }

    fn rejoin_in(kept: Kept, folder: Arc<TempDir>) -> Result<Self> {
        let command = match kept {
            Kept::OnDisk => {
                let mut command = program("rejoin")?;
                command
                    .args(["serve", "--bind", "127.0.0.1:0", "--database-url"])
                    .arg(format!("sqlite:{}", folder.path().join("server.db").display()));
                command
            }
            Kept::InMemory => program("in-memory")?,
        };
        Self::start_in(command, folder, Some(kept))
    }

    /// Starts a peer's server.
    pub(crate) fn start(command: Command) -> Result<Self> {
        Self::start_in(command, Arc::new(TempDir::new()?), None)
    }

    /// Kills it, and starts a `rejoin serve` over what it has stored.
    pub(crate) fn restarted(mut self) -> Result<Self> {
        let kept = self.kept.context("only Rejoin is started again")?;
        self.child.kill()?;
        self.child.wait()?;
        Self::rejoin_in(kept, Arc::clone(&self.folder))
    }

    fn start_in(mut command: Command, folder: Arc<TempDir>, kept: Option<Kept>) -> Result<Self> {
        command.env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut child = cores::spawn_on_servers_core(&mut command)?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next().context("the server does not say where it listens")??;
            if let Some((_, address)) = MARKS.iter().find_map(|mark| line.split_once(mark)) {
                break address.split('/').next().unwrap_or_default().parse()?;
            }
        };
        // The rest of the output is read, or the server would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, folder, kept })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Where the database lies, and what is compared with it may.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes of memory that the process holds.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Time of processors that the process has taken, in steps of a hundredth of a second.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.child.id().to_string())
    }

    /// Bytes of the bodies of all rows of changes, and how many rows there are.
    pub(crate) fn stored_changes(&self) -> Result<(i64, i64)> {
        let sql = "SELECT coalesce(sum(length(body)), 0), count(*) FROM change";
        Ok(self.database()?.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn database(&self) -> Result<Connection> {
        let path = self.folder.path().join("server.db");
        Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }
}

/// Time of processors that a process has taken: `self` is this one.
pub(crate) fn processor_time(process: &str) -> Result<Duration> {
    /// `USER_HZ`, which is the same on every Linux.
    const TICKS_PER_SECOND: u32 = 100;
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in brackets, may hold anything.
    let (_, fields) = status.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(Duration::from_secs(1) * ticks.sum::<Result<u32, _>>()? / TICKS_PER_SECOND)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
