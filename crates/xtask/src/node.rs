//! `cargo xtask npm` and `cargo xtask www`: what is built by Node.js of the packages for browsers.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::fresh::Made;
use crate::step::run_quietly;
use crate::tools::Tool;
use crate::wasm;
use crate::workspace::Workspace;

/// The npm package, and the pages that are made with it: folders of the npm workspace.
const NPM: &str = "npm/rejoin";
const WWW: &str = "www";

/// The page that every other file of the demo is loaded from.
const START_PAGE: &str = "www/dist/index.html";

/// Builds the npm package, and before it what it is made of.
pub(crate) fn npm(workspace: &Workspace) -> Result<String> {
    let wasm = wasm::run(workspace)?;
    build(workspace, NPM, &["pkg"], "npm/rejoin/dist")?;
    Ok(wasm)
}

/// Builds the pages that the server shows, and before them what they are made of.
pub(crate) fn www(workspace: &Workspace) -> Result<String> {
    let wasm = npm(workspace)?;
    build(workspace, WWW, &["npm/rejoin/dist", "npm/rejoin/package.json"], START_PAGE)?;
    Ok(wasm)
}

/// Whether the repository has the demo.
pub(crate) fn has_pages(workspace: &Workspace) -> bool {
    workspace.root.join(WWW).join("package.json").exists()
}

/// Runs the script `build` of a folder of the npm workspace, unless its output is up to date.
fn build(workspace: &Workspace, folder: &str, made_of: &[&str], output: &str) -> Result<()> {
    let at = |path: &str| workspace.root.join(path);
    if !at(folder).join("package.json").exists() {
        bail!("{folder} is not in this version of the repository, so that there is nothing to build");
    }
    Tool::Npm.ensure(workspace)?;
    let common = ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.base.json"];
    let inputs = [folder].iter().chain(made_of).chain(&common).map(|path| at(path)).collect();
    let name = folder.replace('/', "-");
    Made { name: &name, inputs, outputs: vec![at(output)] }.unless_fresh(workspace, || {
        run_quietly(
            &format!("building {folder}"),
            npm_command(&workspace.root).args(["run", "build", "--workspace", folder]),
        )
    })
}

/// npm in the root, which is the npm workspace.
fn npm_command(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root);
    command
}
