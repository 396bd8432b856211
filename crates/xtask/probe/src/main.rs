//! Calls every public entry point of the engine that a browser's driver calls, so that the module built from it holds
//! what a page has to load, and nothing else. It is measured and never run.

use std::hint::black_box;

use rejoin_json::{
    Json, Limits, Patch, apply, apply_inverting, invert, merge_patch_apply, merge_patch_diff,
    merge_patch_to_patch,
};

fn main() {
    // A driver shows errors as their sentences.
    if let Err(error) = documents() {
        black_box(error.to_string());
    }
}

fn documents() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    let before = Json::parse(&foreign_text(), &limits)?;
    let mut document = before.clone();
    let patch = Patch::parse(&foreign_text(), &limits)?;
    apply(&mut document, &patch, &limits)?;
    black_box(apply_inverting(&mut document, &patch, &limits)?);
    black_box(invert(&before, &patch, &limits)?);
    merge_patch_apply(&mut document, &before, &limits)?;
    black_box(merge_patch_to_patch(&before, &document));
    black_box(merge_patch_diff(&before, &document));
    black_box((document.content_hash(), document.canonical()));
    Ok(())
}

/// Text of which the compiler knows nothing.
fn foreign_text() -> String {
    black_box(String::new())
}
