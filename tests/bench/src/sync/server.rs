//! The `rejoin` command as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// Builds the command as these benchmarks were built, beside them.
pub(super) fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "rejoin-server", "--bin", "rejoin"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        bail!("the server does not build");
    }
    Ok(())
}

/// A server with a database in a folder that goes with it.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts a server on a free port and an empty database, `synchronous=FULL` as always.
    pub(super) fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let program = std::env::current_exe()?.with_file_name("rejoin");
        let mut child = Command::new(program)
            .args(["serve", "--bind", "127.0.0.1:0", "--database-url"])
            .arg(format!("sqlite:{}", folder.path().join("server.db").display()))
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .context("the server does not start")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let first = lines.next().context("the server said nothing")??;
        let address = first.rsplit("http://").next().unwrap_or_default().parse()?;
        // The rest of the output is read, or the server would wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address, folder })
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Where the database lies, and what is compared with it may.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes of memory that the process holds.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// Time of processors that the process has taken, in steps of a hundredth of a second.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        /// `USER_HZ`, which is the same on every Linux.
        const TICKS_PER_SECOND: u32 = 100;
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program, in brackets, may hold anything.
        let (_, fields) = status.rsplit_once(')').context("no name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(Duration::from_secs(1) * ticks.sum::<Result<u32, _>>()? / TICKS_PER_SECOND)
    }

    /// Bytes of the bodies of all rows of changes, and how many rows there are.
    pub(super) fn stored_changes(&self) -> Result<(i64, i64)> {
        let sql = "SELECT coalesce(sum(length(body)), 0), count(*) FROM change";
        Ok(self.database()?.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn database(&self) -> Result<Connection> {
        let path: PathBuf = self.folder.path().join("server.db");
        Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
