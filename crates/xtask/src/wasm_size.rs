//! `cargo xtask wasm-size`: how large the engine is that a browser has to load.
//!
//! A probe links every public entry point of the engine into one WebAssembly module, so that nothing of it is dropped
//! and nothing is counted that a page would not load. What a page loads is compressed: gzip is what counts.

use std::io::Write;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::step::{run_quietly, run_visibly};
use crate::tools::{Tool, WASM_TARGET, wasm_opt};
use crate::workspace::Workspace;

/// The crate that links the engine.
const PROBE: &str = "rejoin-wasm-probe";

/// What `wasm-opt` may use, which is what the compiler uses, and what it does.
const OPTIMISATIONS: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "-Oz",
    "--converge",
];

/// What the engine may weigh today, in bytes of gzip. It follows the engine down to its goal; what makes it go up is said where that is
/// decided.
const LIMIT_BYTES: usize = 164 * 1024;

/// What the engine shall weigh, in bytes of gzip: a page with it, its bindings and its JavaScript stays under 120 KiB.
const GOAL_BYTES: usize = 100 * 1024;

/// Builds the probe, prints its size, and fails when it is over the limit.
pub(crate) fn run(workspace: &Workspace) -> Result<String> {
    run_visibly(
        "building the engine for browsers",
        &mut workspace.cargo(&["build", "--profile", "wasm", "--target", WASM_TARGET, "--package", PROBE]),
    )?;
    let built = workspace.target.join(WASM_TARGET).join("wasm").join(format!("{PROBE}.wasm"));
    let module = built.with_extension("optimised.wasm");
    Tool::WasmOpt.ensure(workspace)?;
    run_quietly(
        "optimising it",
        wasm_opt(workspace).args(OPTIMISATIONS).arg(&built).arg("--output").arg(&module),
    )?;
    let bytes = std::fs::read(&module).context("the module was not built")?;
    let compressed = gzip(&bytes)?.len();
    println!(
        "engine: {} bytes, {compressed} bytes gzip; limit {LIMIT_BYTES}, goal {GOAL_BYTES}",
        bytes.len()
    );
    within(compressed, LIMIT_BYTES)?;
    Ok(format!("{} gzip of {}, goal {}", kib(compressed), kib(LIMIT_BYTES), kib(GOAL_BYTES)))
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn within(size: usize, limit: usize) -> Result<()> {
    if size > limit {
        bail!(
            "the engine is {} too large: {} gzip, the limit is {}",
            kib(size - limit),
            kib(size),
            kib(limit)
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
    fn a_size_at_the_limit_is_fine_and_one_byte_more_is_not() {
        assert!(within(1024, 1024).is_ok());
        assert!(within(1025, 1024).is_err());
    }

    #[test]
    fn sizes_are_those_of_compressed_bytes() {
        assert!(gzip(&[7; 10_000]).unwrap().len() < 100);
    }
}
