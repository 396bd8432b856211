//! Commands with a time limit, whose output is shown as it comes and kept.
//!
//! Each command gets a process group of its own, so that one that hangs can be ended with everything that it started,
//! and so that nothing outlives the command that started it. A terminal's Ctrl-C reaches only the foreground group:
//! [`end_with_signals`] passes it on.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::step::program;

/// Lines at the end of an output that are told again when the command has failed.
const LAST_LINES: usize = 16;

/// Lines before them that say what failed, at most.
const TELLING_LINES: usize = 32;

/// What stands in a line that says what failed.
const TELLING: [&str; 7] = ["FAILED", "panicked at", "error:", "error[", "✖", "Violation", "not ok"];

/// Runs a command to its end, copies its standard output as it comes, and returns it.
///
/// Fails when the command does, with the part of its output that says why, and when it takes longer than `limit`: then it is ended with all
/// that it started.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String> {
    // Nobody reading our output is no reason to stop a test run.
    run_with(command, limit, |line| drop(std::io::stdout().lock().write_all(line.as_bytes())))
}

/// The same, of a command whose standard output is for programs: it is only returned.
pub(crate) fn run_unseen(command: &mut Command, limit: Duration) -> Result<String> {
    run_with(command, limit, |_| {})
}

fn run_with(command: &mut Command, limit: Duration, show: fn(&str)) -> Result<String> {
    let name = program(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // A terminal is given colours and progress, which commands do not show to a pipe.
    if !std::io::stderr().is_terminal() {
        command.stderr(Stdio::piped());
    }
    let mut child = group::spawn(command).with_context(|| format!("{name} did not start"))?;
    let output = child.stdout.take().context("the output was piped")?;
    let copy = thread::spawn(move || copy_lines(BufReader::new(output), show));
    let errors = child.stderr.take().map(|errors| {
        let show = |line: &str| drop(std::io::stderr().lock().write_all(line.as_bytes()));
        thread::spawn(move || copy_lines(BufReader::new(errors), show))
    });
    let status = wait(child, limit);
    let joined = |copy: thread::JoinHandle<String>| {
        copy.join().map_err(|_| anyhow!("the output of {name} could not be copied"))
    };
    let (output, errors) = (joined(copy)?, errors.map(joined).transpose()?.unwrap_or_default());
    let what = match status? {
        Some(status) if status.success() => return Ok(output),
        Some(status) => format!("failed ({status})"),
        None => format!("was ended: it took longer than {} s", limit.as_secs()),
    };
    bail!("{name} {what}\n{}", excerpt(&(errors + &output)))
}

/// The end of an output, and what says before that something failed, each with the line after it.
fn excerpt(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(LAST_LINES));
    let tells = |line: &&str| TELLING.iter().any(|words| line.contains(words));
    let is_told =
        |at: usize| before.get(at).is_some_and(tells) || at > 0 && before.get(at - 1).is_some_and(tells);
    let telling = before.iter().enumerate().filter(|(at, _)| is_told(*at)).map(|(_, line)| *line);
    let chosen: Vec<&str> = telling.take(TELLING_LINES).chain(last.iter().copied()).collect();
    chosen.join("\n")
}

/// Waits for a process and ends its group: at the limit, when it answers `None`, or after its end, when it left
/// others behind that would hold its output open.
fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let id = child.id();
    let (send, receive) = channel();
    thread::spawn(move || send.send(child.wait()));
    let answer = receive.recv_timeout(limit);
    group::kill(id);
    match answer {
        Ok(status) => Ok(Some(status?)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => bail!("the wait for a process was lost"),
    }
}

fn copy_lines(mut from: impl BufRead, show: fn(&str)) -> String {
    let mut all = String::new();
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(count) if count > 0) {
        let text = String::from_utf8_lossy(&line);
        show(&text);
        all.push_str(&text);
        line.clear();
    }
    all
}

/// Ends the running commands, and this program, on SIGINT and SIGTERM.
pub(crate) fn end_with_signals() -> Result<()> {
    group::end_with_signals()
}

#[cfg(unix)]
mod group {
    use std::collections::BTreeSet;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::sync::Mutex;
    use std::{io, thread};

    use anyhow::Result;
    use rustix::process::{Pid, Signal, kill_process_group};
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// The groups of the commands that run now: signals may come at any time, and on any thread.
    static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

    pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
        let mut running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let child = command.process_group(0).spawn()?;
        running.insert(child.id());
        Ok(child)
    }

    pub(super) fn kill(id: u32) {
        RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&id);
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // That no process of the group is left is the usual case, not an error.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    pub(super) fn end_with_signals() -> Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
                for id in running {
                    kill(id);
                }
                std::process::exit(128 + signal);
            }
        });
        Ok(())
    }
}

#[cfg(not(unix))]
mod group {
    use std::io;
    use std::process::{Child, Command};

    use anyhow::Result;

    pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
        command.spawn()
    }

    /// Windows ends a tree of processes by its root's id.
    pub(super) fn kill(id: u32) {
        let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &id.to_string()]).output();
    }

    /// A console's Ctrl-C reaches every process of that console by itself.
    pub(super) fn end_with_signals() -> Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_output_of_a_command_is_returned() {
        assert_eq!(run(&mut shell("echo one; echo two"), LONG).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        assert!(run(&mut shell("exit 3"), LONG).unwrap_err().to_string().contains("3"));
    }

    #[test]
    fn a_failure_tells_what_failed_and_how_the_output_ended() {
        let script = "echo 'test this ... FAILED'; echo because; seq 1 100; exit 1";
        let error = run(&mut shell(script), LONG).unwrap_err().to_string();
        let lines: Vec<_> = error.lines().skip(1).collect();
        let told = ["test this ... FAILED", "because", "85"];
        assert!(lines.windows(told.len()).any(|lines| lines == told), "{error}");
        assert_eq!(lines.last(), Some(&"100"), "{error}");
        assert!(lines.len() <= TELLING_LINES + LAST_LINES, "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let started = Instant::now();
        let error = run(&mut shell("sleep 600 & sleep 600"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn a_process_left_behind_does_not_keep_the_run_waiting() {
        let started = Instant::now();
        assert_eq!(run(&mut shell("sleep 600 & echo done"), LONG).unwrap(), "done\n");
        assert!(started.elapsed() < LONG);
    }
}
