//! The `rejoin` command as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::rest;

/// What a server says that runs and will never be ready.
pub(crate) const DAMAGED: &str = "the database is damaged";

/// A server that has not begun to serve by then never will.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How often a server that starts is asked whether it is ready.
const ASKING_PAUSE: Duration = Duration::from_millis(1);

/// The command, which is built as this program is, beside it.
pub(crate) fn program() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("rejoin");
    if !program.exists() {
        bail!("there is no {}; cargo xtask faults builds it", program.display());
    }
    Ok(program)
}

/// An address of loopback that no other server of these tests has, and from which no connection is made: a port of it stays free while
/// its server is down. Elsewhere than on Linux there is but one.
pub(crate) fn own_host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return "127.0.0.1".to_owned();
    }
    let (number, process) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
    format!("127.{}.{}.{}", 1 + number % 250, (process >> 8) & 255, 1 + process % 250)
}

/// How a server is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) database: PathBuf,
    pub(crate) bind: String,
    pub(crate) flags: Vec<String>,
    /// Starts the program: nothing, or a shell that is given the command.
    pub(crate) shell: Option<String>,
}

impl Settings {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let bind = format!("{}:0", own_host());
        Self { database: folder.join("server.db"), bind, flags: Vec::new(), shell: None }
    }

    fn command(&self) -> Result<Command> {
        let program = program()?;
        let mut command = match &self.shell {
            None => Command::new(program),
            Some(prelude) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{prelude}exec \"$0\" \"$@\"")]).arg(program);
                shell
            }
        };
        command.args(["serve", "--bind", &self.bind]);
        command.args(["--database-url", &format!("sqlite:{}", self.database.display())]);
        command.args(&self.flags).env("RUST_LOG", "warn").env("REJOIN_LOG_FORMAT", "text");
        Ok(command)
    }
}

/// A server that runs.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

/// A server that has been started, and may be on its way to serve.
pub(crate) struct Starting {
    child: Child,
    since: Instant,
    announced: oneshot::Receiver<SocketAddr>,
    log: Arc<Mutex<String>>,
}

impl Starting {
    /// Starts the command.
    pub(crate) fn begin(settings: &Settings) -> Result<Self> {
        let since = Instant::now();
        let mut command = settings.command()?;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let log: Arc<Mutex<String>> = Arc::default();
        let (errors, lines) = (child.stderr.take().context("piped")?, Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push_str(&(line + "\n"));
            }
        });
        let output = child.stdout.take().context("piped")?;
        let (sender, announced) = oneshot::channel();
        // The output is read to its end, or the server would wait for a reader.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let address = lines.next().and_then(|line| line.rsplit("//").next()?.parse().ok());
            if let Some(address) = address {
                let _ = sender.send(address);
            }
            lines.for_each(drop);
        });
        Ok(Self { child, since, announced, log })
    }

    /// Kills it wherever it is.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it answers that it is ready, and tells how long that took from its start.
    pub(crate) async fn ready(mut self) -> Result<(Process, Duration)> {
        let Ok(Ok(address)) = timeout(START_PATIENCE, &mut self.announced).await else {
            let _ = self.child.kill();
            let status = self.child.wait()?;
            bail!("the server does not start ({status}): {}", text(&self.log));
        };
        let process = Process { child: self.child, address, log: self.log };
        let asking = async {
            loop {
                match rest::ask(address, "GET /ready", "").await {
                    Ok((200, _)) => return None,
                    // It waits for an operator.
                    Ok((503, why)) if why.contains(DAMAGED) => return Some(why),
                    _ => sleep(ASKING_PAUSE).await,
                }
            }
        };
        match timeout(START_PATIENCE, asking).await {
            Ok(None) => {}
            Ok(Some(why)) => bail!("the server does not become ready: {why}"),
            Err(_) => bail!("the server does not become ready: {}", process.logged()),
        }
        Ok((process, self.since.elapsed()))
    }
}

impl Process {
    /// Starts the command and waits until it is ready.
    pub(crate) async fn start(settings: &Settings) -> Result<Self> {
        Ok(Starting::begin(settings)?.ready().await?.0)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as `kill -9` does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to stop, and waits for it.
    pub(crate) async fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let since = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if since.elapsed() > START_PATIENCE => bail!("the server does not stop"),
                None => sleep(ASKING_PAUSE).await,
            }
        };
        Ok((status, since.elapsed()))
    }

    /// What it has logged so far: warnings and errors.
    pub(crate) fn logged(&self) -> String {
        text(&self.log)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that it has held, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("no such figure")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kibibytes * 1_024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
