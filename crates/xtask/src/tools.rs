//! What the suites need besides cargo, and how it is installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::{Step, run_quietly, run_visibly};
use crate::workspace::Workspace;

/// The compilation target of browsers.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Something that a suite needs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// The standard library for [`WASM_TARGET`].
    WasmTarget,
    /// `wasm-bindgen-test-runner`, of the version of wasm-bindgen in the lock file: the two speak a private format.
    ///
    /// `wasm-pack test --node` is this runner and `cargo test`; calling it directly saves building wasm-pack, and
    /// nothing is downloaded but what the package registry has.
    WasmTestRunner,
    /// Node.js, in which the runner runs.
    Node,
    /// `wasm-opt` of Binaryen, as npm has it: WebAssembly itself, for Node.js.
    WasmOpt,
}

impl Tool {
    /// Installs the tool unless it is there.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<()> {
        match self {
            Self::WasmTarget => ensure_wasm_target(),
            Self::WasmTestRunner => ensure_wasm_test_runner(workspace),
            Self::Node => ensure_node(),
            Self::WasmOpt => ensure_wasm_opt(workspace),
        }
    }
}

fn ensure_wasm_target() -> Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()
        .context("rustc did not start")?;
    if PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return Ok(());
    }
    run_quietly(
        &format!("adding the target {WASM_TARGET}"),
        Command::new("rustup").args(["target", "add", WASM_TARGET]),
    )
    .with_context(|| format!("the standard library for {WASM_TARGET} is missing: install it beside rustc"))
}

/// Where the runner is: installed by us, or found on the path with the right version.
pub(crate) fn wasm_test_runner(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let version = workspace.locked_version("wasm-bindgen")?;
    let name = format!("wasm-bindgen-test-runner{}", std::env::consts::EXE_SUFFIX);
    Ok([installed(workspace).join("bin").join(&name), PathBuf::from(name)].into_iter().find(|program| {
        first_line(Command::new(program).arg("--version")).is_some_and(|it| it.ends_with(&version))
    }))
}

fn ensure_wasm_test_runner(workspace: &Workspace) -> Result<()> {
    if wasm_test_runner(workspace)?.is_some() {
        return Ok(());
    }
    let version = workspace.locked_version("wasm-bindgen")?;
    let root = installed(workspace);
    let build = root.join("build");
    let mut command = workspace.cargo(&["install", "wasm-bindgen-cli", "--version", &version, "--force"]);
    // Without its TLS, which only remote browsers need, and optimised a little, it builds a minute sooner.
    command.arg("--no-default-features").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    run_visibly(
        &format!("installing wasm-bindgen-cli {version} (once; some minutes)"),
        command.arg("--root").arg(&root).arg("--target-dir").arg(&build),
    )?;
    // Half a gigabyte that only a second installation of the same version would read.
    std::fs::remove_dir_all(&build).context("the build folder of wasm-bindgen-cli could not be removed")?;
    match wasm_test_runner(workspace)? {
        Some(_) => Ok(()),
        None => bail!("wasm-bindgen-cli {version} was installed and does not run"),
    }
}

/// The folder of the programs that the tests install: it belongs to the build and goes with it.
fn installed(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

fn ensure_node() -> Result<()> {
    ensure_package("node", "nodejs")
}

/// The program, in the version that the lock file of `crates/xtask/binaryen` names.
pub(crate) fn wasm_opt(workspace: &Workspace) -> Command {
    let mut command = Command::new("node");
    command.arg(binaryen(workspace).join("node_modules/binaryen/bin/wasm-opt"));
    command
}

fn ensure_wasm_opt(workspace: &Workspace) -> Result<()> {
    ensure_node()?;
    let (from, to) = (workspace.member("xtask")?.folder.join("binaryen"), binaryen(workspace));
    let files = ["package.json", "package-lock.json"];
    let is_current = |file: &&str| {
        std::fs::read(from.join(file))
            .is_ok_and(|wanted| std::fs::read(to.join(file)).is_ok_and(|it| it == wanted))
    };
    if files.iter().all(is_current) && first_line(wasm_opt(workspace).arg("--version")).is_some() {
        return Ok(());
    }
    ensure_package("npm", "npm")?;
    std::fs::create_dir_all(&to)?;
    for file in files {
        std::fs::copy(from.join(file), to.join(file)).with_context(|| format!("{file} of Binaryen"))?;
    }
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    run_quietly("installing Binaryen (once)", Command::new("npm").args(arguments).current_dir(&to))?;
    match first_line(wasm_opt(workspace).arg("--version")) {
        Some(_) => Ok(()),
        None => bail!("Binaryen was installed and wasm-opt does not run"),
    }
}

fn binaryen(workspace: &Workspace) -> PathBuf {
    installed(workspace).join("binaryen")
}

/// Installs a package of the system unless its program is there.
fn ensure_package(program: &str, package: &str) -> Result<()> {
    if first_line(Command::new(program).arg("--version")).is_some() {
        return Ok(());
    }
    if first_line(Command::new("apt-get").arg("--version")).is_none() {
        bail!("{program} is missing: install Node.js with it (https://nodejs.org) and try again");
    }
    let step = Step::quiet(format!("installing {program}"));
    for arguments in
        [["update", "--quiet"].as_slice(), &["install", "--yes", "--no-install-recommends", package]]
    {
        let output = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .context("apt-get did not start")?;
        if !output.status.success() {
            bail!(
                "apt-get {} failed; install {program} and try again:\n{}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
    }
    step.done();
    Ok(())
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
