//! `cargo xtask npm` and `cargo xtask www`: what is built by Node.js of the packages for browsers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::fresh::Made;
use crate::step::run_quietly;
use crate::tools::Tool;
use crate::wasm;
use crate::workspace::Workspace;

/// The npm package, and the pages that are made with it: folders of the npm workspace.
const NPM: &str = "npm/rejoin";
const WWW: &str = "www";

/// The package for browsers that they are made of.
const PACKAGE: &str = "rejoin";

/// The page that every other file of the demo is loaded from.
const START_PAGE: &str = "www/dist/index.html";

/// Builds the npm package, and before it what it is made of.
pub(crate) fn npm(workspace: &Workspace) -> Result<String> {
    let wasm = wasm::run(workspace, &[PACKAGE])?;
    build(workspace, NPM, &["pkg/rejoin"], "npm/rejoin/dist")?;
    Ok(wasm)
}

/// Builds the pages that the server shows, and before them what they are made of.
pub(crate) fn www(workspace: &Workspace) -> Result<String> {
    let wasm = npm(workspace)?;
    build(workspace, WWW, &["npm/rejoin/dist", "npm/rejoin/package.json"], START_PAGE)?;
    Ok(wasm)
}

/// Runs the script `build` of a folder of the npm workspace, unless its output is up to date.
fn build(workspace: &Workspace, folder: &str, made_of: &[&str], output: &str) -> Result<()> {
    let at = |path: &str| workspace.root.join(path);
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

/// The folders of the npm workspace, from the root.
pub(crate) fn folders(root: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("package.json")).context("package.json cannot be read")?;
    let package: Value = serde_json::from_str(&text).context("package.json cannot be used")?;
    let folders = package["workspaces"].as_array().context("package.json names no workspaces")?;
    Ok(folders.iter().filter_map(|folder| folder.as_str().map(str::to_owned)).collect())
}

/// Prettier, on everything that is written for Node.js and for browsers.
pub(crate) fn prettier(root: &Path) -> Result<Command> {
    let mut command = Command::new("node");
    command.args(["node_modules/prettier/bin/prettier.cjs", "--check", "package.json"]);
    command.args(folders(root)?).current_dir(root);
    Ok(command)
}

/// npm in the root, which is the npm workspace.
pub(crate) fn npm_command(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root);
    command
}
