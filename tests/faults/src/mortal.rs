//! The real server, as a process that ends and starts again on the same address and database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::database;
use crate::dice::Dice;
use crate::process::{Process, Settings, Starting};
use crate::rounds::Victim;

/// Time until a server that is starting is killed, at most: it is about to open its database, or to listen.
const MOST_STARTING: Duration = Duration::from_millis(60);

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By `kill -9`.
    Killed,
    /// Planted: by `kill -9`, and the next start finds the database as it was at the end before.
    KilledAndSetBack,
    /// By SIGTERM.
    Asked,
}

/// A server as a process that ends again and again.
pub(crate) struct Mortal {
    folder: TempDir,
    settings: Settings,
    address: SocketAddr,
    running: Option<Process>,
    end: End,
    /// How long it took to stop, where it was asked.
    pub(crate) stops: Vec<Duration>,
}

impl Mortal {
    pub(crate) fn new(end: End) -> Result<Self> {
        let folder = TempDir::new()?;
        let settings = Settings::in_folder(folder.path());
        let address = ([127, 0, 0, 1], 0).into();
        Ok(Self { folder, settings, address, running: None, end, stops: Vec::new() })
    }

    /// Memory that the process holds, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.running.as_ref().context("nothing runs")?.memory()
    }

    async fn ask_to_stop(&mut self, process: Process) -> Result<()> {
        let (status, took) = process.terminate().await?;
        ensure!(status.success(), "the server stopped with {status}");
        ensure!(!self.database().with_extension("db-wal").exists(), "a stopped server left its log behind");
        self.stops.push(took);
        Ok(())
    }

    fn set_back(&self) -> Result<()> {
        let now = self.folder.path().join("now");
        let before = self.folder.path().join("before");
        if now.exists() {
            let _ = std::fs::remove_dir_all(&before);
            std::fs::rename(&now, &before)?;
        }
        std::fs::create_dir(&now)?;
        database::copy(&self.database(), &now.join("server.db"))?;
        if before.exists() { database::copy(&before.join("server.db"), &self.database()) } else { Ok(()) }
    }
}

impl Victim for Mortal {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn database(&self) -> PathBuf {
        self.settings.database.clone()
    }

    async fn start(&mut self) -> Result<Duration> {
        let (process, took) = Starting::begin(&self.settings)?.ready().await?;
        self.address = process.address();
        self.settings.bind = self.address.to_string();
        self.running = Some(process);
        Ok(took)
    }

    async fn crash_starting(&mut self, dice: &mut Dice) -> Result<()> {
        let starting = Starting::begin(&self.settings)?;
        // No condition is waited for: the moment itself is drawn.
        sleep(dice.up_to(MOST_STARTING)).await;
        starting.kill()
    }

    async fn crash(&mut self, _: &mut Dice) -> Result<()> {
        let process = self.running.take().context("nothing runs")?;
        match self.end {
            End::Killed => process.kill(),
            End::KilledAndSetBack => {
                process.kill()?;
                self.set_back()
            }
            End::Asked => self.ask_to_stop(process).await,
        }
    }

    async fn stop(&mut self) -> Result<()> {
        let process = self.running.take().context("nothing runs")?;
        self.ask_to_stop(process).await
    }
}
