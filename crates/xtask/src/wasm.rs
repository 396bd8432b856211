//! `cargo xtask wasm`: the packages for browsers, from crate to folder, each held to its budget.
//!
//! Cargo compiles, wasm-bindgen writes the script that loads the module, `wasm-opt` makes the module smaller. What a page loads
//! is compressed, and that is what counts: the module is packed here, as the npm package takes it, the script is sent through gzip.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::fresh::Made;
use crate::manifest::{self, MANIFEST, Package};
use crate::panics;
use crate::size::{self, Size, kib};
use crate::step::{run_quietly, run_visibly};
use crate::tools::{Tool, WASM_TARGET, wasm_bindgen, wasm_opt};
use crate::workspace::Workspace;

/// What the task needs on the machine.
pub(crate) const NEEDS: &[Tool] = &[Tool::WasmTarget, Tool::WasmBindgen, Tool::Node, Tool::WasmOpt];

/// Builds the named packages of the manifest where they are not up to date, or all; prints the sizes, and fails when one is over its
/// budget.
pub(crate) fn run(workspace: &Workspace, names: &[&str]) -> Result<String> {
    let mut packages = manifest::read(&workspace.root)?.packages;
    if let Some(unknown) = names.iter().find(|name| !packages.contains_key(**name)) {
        let known: Vec<_> = packages.keys().map(String::as_str).collect();
        bail!("{MANIFEST} has no package {unknown}; it has {}", known.join(", "));
    }
    packages.retain(|name, _| names.is_empty() || names.contains(&name.as_str()));
    for tool in NEEDS {
        tool.ensure(workspace)?;
    }
    let mut sizes = Vec::new();
    for (name, package) in &packages {
        build(workspace, name, package)?;
        sizes.push(weigh(workspace, name, package)?);
    }
    Ok(sizes.join(", "))
}

/// Where the package is built to.
fn folder(workspace: &Workspace, package: &Package) -> PathBuf {
    workspace.root.join("pkg").join(&package.output)
}

/// What a page loads of the package.
fn loaded(workspace: &Workspace, name: &str, package: &Package) -> [PathBuf; 2] {
    [format!("{name}_bg.wasm"), format!("{name}.js")].map(|file| folder(workspace, package).join(file))
}

/// The module as the npm package takes it, where it is packed.
fn packed(workspace: &Workspace, name: &str, package: &Package) -> Option<PathBuf> {
    (!package.optimise.is_empty()).then(|| folder(workspace, package).join(format!("{name}.deflate")))
}

fn build(workspace: &Workspace, name: &str, package: &Package) -> Result<()> {
    // Cargo knows by itself what is up to date. A library that may also be linked into Rust would not be optimised as a whole.
    let mut command = workspace.cargo(&["rustc", "--lib", "--locked", "--target", WASM_TARGET]);
    command.args(["--crate-type", "cdylib"]);
    command.args(["--package", &package.source, "--profile", &package.profile]);
    if !package.features.is_empty() {
        command.args(["--features", &package.features.join(",")]);
    }
    run_visibly(&format!("compiling {} for browsers", package.source), &mut command)?;
    let library = format!("{}.wasm", package.source.replace('-', "_"));
    let compiled = workspace.target.join(WASM_TARGET).join(built_in(&package.profile)).join(library);
    let made = Made {
        name: &format!("wasm-{name}"),
        // This program is one of them: it says how the others are used.
        inputs: vec![compiled.clone(), workspace.root.join(MANIFEST), std::env::current_exe()?],
        outputs: loaded(workspace, name, package)
            .into_iter()
            .chain(packed(workspace, name, package))
            .collect(),
    };
    made.unless_fresh(workspace, || bind(workspace, name, package, &compiled))
}

/// The folder that cargo has for what it builds with a profile.
fn built_in(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}

/// Makes the package of the compiled module: in a folder beside its own, so that nobody finds a half of it.
fn bind(workspace: &Workspace, name: &str, package: &Package, compiled: &Path) -> Result<()> {
    let made = workspace.root.join("pkg").join(format!(".{}", package.output));
    remove(&made)?;
    run_quietly(
        &format!("binding {name} to JavaScript"),
        wasm_bindgen(workspace)?
            .args(["--target", package.target.name(), "--out-name", name])
            // A module that trapped is begun again in its page, without loading it anew.
            .arg("--experimental-reset-state-function")
            // The npm package has types of its own, which say more than those that are made of Rust's.
            .arg("--no-typescript")
            .arg("--out-dir")
            .arg(&made)
            .arg(compiled),
    )?;
    let module = made.join(format!("{name}_bg.wasm"));
    if !package.optimise.is_empty() {
        let silenced = panics::silenced(&std::fs::read(&module)?)
            .with_context(|| format!("the panics of {name} cannot be silenced"))?;
        std::fs::write(&module, silenced)?;
        run_quietly(
            &format!("optimising {name}"),
            wasm_opt(workspace).args(&package.optimise).arg(&module).arg("--output").arg(&module),
        )?;
        std::fs::write(made.join(format!("{name}.deflate")), size::packed(&std::fs::read(&module)?)?)?;
    }
    std::fs::write(made.join("README.md"), readme(name, package))?;
    let folder = folder(workspace, package);
    remove(&folder)?;
    std::fs::rename(&made, &folder).with_context(|| format!("{} cannot be made", folder.display()))
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

fn weigh(workspace: &Workspace, name: &str, package: &Package) -> Result<String> {
    let mut whole = Size::default();
    for path in loaded(workspace, name, package) {
        let bytes = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut size = Size::of(&bytes)?;
        if path.extension().is_some_and(|extension| extension == "wasm")
            && let Some(packed) = packed(workspace, name, package)
        {
            size.compressed = std::fs::metadata(&packed)?.len().try_into()?;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        println!("  {file:<20} {:>8} bytes, {:>7} compressed", size.raw, size.compressed);
        whole = whole.and(size);
    }
    let Some(budget) = package.budget_bytes else {
        return Ok(format!("{name} {} compressed", kib(whole.compressed)));
    };
    println!("  {name:<20} {:>8} bytes, {:>7} compressed; budget {budget}", whole.raw, whole.compressed);
    whole.within(name, budget)?;
    Ok(format!("{name} {} compressed of {}", kib(whole.compressed), kib(budget)))
}

/// Says of a folder that is in no repository what made it.
fn readme(name: &str, package: &Package) -> String {
    let Package { source, profile, output, .. } = package;
    format!(
        "# {name} for browsers\n\n`cargo xtask wasm` made this folder, pkg/{output}, of the crate `{source}` (profile `{profile}`), as \
         {MANIFEST} says. It is\nmade anew when that changes and is not committed.\n\n\
         - `{name}.js` loads the module, as wasm-bindgen wrote it (`--target {}`)\n\
         - `{name}_bg.wasm` is the module\n\
         - `{name}.deflate` is the module packed, where it was optimised\n\n\
         Programs do not use it by itself: other packages are made of it.\n",
        package.target.name(),
    )
}
