//! Patches: applying and finding them.

use std::time::Duration;

use anyhow::Result;
use rejoin_json::{Json, Limits, Patch, apply};

use crate::measure::{duration, per_call};
use crate::table::Table;

/// How often a loop is timed, and how long it lasts.
const REPETITIONS: usize = 15;
const SLICE: Duration = Duration::from_millis(20);

pub(crate) fn run() -> Result<Vec<Table>> {
    let limits = Limits::default();
    let document = Json::parse(r#"{"title": "Draft", "tags": []}"#, &limits)?;
    let patch = Patch::parse(r#"[{"op": "replace", "path": "/title", "value": "Final"}]"#, &limits)?;
    let kept = per_call(
        REPETITIONS,
        SLICE,
        || document.clone(),
        |mut document| {
            let outcome = apply(&mut document, &patch, &limits);
            (document, outcome)
        },
    );
    let mut table = Table::new("Applying", ["case", "median", "slowest of ten"]);
    table.row(["one field".to_owned(), duration(kept.median()), duration(kept.percentile(90))]);
    Ok(vec![table])
}
