//! `cargo xtask npm` and `cargo xtask www`: what is built by Node.js of the packages for browsers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::fresh::Made;
use crate::manifest::{self, Scripts};
use crate::size::{Size, kib};
use crate::step::run_quietly;
use crate::tools::Tool;
use crate::wasm;
use crate::workspace::Workspace;

/// The npm package, and the pages that are made with it: folders of the npm workspace.
const NPM: &str = "npm/rejoin";
const WWW: &str = "www";

/// The packages for browsers that they are made of.
const PACKAGES: [&str; 2] = ["rejoin", "crdt"];

/// The page that every other file of the demo is loaded from.
const START_PAGE: &str = "www/dist/index.html";

/// What uses the npm package as a stranger does. It is outside of the npm workspace: it has a package.json of its own, with other tools.
const PACKAGING: &str = "tests/packaging";

/// Builds the npm package, and before it what it is made of; prints what a page loads of it, and fails when that is over its budget.
pub(crate) fn npm(workspace: &Workspace) -> Result<String> {
    let wasm = wasm::run(workspace, &PACKAGES)?;
    build(workspace, NPM, &["pkg/rejoin", "pkg/crdt"], "npm/rejoin/dist")?;
    let mut notes = vec![wasm];
    for (name, scripts) in &manifest::read(&workspace.root)?.npm {
        notes.push(weigh(&workspace.root, name, scripts)?);
    }
    Ok(notes.join(", "))
}

/// Adds up what a page loads: the entry, and every script that a script names which it loads, at once or later.
fn weigh(root: &Path, name: &str, scripts: &Scripts) -> Result<String> {
    let folder = root.join(&scripts.folder);
    let mut waiting = vec![scripts.entry.clone()];
    let mut seen = BTreeSet::new();
    let mut whole = Size::default();
    while let Some(file) = waiting.pop() {
        if !seen.insert(file.clone()) {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(&file))
            .with_context(|| format!("{file} of {name} cannot be read"))?;
        let size = Size::of(text.as_bytes())?;
        println!("  {file:<20} {:>8} bytes, {:>7} gzip", size.raw, size.compressed);
        whole = whole.and(size);
        waiting.extend(named_scripts(&text));
    }
    println!(
        "  page of {name:<12} {:>8} bytes, {:>7} gzip; budget {}",
        whole.raw, whole.compressed, scripts.budget_bytes
    );
    whole.within(&format!("what a page loads of {name}"), scripts.budget_bytes)?;
    Ok(format!("page {} gzip of {}", kib(whole.compressed), kib(scripts.budget_bytes)))
}

/// The scripts beside it that a script imports, in the forms that esbuild writes.
fn named_scripts(text: &str) -> Vec<String> {
    let imported =
        |start: usize| ["from", "import", "import("].iter().any(|form| text[..start].ends_with(form));
    let quoted = text.match_indices("\"./").filter(|(start, _)| imported(*start));
    let names = quoted.filter_map(|(start, opening)| text[start + opening.len()..].split('"').next());
    names.map(str::to_owned).collect()
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
    command.args(folders(root)?).arg(PACKAGING).current_dir(root);
    Ok(command)
}

/// npm in a folder; in the root, that of the npm workspace.
pub(crate) fn npm_command(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn scripts_are_named_by_imports_of_any_kind() {
        let text = r#"import{a}from"./chunk-1.js";export{b}from"./chunk-2.js";await import("./host.js");from"react";{"./no.js":1}"#;
        assert_eq!(named_scripts(text), ["chunk-1.js", "chunk-2.js", "host.js"]);
    }

    #[test]
    fn a_page_loads_each_script_once_and_one_byte_over_the_budget_is_said() {
        let root = std::env::temp_dir().join(format!("rejoin-weigh-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        for (name, text) in [
            ("index.js", r#"import"./a.js";import("./a.js")"#),
            ("a.js", r#"import"./index.js""#),
            ("b.js", ""),
        ] {
            std::fs::write(root.join(name), text).unwrap();
        }
        let gzip = |name: &str| Size::of(&std::fs::read(root.join(name)).unwrap()).unwrap().compressed;
        let whole = gzip("index.js") + gzip("a.js");
        let within = |budget_bytes| {
            let scripts = Scripts { folder: String::new(), entry: "index.js".into(), budget_bytes };
            weigh(&root, "rejoin", &scripts)
        };
        assert!(within(whole).is_ok());
        assert!(within(whole - 1).unwrap_err().to_string().contains("1 bytes over its budget"));
        std::fs::remove_file(root.join("a.js")).unwrap();
        assert!(within(whole).unwrap_err().to_string().contains("a.js"));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
