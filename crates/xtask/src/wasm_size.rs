//! `cargo xtask wasm-size`: how large the engine is that a browser has to load.
//!
//! A probe links every public entry point of the engine into one WebAssembly module, so that nothing of it is dropped
//! and nothing is counted that a page would not load. What a page loads is compressed: the budget counts gzip.

use std::io::Write;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::step::run_visibly;
use crate::tools::WASM_TARGET;
use crate::workspace::Workspace;

/// The crate that links the engine.
const PROBE: &str = "rejoin-wasm-probe";

/// What the engine may weigh, in bytes of gzip: a page with it, its bindings and its JavaScript stays under 120 KiB.
const BUDGET_BYTES: usize = 100 * 1024;

/// Builds the probe, prints its size, and fails when it is over the budget.
pub(crate) fn run(workspace: &Workspace) -> Result<String> {
    run_visibly(
        "building the engine for browsers",
        &mut workspace.cargo(&["build", "--profile", "wasm", "--target", WASM_TARGET, "--package", PROBE]),
    )?;
    let module = workspace.target.join(WASM_TARGET).join("wasm").join(format!("{PROBE}.wasm"));
    let bytes = std::fs::read(&module).context("the module was not built")?;
    let compressed = gzip(&bytes)?.len();
    println!(
        "engine: {} bytes, {compressed} bytes gzip, {:.1} % of the budget of {BUDGET_BYTES}",
        bytes.len(),
        compressed as f64 * 100.0 / BUDGET_BYTES as f64
    );
    within(compressed, BUDGET_BYTES)?;
    Ok(format!("{} gzip of {}", kib(compressed), kib(BUDGET_BYTES)))
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn within(size: usize, budget: usize) -> Result<()> {
    if size > budget {
        bail!(
            "the engine is {} too large for browsers: {} gzip, the budget is {}",
            kib(size - budget),
            kib(size),
            kib(budget)
        );
    }
    Ok(())
}

fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_size_at_the_budget_is_fine_and_one_byte_more_is_not() {
        assert!(within(1024, 1024).is_ok());
        assert!(within(1025, 1024).is_err());
    }

    #[test]
    fn sizes_are_those_of_compressed_bytes() {
        assert!(gzip(&[7; 10_000]).unwrap().len() < 100);
    }
}
