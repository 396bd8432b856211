//! A full disk: a file system of its own, in memory, that something else fills up. Where this user may mount none, it is a disk that this
//! program makes up, under a server that is part of it; a long run does both.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::load::{Crowd, Load, within};
use crate::plan::Plan;
use crate::power::Machine;
use crate::process::{Process, Settings};
use crate::report::Report;
use crate::rest;
use crate::rounds::Victim;

/// Size of the disk in bytes.
const DISK_BYTES: u64 = 48 << 20;

/// Values that are acknowledged before the disk is full, and after each time that it was.
const VALUES: u64 = 100;

/// How often something is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// How long the disk stays full once the server has met it.
const FULL_FOR: Duration = Duration::from_secs(1);

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let mut report = Report::default();
    let small = SmallDisk::new()?;
    let prelude = small.prelude();
    let is_mountable = prelude.is_some();
    match prelude {
        Some(prelude) => mounted(plan, &small, prelude, &mut report).await?,
        None => report.add("a mounted disk", "not tried: this user may mount nothing"),
    }
    if !is_mountable || !plan.is_short {
        made_up(plan, &mut report).await?;
    }
    Ok(report)
}

fn crowd(plan: Plan) -> Crowd {
    Crowd { natives: plan.pick(8, 16), texts: plan.pick(8, 16), documents: 4, doubles: false }
}

/// On a disk that is an object of this program.
async fn made_up(plan: Plan, report: &mut Report) -> Result<()> {
    let mut dice = Dice::new(plan.seed);
    let mut machine = Machine::new(false).await?;
    machine.start().await?;
    let disk = machine.disk()?;
    let load = Load::start(machine.address(), crowd(plan), &mut dice).await?;
    let times = plan.pick(2, 10);
    let mut waited = 0;
    for _ in 0..times {
        load.acknowledges(VALUES).await?;
        let before = disk.refused();
        // No file may grow from now on.
        disk.limit(Some(0));
        let failing = async {
            while disk.refused() == before {
                sleep(PAUSE).await;
            }
        };
        within("the disk to refuse something", failing).await?;
        sleep(FULL_FOR).await;
        ensure!(rest::ask(machine.address(), "GET /health", "").await?.0 == 200, "the server is not alive");
        load.check().await?;
        waited += load.under_way();
        disk.limit(None);
        load.acknowledges(VALUES).await?;
    }
    ensure!(waited > 0, "nobody waited for room");
    let refused = disk.refused();
    let finished = load.finish(&machine.database()).await?;
    report.add("times that a disk of this program's own was full", times);
    report.add("writes that it refused", refused);
    report.add("values that waited for room", waited);
    report.add("values acknowledged", finished.acknowledged);
    report.add("of them lost, doubled or out of order", 0);
    Ok(())
}

/// On a disk that the server has for itself.
async fn mounted(plan: Plan, small: &SmallDisk, prelude: String, report: &mut Report) -> Result<()> {
    let mut dice = Dice::new(plan.seed);
    let mut settings = Settings::in_folder(small.folder.path());
    settings.shell = Some(prelude);
    let server = Process::start(&settings).await?;
    let disk = small.inside(&server);
    let address = server.address();
    let load = Load::start(address, crowd(plan), &mut dice).await?;
    let times = plan.pick(2, 10);
    let (mut waited, mut failures) = (0, 0.0);
    let mut resumed = Vec::new();
    for time in 1..=times {
        let full = async {
            load.acknowledges(VALUES).await?;
            let before = rest::metric(address, "rejoin_store_failures_total").await?;
            let filling = fill(&disk.join("ballast"))?;
            let failing = async {
                while rest::metric(address, "rejoin_store_failures_total").await? <= before {
                    sleep(PAUSE).await;
                }
                anyhow::Ok(())
            };
            within("the server to say that its store fails", failing).await??;
            // How long it goes on failing; nothing is waited for.
            sleep(FULL_FOR).await;
            ensure!(rest::ask(address, "GET /health", "").await?.0 == 200, "the server is not alive");
            let age = rest::metric(address, "rejoin_waiting_age_seconds").await?;
            let tentative = rest::metric(address, "rejoin_tentative_age_seconds").await?;
            ensure!(age.max(tentative) > 0.0, "nothing says that changes wait");
            // What was acknowledged is served all the same.
            load.check().await?;
            waited += load.under_way();
            drop(filling);
            std::fs::remove_file(disk.join("ballast"))?;
            let since = Instant::now();
            load.acknowledges(VALUES).await?;
            resumed.push(since.elapsed());
            failures = rest::metric(address, "rejoin_store_failures_total").await?;
            anyhow::Ok(())
        };
        full.await.with_context(|| format!("when the disk was full for time {time}"))?;
    }
    ensure!(waited > 0, "nobody waited for room");
    let logged = server.logged();
    ensure!(logged.contains("full"), "the server's log does not say that its disk is full: {logged}");
    let finished = load.finish(&disk.join("server.db")).await?;
    let (status, _) = server.terminate().await?;
    ensure!(status.success(), "the server stopped with {status}");
    report.add("times that the disk was full (ENOSPC of a tmpfs)", times);
    report.add("failures that the server told of in its metrics", failures);
    report.add("values that waited for room", waited);
    report.add("values acknowledged", finished.acknowledged);
    report.add("of them lost, doubled or out of order", 0);
    report.add_times(&format!("from there being room until {VALUES} values are acknowledged"), &resumed);
    Ok(())
}

/// A file system for one process.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new()? })
    }

    /// Shell that goes on as the command that it is given, with the disk in its folder. Mounting takes a namespace of its own, and where
    /// this user is not root one of users too; nothing where that is not to be had either.
    fn prelude(&self) -> Option<String> {
        let ways = ["unshare --mount", "unshare --user --map-root-user --mount"];
        let works = |way: &&str| {
            let mut command = Command::new("unshare");
            command.args(way.split(' ').skip(1)).args(["mount", "-t", "tmpfs", "tmpfs"]);
            command
                .arg(self.folder.path())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let way = ways.into_iter().find(works)?;
        let folder = self.folder.path().display();
        let inner = format!(r#"mount -t tmpfs -o size={DISK_BYTES} tmpfs "{folder}" && exec "$0" "$@""#);
        Some(format!("exec {way} sh -c '{inner}' \"$0\" \"$@\"; "))
    }

    /// Where the disk is, seen from outside.
    fn inside(&self, server: &Process) -> PathBuf {
        let folder = self.folder.path();
        let inside = folder.strip_prefix("/").unwrap_or(folder);
        Path::new("/proc").join(server.id().to_string()).join("root").join(inside)
    }
}

/// Fills the disk to its last byte.
fn fill(path: &Path) -> Result<File> {
    let mut file = File::create(path)?;
    for bytes in [64 * 1_024, 512] {
        let block = vec![0; bytes];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(file)
}
