//! The fuzzing client of the Autobahn test suite against `rejoin mock`: what WebSockets are sent by a client that keeps no rule.
//!
//! It is written for Python 2.7, so it runs only where that is: on the path, or as pyenv installs it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use crate::process;
use crate::step::run_visibly;
use crate::workspace::Workspace;

/// The release that is run, of the package registry.
const VERSION: &str = "25.10.1";

/// Framing, pings, reserved bits, opcodes, fragments, UTF-8, closings. Sizes take minutes, and compression is not spoken.
const CASES: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

/// What a case may come to. Not strict is an answer that the specification leaves open.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

/// The suite, installed.
pub(crate) struct Autobahn {
    python: PathBuf,
    packages: PathBuf,
}

impl Autobahn {
    /// Installs it unless it is there; `None` where there is no Python for it.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let packages = workspace.target.join("tools").join(format!("autobahn-{VERSION}"));
        let done = packages.join("installed");
        if !done.is_file() {
            let mut command = Command::new(&python);
            command.args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--quiet",
                "--target",
            ]);
            command.arg(&packages).arg(format!("autobahntestsuite=={VERSION}"));
            run_visibly(&format!("installing autobahntestsuite {VERSION} (once)"), &mut command)?;
            // Outside of a folder that Python knows, a namespace is a package only with this file.
            std::fs::write(packages.join("zope").join("__init__.py"), "")?;
            std::fs::write(done, "")?;
        }
        Ok(Some(Self { python, packages }))
    }

    /// Runs the cases against an echo and against a proxy to it, and says how many there were.
    pub(crate) fn run(&self, workspace: &Workspace, patience: Duration) -> Result<String> {
        let rejoin = workspace.target.join("debug").join(format!("rejoin{}", std::env::consts::EXE_SUFFIX));
        let echo = Mock::start(&rejoin, &["echo"])?;
        let proxy = Mock::start(&rejoin, &["proxy", &echo.url])?;
        let reports = workspace.target.join("autobahn");
        // The reports of another run are not taken for those of this one.
        if reports.is_dir() {
            std::fs::remove_dir_all(&reports).context("the reports could not be removed")?;
        }
        std::fs::create_dir_all(&reports)?;
        let plan = json!({
            "outdir": reports,
            "servers": [{"agent": "echo", "url": echo.url}, {"agent": "proxy", "url": proxy.url}],
            "cases": CASES,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let file = reports.join("plan.json");
        std::fs::write(&file, plan.to_string())?;
        let mut command = Command::new(&self.python);
        command.args(["-c", "from autobahntestsuite.wstest import run; run()", "-m", "fuzzingclient", "-s"]);
        process::run_unseen(command.arg(file).env("PYTHONPATH", &self.packages), patience)?;
        judge(&std::fs::read_to_string(reports.join("index.json")).context("there is no report")?)
    }
}

/// What became of a case.
#[derive(Deserialize)]
struct Outcome {
    behavior: String,
    #[serde(rename = "behaviorClose")]
    closing: String,
}

/// How many cases of each server there were, if all of them are good.
fn judge(report: &str) -> Result<String> {
    let servers: BTreeMap<String, BTreeMap<String, Outcome>> = serde_json::from_str(report)?;
    let is_good = |outcome: &Outcome| {
        [&outcome.behavior, &outcome.closing].iter().all(|it| GOOD.contains(&it.as_str()))
    };
    let mut bad = Vec::new();
    let mut counts = Vec::new();
    for (server, cases) in &servers {
        counts.push(format!("{} of the {server}", cases.len()));
        let wrong = cases.iter().filter(|(_, outcome)| !is_good(outcome));
        bad.extend(
            wrong.map(|(case, it)| format!("{server} {case}: {}, closing {}", it.behavior, it.closing)),
        );
    }
    if servers.values().any(BTreeMap::is_empty) || servers.len() != 2 {
        bail!("no case ran against one of the servers");
    }
    match bad.is_empty() {
        true => Ok(format!("cases: {}", counts.join(", "))),
        false => {
            bail!("cases failed, whose pages stand in the folder autobahn of the build:\n{}", bad.join("\n"))
        }
    }
}

/// A mock that ends with the suite.
struct Mock {
    child: Child,
    url: String,
}

impl Mock {
    fn start(rejoin: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(rejoin);
        command.arg("mock").args(arguments).args(["--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("rejoin did not start")?;
        let output = child.stdout.take().context("the output was piped")?;
        let mut mock = Self { child, url: String::new() };
        for line in BufReader::new(output).lines() {
            if let Some((_, url)) = line?.split_once(" connect to ") {
                mock.url = url.to_owned();
                return Ok(mock);
            }
        }
        bail!("rejoin mock ended before it listened")
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python 2.7 that runs.
fn python() -> Option<PathBuf> {
    let on_path = ["python2.7", "python2"].map(PathBuf::from);
    on_path.into_iter().chain(of_pyenv()).find(|python| {
        let version = "import sys; sys.exit(sys.version_info[:2] != (2, 7))";
        let output = Command::new(python).args(["-c", version]).output();
        output.is_ok_and(|output| output.status.success())
    })
}

fn of_pyenv() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let installed = versions.into_iter().flatten().flatten().map(|entry| entry.path());
    let pythons = installed.map(|version| version.join("bin").join("python2.7"));
    pythons.filter(|python| python.is_file()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn report(behavior: &str, closing: &str) -> String {
        let case = |behavior: &str, closing: &str| json!({"behavior": behavior, "behaviorClose": closing, "duration": 1});
        json!({"echo": {"1.1.1": case("OK", "OK")}, "proxy": {"2.1": case(behavior, closing)}}).to_string()
    }

    #[test]
    fn a_case_that_failed_fails_the_suite() {
        assert_eq!(judge(&report("NON-STRICT", "OK")).unwrap(), "cases: 1 of the echo, 1 of the proxy");
        for (behavior, closing) in [("FAILED", "OK"), ("OK", "UNCLEAN"), ("UNIMPLEMENTED", "OK")] {
            let error = judge(&report(behavior, closing)).unwrap_err().to_string();
            assert!(error.contains(&format!("proxy 2.1: {behavior}, closing {closing}")), "{error}");
        }
    }

    #[test]
    fn a_server_without_a_case_fails_the_suite() {
        assert!(judge(r#"{"echo": {}, "proxy": {}}"#).is_err());
        assert!(judge("{}").is_err());
    }
}
