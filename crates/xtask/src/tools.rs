//! What the suites need besides cargo, and how it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::fresh::Made;
use crate::node;
use crate::step::{Step, run_quietly, run_visibly};
use crate::workspace::Workspace;

/// The compilation target of browsers.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The oldest Node.js that the packages run on.
const NODE_MAJOR: u32 = 20;

/// Something that a suite needs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// The standard library for [`WASM_TARGET`].
    WasmTarget,
    /// `wasm-bindgen` and `wasm-bindgen-test-runner`, of the version in the lock file: they and the crate speak a private format.
    ///
    /// `wasm-pack` is these two and cargo; calling them directly saves building it, and nothing is downloaded but what the package
    /// registry has.
    WasmBindgen,
    /// Node.js, in which the tests for wasm32 run, and what builds for browsers.
    Node,
    /// `wasm-opt` of Binaryen, as npm has it: WebAssembly itself, for Node.js.
    WasmOpt,
    /// npm, and the packages of the workspace that the lock file in the root names.
    Npm,
    /// A browser: Chromium, or the Chrome that is there.
    Chromium,
    /// What has a browser do things for a test: of the browser's version.
    Chromedriver,
}

impl Tool {
    /// Installs the tool unless it is there.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<()> {
        match self {
            Self::WasmTarget => ensure_wasm_target(),
            Self::WasmBindgen => ensure_wasm_bindgen(workspace),
            Self::Node => ensure_node(),
            Self::WasmOpt => ensure_wasm_opt(workspace),
            Self::Npm => ensure_npm_packages(workspace),
            Self::Chromium => ensure_chromium(),
            Self::Chromedriver => ensure_chromedriver(),
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

/// The program that runs the tests for wasm32.
pub(crate) fn wasm_test_runner(workspace: &Workspace) -> Result<PathBuf> {
    bindgen_program(workspace, "wasm-bindgen-test-runner")?.context("wasm-bindgen-test-runner is gone")
}

/// The program that writes the script beside a module.
pub(crate) fn wasm_bindgen(workspace: &Workspace) -> Result<Command> {
    Ok(Command::new(bindgen_program(workspace, "wasm-bindgen")?.context("wasm-bindgen is gone")?))
}

/// Where the program is: installed by us, or found on the path with the right version.
fn bindgen_program(workspace: &Workspace, name: &str) -> Result<Option<PathBuf>> {
    let version = workspace.locked_version("wasm-bindgen")?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok([installed(workspace).join("bin").join(&name), PathBuf::from(name)].into_iter().find(|program| {
        first_line(Command::new(program).arg("--version")).is_some_and(|it| it.ends_with(&version))
    }))
}

fn ensure_wasm_bindgen(workspace: &Workspace) -> Result<()> {
    let is_there = || -> Result<bool> {
        let programs = ["wasm-bindgen", "wasm-bindgen-test-runner"];
        let found = programs.map(|name| bindgen_program(workspace, name));
        Ok(found.into_iter().collect::<Result<Vec<_>>>()?.iter().all(Option::is_some))
    };
    if is_there()? {
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
    if !is_there()? {
        bail!("wasm-bindgen-cli {version} was installed and does not run");
    }
    Ok(())
}

/// The folder of the programs that the tests install: it belongs to the build and goes with it.
fn installed(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

fn ensure_node() -> Result<()> {
    ensure_package("node", &["nodejs"])
}

/// Installs what the lock file names, unless that has been done since it changed. Scripts of packages are not run: none is needed,
/// and each could do anything.
fn ensure_npm_packages(workspace: &Workspace) -> Result<()> {
    ensure_node()?;
    let version = first_line(Command::new("node").arg("--version")).unwrap_or_default();
    if node_major(&version).is_none_or(|major| major < NODE_MAJOR) {
        bail!(
            "Node.js is {version}, and the packages need {NODE_MAJOR} or newer: install that (https://nodejs.org)"
        );
    }
    ensure_package("npm", &["npm"])?;
    let at = |path: &str| workspace.root.join(path);
    let mut inputs = vec![at("package-lock.json"), at("package.json")];
    inputs.extend(node::folders(&workspace.root)?.iter().map(|folder| at(folder).join("package.json")));
    let made = Made { name: "npm-ci", inputs, outputs: vec![at("node_modules/.package-lock.json")] };
    made.unless_fresh(workspace, || install_packages("installing the npm packages", &workspace.root))
}

/// Installs what the lock file in a folder names, without running scripts of packages.
fn install_packages(what: &str, folder: &Path) -> Result<()> {
    run_quietly(what, node::npm_command(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
}

/// The `20` of `v20.20.2`.
fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Names that a browser of the kind goes by.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Where the browser is: at `CHROME_PATH`, or on the path.
pub(crate) fn chromium() -> Option<PathBuf> {
    named_or_on_path("CHROME_PATH", BROWSERS)
}

/// Where what drives the browser is: at `CHROMEDRIVER`, or on the path.
pub(crate) fn chromedriver() -> Option<PathBuf> {
    named_or_on_path("CHROMEDRIVER", &["chromedriver"])
}

fn named_or_on_path(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folders: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let known = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    named.into_iter().chain(known).find(|program| program.is_file())
}

fn ensure_chromedriver() -> Result<()> {
    if chromedriver().is_some() {
        return Ok(());
    }
    install("chromedriver", &["chromium-driver"])
        .context("a module cannot be tested in a browser that nothing drives")?;
    chromedriver()
        .map(drop)
        .context("chromedriver was installed and is not on the path: name it by CHROMEDRIVER")
}

fn ensure_chromium() -> Result<()> {
    if chromium().is_some() {
        return Ok(());
    }
    // Without a font that has all of a page's letters, text has no width that means anything.
    install("chromium", &["chromium", "fonts-liberation"])
        .context("a page cannot be tested without a browser")?;
    chromium().map(drop).context("Chromium was installed and is not on the path: name it by CHROME_PATH")
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
    ensure_package("npm", &["npm"])?;
    std::fs::create_dir_all(&to)?;
    for file in files {
        std::fs::copy(from.join(file), to.join(file)).with_context(|| format!("{file} of Binaryen"))?;
    }
    install_packages("installing Binaryen (once)", &to)?;
    match first_line(wasm_opt(workspace).arg("--version")) {
        Some(_) => Ok(()),
        None => bail!("Binaryen was installed and wasm-opt does not run"),
    }
}

fn binaryen(workspace: &Workspace) -> PathBuf {
    installed(workspace).join("binaryen")
}

/// Installs packages of the system unless their program is there.
fn ensure_package(program: &str, packages: &[&str]) -> Result<()> {
    if first_line(Command::new(program).arg("--version")).is_some() {
        return Ok(());
    }
    install(program, packages)
}

fn install(program: &str, packages: &[&str]) -> Result<()> {
    if first_line(Command::new("apt-get").arg("--version")).is_none() {
        bail!("{program} is missing, and there is no apt-get to install it with: install it and try again");
    }
    let step = Step::quiet(format!("installing {program}"));
    let installation = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    for arguments in [&["update", "--quiet"][..], &installation] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_its_first_number() {
        assert_eq!(node_major("v20.20.2"), Some(20));
        assert_eq!(node_major("v8.0.0\n"), Some(8));
        assert_eq!(node_major(""), None);
    }
}
