//! Three-way merges of boards that two people edited apart, beside what can be had without a merge: the difference that one of
//! them made, applied to what the other has. That notices no conflict.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rejoin_json::{Json, Limits, MergeOptions, Patch, apply, merge};
use serde_json::{Value, json};

use super::PLOTTED;
use super::documents::{board, card, text};
use crate::family::Figures;
use crate::lock;
use crate::measure::{duration, per_call};
use crate::plot::Plot;
use crate::random::Random;
use crate::table::Table;

const SIZES: [(&str, usize); 3] = [("1 KB", 1_000), ("100 KB", 100_000), ("5 MB", 5_000_000)];
const PEER: &str = "json-patch";
const SERIES: [&str; 3] =
    ["rejoin-json, versions that share", "rejoin-json, parsed apart", "json-patch: difference and patch"];
const REPETITIONS: usize = 15;
const SLICE: Duration = Duration::from_millis(20);

/// What two people did to one board.
struct Case {
    name: &'static str,
    current: Value,
    incoming: Value,
    conflicts: usize,
}

fn cases(board: &Value, random: &mut Random) -> Vec<Case> {
    let count = board["cards"].as_array().map_or(0, Vec::len);
    let replace = |path: String, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let insert =
        |at: usize, card: Value| json!([{"op": "add", "path": format!("/cards/{at}"), "value": card}]);
    let description = board["description"].as_str().unwrap_or_default();
    let typed = |at: usize, words: String| {
        let words = format!("{}{words} {}", &description[..at], &description[at..]);
        replace("/description".into(), json!(words))
    };
    let title = |at: usize, words: &str| replace(format!("/cards/{at}/title"), json!(words));
    vec![
        Case {
            name: "fields of two cards",
            current: title(count / 3, "What one typed"),
            incoming: title(count * 2 / 3, "What the other typed"),
            conflicts: 0,
        },
        Case {
            name: "one field by both",
            current: title(count / 2, "What one typed"),
            incoming: title(count / 2, "What the other typed"),
            conflicts: 1,
        },
        Case {
            name: "a card inserted by each",
            current: insert(count / 3, card(count, random)),
            incoming: insert(count * 2 / 3, card(count + 1, random)),
            conflicts: 0,
        },
        Case {
            name: "a text by both, in two places",
            current: typed(description.len() / 4, text(20, random)),
            incoming: typed(description.len() * 3 / 4, text(20, random)),
            conflicts: 0,
        },
    ]
}

/// Measures every case.
pub(crate) fn run() -> Result<Figures> {
    let named = lock::named(PEER)?;
    let columns = ["case"].into_iter().chain(SERIES).map(|name| name.replace(PEER, &named)).collect();
    let mut table = Table::of("Three-way merge of two edits made apart", columns);
    let mut random = Random::new(7);
    let mut panels = Vec::new();
    for (size, bytes) in SIZES {
        let board = board(bytes, &mut random);
        for case in cases(&board, &mut random) {
            eprintln!("merge: {size}: {}", case.name);
            let cells = measure(&board, &case).with_context(|| format!("{size}: {}", case.name))?;
            if size == PLOTTED {
                panels.push((case.name.to_owned(), cells.map(Some).to_vec()));
            }
            table.row([format!("{size}: {}", case.name)].into_iter().chain(cells.map(duration)));
        }
    }
    let title = format!("Three-way merge of two edits made apart, {PLOTTED}");
    let plot = Plot::of_times("merge", title, SERIES, panels);
    Ok(Figures { tables: vec![table], plots: vec![plot], ..Figures::default() })
}

fn measure(board: &Value, case: &Case) -> Result<[Duration; 3]> {
    let limits = Limits::default();
    let options = MergeOptions::default();
    let base = Json::parse(&board.to_string(), &limits)?;
    let edited = |patch: &Value| {
        let mut side = base.clone();
        apply(&mut side, &Patch::parse(&patch.to_string(), &limits)?, &limits)?;
        anyhow::Ok(side)
    };
    let (current, incoming) = (edited(&case.current)?, edited(&case.incoming)?);
    let merged = merge(&base, &current, &incoming, &options)?;
    ensure!(merged.conflicts.len() == case.conflicts, "{} conflicts", merged.conflicts.len());
    ensure!(
        merged.content != current && (merged.content == incoming) == (case.conflicts > 0),
        "an edit is lost"
    );
    let sharing = per_call(REPETITIONS, SLICE, || merge(&base, &current, &incoming, &options));
    let again = |side: &Json| Json::parse(&side.to_string(), &limits);
    let (base, current, incoming) = (again(&base)?, again(&current)?, again(&incoming)?);
    let apart = per_call(REPETITIONS, SLICE, || merge(&base, &current, &incoming, &options));
    let value = |side: &Json| serde_json::from_str::<Value>(&side.to_string());
    let (base, current, incoming) = (value(&base)?, value(&current)?, value(&incoming)?);
    let peer = per_call(REPETITIONS, SLICE, || {
        let mut merged = current.clone();
        let applied = json_patch::patch(&mut merged, &json_patch::diff(&base, &incoming));
        applied.map(|()| merged)
    });
    Ok([sharing.median(), apart.median(), peer.median()])
}
