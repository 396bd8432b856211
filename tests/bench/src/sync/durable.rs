//! Acknowledgements that mean durable, beside what SQLite does at best.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions, Document, Operation, Patch, PointerBuf};
use rusqlite::{Connection, params};

use super::sample;
use super::server::Server;
use crate::measure::Samples;
use crate::table::Table;

/// Clients, each with a document of its own.
const CLIENTS: usize = 50;
/// Edits of one client in one run, and how many it makes before it looks whether earlier ones are acknowledged.
const EDITS: u32 = 4_096;
const BURST: u32 = 64;
/// Edits of one client that wait for their acknowledgement.
const PIPELINE: usize = 512;
const REPETITIONS: usize = 3;
/// Time for which SQLite is measured alone.
const BARE: Duration = Duration::from_millis(500);

pub(super) async fn run() -> Result<Table> {
    let mut table = Table::new(
        "Durable acknowledgements, SQLite with synchronous=FULL",
        ["case", "per second", "of hundred-row commits", "of single commits"],
    );
    let (mut single, mut hundred, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    let mut change = 0;
    for _ in 0..REPETITIONS {
        let server = Server::start()?;
        let (time, bytes) = acknowledge(&server).await?;
        change = bytes;
        ours.push(time);
        let folder = server.folder().to_owned();
        let (one, many) = tokio::task::spawn_blocking(move || {
            anyhow::Ok((bare(&folder, 1, change)?, bare(&folder, 100, change)?))
        })
        .await??;
        single.push(one);
        hundred.push(many);
    }
    let per_second = |times: Vec<Duration>| 1.0 / Samples::new(times).median().as_secs_f64();
    let (single, hundred, ours) = (per_second(single), per_second(hundred), per_second(ours));
    let row = |name: String, figure: f64| {
        [name, format!("{figure:.0}"), format!("{:.2}", figure / hundred), format!("{:.2}", figure / single)]
    };
    table.row(row(format!("rejoin, {CLIENTS} clients that pipeline"), ours));
    table.row(row(format!("bare SQLite, a row of {change} B a commit"), single));
    table.row(row(format!("bare SQLite, 100 rows of {change} B a commit"), hundred));
    Ok(table)
}

/// The time that one acknowledgement takes, and the bytes of one change in the store.
async fn acknowledge(server: &Server) -> Result<(Duration, usize)> {
    let mut documents = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::start(ClientOptions::new(server.url()))?;
        let document = client.open(&format!("count-{number}")).await?;
        document.create(sample::count()?).await?;
        document.acknowledged().await?;
        documents.push((client, document));
    }
    let started = Instant::now();
    let working: Vec<_> = documents
        .iter()
        .map(|(client, document)| tokio::spawn(work(client.clone(), document.clone())))
        .collect();
    for each in working {
        each.await??;
    }
    let elapsed = started.elapsed();
    let reader = Client::start(ClientOptions::new(server.url()))?;
    for (_, document) in &documents {
        let stored = reader.open(document.id().as_str()).await?;
        stored.synced().await?;
        let view = stored.view().await?;
        ensure!(view.content.get("count").and_then(rejoin_json::Json::as_i64) == Some(i64::from(EDITS)));
        ensure!(view.revision.0 == u64::from(EDITS) + 1, "each edit is a revision");
    }
    let edits = u32::try_from(CLIENTS)? * EDITS;
    let (bytes, _) = server.stored_changes()?;
    Ok((elapsed / edits, usize::try_from(bytes / i64::from(edits))?))
}

async fn work(client: Client, document: Document) -> Result<()> {
    let id = document.id().clone();
    let path = PointerBuf::parse("/count")?;
    for burst in 0..EDITS / BURST {
        let (edited, path) = (id.clone(), path.clone());
        client
            .with(move |replica| {
                (1..=BURST).try_for_each(|number| {
                    let value = (burst * BURST + number).into();
                    let patch = Patch(vec![Operation::Replace { path: path.clone(), value }]);
                    replica.edit(&edited, patch).map(drop)
                })
            })
            .await??;
        client.until(|replica| (replica.sync_status().pending < PIPELINE).then_some(())).await?;
    }
    document.acknowledged().await?;
    Ok(())
}

/// The time that a row takes which is committed with so many others, as nothing but SQLite would do it.
fn bare(folder: &Path, rows: usize, bytes: usize) -> Result<Duration> {
    let mut connection = Connection::open(folder.join(format!("bare-{rows}.db")))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, body BLOB NOT NULL)", [])?;
    let body = vec![7_u8; bytes];
    let started = Instant::now();
    let mut number = 0_u32;
    while started.elapsed() < BARE {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO row (number, body) VALUES (?1, ?2)")?;
            for _ in 0..rows {
                insert.execute(params![number, body])?;
                number += 1;
            }
        }
        transaction.commit()?;
    }
    Ok(started.elapsed() / number)
}
