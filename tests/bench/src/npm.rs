//! Peers from npm, at the versions of `node/package-lock.json`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// Installs them; the folder that they are in.
pub(crate) fn install() -> Result<PathBuf> {
    let output = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder())
        .output()
        .context("npm did not start: install Node.js with npm")?;
    if !output.status.success() {
        bail!("npm ci failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(folder())
}

/// The version of a package that is installed.
pub(crate) fn version(package: &str) -> Result<String> {
    let path = folder().join("node_modules").join(package).join("package.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{package} is not installed"))?;
    let manifest: serde_json::Value = serde_json::from_str(&text)?;
    Ok(manifest["version"].as_str().context("no version")?.to_owned())
}

/// The name of a package that is installed, and its version.
pub(crate) fn named(package: &str) -> Result<String> {
    Ok(format!("{package} {}", version(package)?))
}
