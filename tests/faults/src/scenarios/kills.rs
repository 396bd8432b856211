//! `kill -9` of the real server at random moments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::time::sleep;

use super::caught;
use crate::dice::Dice;
use crate::load::Crowd;
use crate::plan::Plan;
use crate::process::{Process, Settings, Starting};
use crate::report::Report;
use crate::rounds::{self, Rounds, Victim};

/// Time until a server that is starting is killed, at most: it is about to open its database, or to listen.
const MOST_STARTING: Duration = Duration::from_millis(60);

/// Crashes of a run with a planted fault.
const PLANTED_CRASHES: u32 = 12;

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut dice = Dice::new(plan.seed);
    let crowd = Crowd { natives: plan.pick(12, 24), texts: plan.pick(12, 24), documents: 4, doubles: false };
    let crashes = plan.kills.unwrap_or(plan.pick(20, 500));
    let rounds = Rounds { crashes, crowd, crashes_a_crowd: plan.pick(10, 25) };
    let mut report = Report::default();
    let outcome = rounds::run(&mut Killed::new(false)?, rounds, &mut dice).await?;
    outcome.report(&mut report, "kills");

    let rounds = Rounds { crashes: PLANTED_CRASHES, crashes_a_crowd: PLANTED_CRASHES, ..rounds };
    let forgetful = rounds::run(&mut Killed::new(true)?, rounds, &mut dice).await;
    report.add(
        "planted",
        caught("a server that comes back without its last commits", forgetful, &["lost: "])?,
    );
    let crowd = Crowd { doubles: true, ..crowd };
    let doubling = rounds::run(&mut Killed::new(false)?, Rounds { crowd, ..rounds }, &mut dice).await;
    report.add(
        "planted",
        caught("clients that send again under another request_id", doubling, &["doubled: "])?,
    );
    Ok(report)
}

/// A server as a process that is killed.
struct Killed {
    folder: TempDir,
    settings: Settings,
    address: SocketAddr,
    running: Option<Process>,
    /// Planted: each start finds the database as it was at the crash before the last.
    forgets: bool,
}

impl Killed {
    fn new(forgets: bool) -> Result<Self> {
        let folder = TempDir::new()?;
        let settings = Settings::in_folder(folder.path());
        let address = ([127, 0, 0, 1], 0).into();
        Ok(Self { folder, settings, address, running: None, forgets })
    }

    fn forget(&self) -> Result<()> {
        let now = self.folder.path().join("now");
        let before = self.folder.path().join("before");
        if now.exists() {
            let _ = std::fs::remove_dir_all(&before);
            std::fs::rename(&now, &before)?;
        }
        std::fs::create_dir(&now)?;
        copy(self.folder.path(), &now)?;
        if before.exists() { copy(&before, self.folder.path()) } else { Ok(()) }
    }
}

/// Copies the files of a database, and takes away those that it did not have.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for name in ["server.db", "server.db-wal", "server.db-shm"] {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            std::fs::copy(from, to)?;
        } else {
            let _ = std::fs::remove_file(to);
        }
    }
    Ok(())
}

impl Victim for Killed {
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
        self.running.take().context("nothing runs")?.kill()?;
        if self.forgets { self.forget() } else { Ok(()) }
    }

    async fn stop(&mut self) -> Result<()> {
        let (status, _) = self.running.take().context("nothing runs")?.terminate().await?;
        anyhow::ensure!(status.success(), "the server stopped with {status}");
        Ok(())
    }
}
