//! A server inside this process, on a disk whose power can be cut.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rejoin_powercut::Disk;
use rejoin_server::{Patience, Server, ServerOptions, router, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::dice::Dice;
use crate::process::own_host;
use crate::rest;
use crate::rounds::Victim;

/// A machine with a server: it loses its power, and what its disk had not flushed.
pub(crate) struct Machine {
    address: SocketAddr,
    /// What the disk holds; a fresh folder for each life, as the cut before has left it.
    folder: TempDir,
    running: Option<(Runtime, Disk)>,
    /// Planted: a disk that says that it has flushed, and has not.
    lies: bool,
    pub(crate) lost_writes: usize,
    pub(crate) torn_writes: usize,
}

impl Machine {
    pub(crate) async fn new(lies: bool) -> Result<Self> {
        let address = format!("{}:0", own_host());
        let address = TcpListener::bind(address).await?.local_addr()?;
        let folder = TempDir::new()?;
        Ok(Self { address, folder, running: None, lies, lost_writes: 0, torn_writes: 0 })
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
        // A runtime of its own, so that all that runs in it ends with the power.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (address, url) = (self.address, format!("sqlite:{}", self.database().display()));
        let listening = runtime.spawn(async move {
            let listener = TcpListener::bind(address).await?;
            let server = Server::start(ServerOptions::new(url))?;
            tokio::spawn(async move {
                serve(listener, router(&server), &server, Patience::default(), std::future::pending()).await;
            });
            anyhow::Ok(())
        });
        let listening = listening.await;
        self.running = Some((runtime, disk));
        listening??;
        let (status, answer) = rest::ask(address, "GET /ready", "").await?;
        anyhow::ensure!(status == 200, "the server does not become ready: {answer}");
        Ok(since.elapsed())
    }

    async fn crash(&mut self, dice: &mut Dice) -> Result<()> {
        let (runtime, disk) = self.running.take().context("nothing runs")?;
        let left = disk.cut(dice.next());
        runtime.shutdown_background();
        self.lost_writes += left.lost;
        self.torn_writes += left.torn;
        // The folder before it goes once the threads that still use it have let go of their files.
        self.folder = TempDir::new()?;
        left.write_to(self.folder.path())?;
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        // All that was answered is flushed; what the log holds is read by whoever opens the database next.
        if let Some((runtime, _)) = self.running.take() {
            runtime.shutdown_background();
        }
        Ok(())
    }
}
