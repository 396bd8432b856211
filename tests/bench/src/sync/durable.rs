//! Acknowledgements that mean durable, beside what SQLite does at best.

mod bare;
mod load;
mod socket;

use std::time::Duration;

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions};
use rejoin_json::Json;

use self::bare::Rows;
use self::load::{Load, Shape};
use crate::measure::{Samples, duration};
use crate::plot::{Kind, Panel, Plot};
use crate::process::{Kept, Process};
use crate::table::Table;

/// What the clients do. The first is what is held against SQLite: hundred changes for a push as hundred rows for a commit.
const SHAPES: [Shape; 3] = [
    Shape { clients: 50, documents: 4, changes: 100, pushes: 20 },
    Shape { clients: 50, documents: 4, changes: 10, pushes: 50 },
    Shape { clients: 50, documents: 4, changes: 1, pushes: 100 },
];
const REPETITIONS: usize = 3;
const TITLE: &str = "Durable acknowledgements, SQLite with synchronous=FULL";

/// Each time the mean of a run.
#[derive(Default)]
struct Runs {
    /// Until a change is acknowledged.
    each: Vec<Duration>,
    /// That the server's process takes for a change.
    server: Vec<Duration>,
}

pub(super) async fn run() -> Result<(Table, Plot)> {
    let mut table = Table::new(
        TITLE,
        ["case", "per second", "of hundred-row commits", "of single commits", "server's processor time each"],
    );
    let mut ours: [Runs; SHAPES.len()] = std::array::from_fn(|_| Runs::default());
    let cases = [(Rows::Plain, 1), (Rows::Plain, 100), (Rows::Ours, 1), (Rows::Ours, 100)];
    let mut bare = cases.map(|_| Vec::new());
    let mut bytes = 0;
    for _ in 0..REPETITIONS {
        for (shape, runs) in SHAPES.iter().zip(&mut ours) {
            let server = Process::rejoin(Kept::OnDisk)?;
            let (each, processor) = acknowledge(&server, *shape).await?;
            runs.each.push(each);
            runs.server.push(processor);
            if shape.changes == SHAPES[0].changes {
                bytes = bytes_of_change(&server, *shape)?;
            }
        }
        for ((rows, at_once), times) in cases.iter().copied().zip(&mut bare) {
            times.push(tokio::task::spawn_blocking(move || bare::commit(rows, at_once, bytes)).await??);
        }
    }
    let median = |times: Vec<Duration>| Samples::new(times).median();
    let rate = |each: Duration| 1.0 / each.as_secs_f64();
    let bare = bare.map(|times| rate(median(times)));
    let [single, hundred, ..] = bare;
    let row = |name: String, figure: f64, processor: String| {
        [
            name,
            format!("{figure:.0}"),
            format!("{:.2}", figure / hundred),
            format!("{:.2}", figure / single),
            processor,
        ]
    };
    let (mut series, mut bars) = (Vec::new(), Vec::new());
    let mut bar = |name: String, figure: f64| {
        series.push(name);
        bars.push(Some((figure, format!("{figure:.0}"))));
    };
    for (Shape { clients, documents, changes, .. }, runs) in SHAPES.into_iter().zip(ours) {
        let name = format!("rejoin, {clients} clients × {documents} documents, {changes} a push");
        let figure = rate(median(runs.each));
        bar(format!("rejoin, {changes} a push"), figure);
        table.row(row(name, figure, duration(median(runs.server))));
    }
    for ((rows, at_once), figure) in cases.into_iter().zip(bare) {
        let name = format!("bare SQLite, {} of {bytes} B, {at_once} a commit", rows.name());
        bar(format!("{}, {at_once} a commit", rows.name()), figure);
        table.row(row(name, figure, String::new()));
    }
    let panels = vec![Panel { title: "a second".into(), kind: Kind::Bars(bars) }];
    Ok((table, Plot { name: "durable", title: TITLE.into(), series, panels }))
}

/// The time that one acknowledgement takes, and the processor's time that the server spends on it.
async fn acknowledge(server: &Process, shape: Shape) -> Result<(Duration, Duration)> {
    let load = Load::prepare(server.address, shape).await?;
    let before = server.processor_time()?;
    let elapsed = load.run(shape).await?;
    let processor = server.processor_time()?.saturating_sub(before);
    let edits = u32::try_from(shape.edits())?;
    check(server, shape).await?;
    Ok((elapsed / edits, processor / edits))
}

/// Asks the server for every document: each edit is a revision, and the last one stands.
async fn check(server: &Process, shape: Shape) -> Result<()> {
    let reader = Client::start(ClientOptions::new(server.url()))?;
    let edits = shape.edits_of_document();
    for name in shape.names() {
        let stored = reader.open(&name).await?;
        stored.synced().await?;
        let view = stored.view().await?;
        ensure!(view.content.get("count").and_then(Json::as_i64) == Some(i64::try_from(edits)?));
        ensure!(view.revision.0 == edits as u64 + 1, "each edit is a revision");
    }
    Ok(())
}

/// What a change takes in the store.
fn bytes_of_change(server: &Process, shape: Shape) -> Result<usize> {
    let (bytes, _) = server.stored_changes()?;
    Ok(usize::try_from(bytes)? / shape.edits())
}
