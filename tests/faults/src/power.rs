//! A server inside this process, on a disk whose power can be cut.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rejoin_powercut::Disk;
use rejoin_server::{Patience, Server, ServerOptions, router, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::load::within;
use crate::process::own_host;
use crate::rest;
use crate::rounds::Victim;

/// Writes and flushes until the power fails, at most: those of one or two commits.
const MOST_STEPS: u64 = 60;

/// Where nobody writes the power fails all the same.
const MOST_WAIT: Duration = Duration::from_millis(500);

/// A machine with a server: it loses its power, and what its disk had not flushed.
pub(crate) struct Machine {
    address: SocketAddr,
    /// What the disk holds; a fresh folder for each life, as the cut before has left it.
    folder: TempDir,
    running: Option<Life>,
    /// Disks without power, so that a thread of a former life that still holds on to one finds it so.
    former: Vec<Disk>,
    /// Planted: a disk that says that it has flushed, and has not.
    lies: bool,
    pub(crate) lost_writes: usize,
    pub(crate) torn_writes: usize,
}

struct Life {
    runtime: OwnRuntime,
    disk: Disk,
}

/// A runtime of its own, so that all that runs in it ends with the power, at once.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Machine {
    pub(crate) async fn new(lies: bool) -> Result<Self> {
        let address = format!("{}:0", own_host());
        let address = TcpListener::bind(address).await?.local_addr()?;
        let folder = TempDir::new()?;
        Ok(Self { address, folder, running: None, former: Vec::new(), lies, lost_writes: 0, torn_writes: 0 })
    }

    /// The disk under the server that runs.
    pub(crate) fn disk(&self) -> Result<&Disk> {
        Ok(&self.running.as_ref().context("nothing runs")?.disk)
    }
}

impl Victim for Machine {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("server.db")
    }

    async fn start(&mut self) -> Result<Duration> {
        let since = Instant::now();
        let disk = Disk::watch(self.folder.path());
        if self.lies {
            disk.lie();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (address, url) = (self.address, format!("sqlite:{}", self.database().display()));
        let listening = runtime.spawn(async move {
            let listener = within("the address of the life before", listen(address)).await??;
            let server = Server::start(ServerOptions::new(url))?;
            tokio::spawn(async move {
                serve(listener, router(&server), &server, Patience::default(), std::future::pending()).await;
            });
            anyhow::Ok(())
        });
        let listening = listening.await;
        self.running = Some(Life { runtime: OwnRuntime(Some(runtime)), disk });
        listening??;
        let (status, answer) = rest::ask(address, "GET /ready", "").await?;
        anyhow::ensure!(status == 200, "the server does not become ready: {answer}");
        Ok(since.elapsed())
    }

    async fn crash(&mut self, dice: &mut Dice) -> Result<()> {
        let Life { runtime, disk } = self.running.take().context("nothing runs")?;
        // The power fails in the middle of a commit, if there is one before long.
        disk.fail_after(dice.between(0..=MOST_STEPS));
        let failing = async {
            while !disk.is_off() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = timeout(MOST_WAIT, failing).await;
        let left = disk.cut(dice.next());
        drop(runtime);
        self.former.push(disk);
        self.lost_writes += left.lost;
        self.torn_writes += left.torn;
        // The folder before it goes once the threads that still use it have let go of their files.
        self.folder = TempDir::new()?;
        left.write_to(self.folder.path())?;
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        // All that was answered is flushed; what the log holds is read by whoever opens the database next.
        self.running = None;
        Ok(())
    }
}

/// Listens once what listened there before has ended.
async fn listen(address: SocketAddr) -> Result<TcpListener> {
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => sleep(Duration::from_millis(1)).await,
            bound => return Ok(bound?),
        }
    }
}
