//! Many links that do not read, beside some that do.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions};
use rejoin_wire::{Message, Scope};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::limits;
use crate::load::within;
use crate::plan::Plan;
use crate::process::{Process, Settings};
use crate::raw::{Closed, Raw};
use crate::report::{Report, mebibytes};
use crate::rest;

/// What the kernel takes for a reader that does not read, in bytes.
const RECEIVE_BYTES: u32 = 4 * 1_024;

/// Bytes that a replica hands to a link before that must say that it can take more (`LINK_HIGH_WATER_BYTES`): what a slow reader may cost.
const HIGH_WATER_BYTES: u64 = 256 * 1_024;

/// What a server may take beside what its links hold: documents, commits that are under way, room that the allocator keeps.
const OTHER_BYTES: u64 = 96 << 20;

/// Characters of each value. All of them are more than the kernel takes for a link besides, some 3 MiB, and what a link may hold.
const VALUE_CHARACTERS: usize = 160 * 1_024;

const REVISIONS: u64 = 40;

/// Those that read.
const GOOD: usize = 10;

/// Links that are opened at a time.
const AT_ONCE: usize = 50;

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let links = plan.pick(60, 1_000);
    ensure!(limits::open_files() > links + 200, "a process may not open {links} files: raise `ulimit -n`");
    let folder = TempDir::new()?;
    let server = Process::start(&Settings::in_folder(folder.path())).await?;
    let address = server.address();
    rest::json(address, "POST /api/documents", &json!({"id": "d", "content": {"text1": ""}})).await?;
    let mut good = Vec::new();
    for _ in 0..GOOD {
        let client = Client::start(ClientOptions::new(server.url()))?;
        let document = within("opening", client.open("d")).await??;
        within("the document", document.until(|_| true)).await??;
        good.push((client, document));
    }
    let mut slow = connect(&server, links).await?;
    let before = server.memory()?;
    let mut told = Vec::new();
    for revision in 2..=REVISIONS {
        let text = "x".repeat(VALUE_CHARACTERS);
        let key = format!("text{revision}");
        let edit = json!([
            {"op": "remove", "path": format!("/text{}", revision - 1)},
            {"op": "add", "path": format!("/{key}"), "value": text},
        ]);
        let since = Instant::now();
        rest::json(address, "PATCH /api/documents/d", &edit).await?;
        for (_, document) in &good {
            let key = key.clone();
            let shows = document.until(move |content| content.get(&key).is_some());
            within("a good reader", shows).await??;
        }
        told.push(since.elapsed());
    }
    let may = links as u64 * HIGH_WATER_BYTES + OTHER_BYTES;
    let grown = server.peak_memory()?.saturating_sub(before);
    ensure!(grown <= may, "{links} slow readers took {grown} bytes, and may take {may}");
    let mut report = Report::default();
    report.add("links that read nothing, beside 10 that do", links);
    report.add(
        "revisions, and the bytes that each link was to be told",
        format!("{}, {}", REVISIONS - 1, mebibytes((REVISIONS - 1) * VALUE_CHARACTERS as u64)),
    );
    report.add("memory of the server before", mebibytes(before));
    report.add("the most it grew by", format!("{} of {} allowed", mebibytes(grown), mebibytes(may)));
    report.add_times("from an edit until all good readers show it", &told);

    // Those that read again are caught up, or were given up before: a link of which nothing is heard for a minute is dead. Some revisions they
    // were never told one by one, or nobody was slow at all.
    let reading: Vec<_> = slow.drain(..links / 2).map(|link| tokio::spawn(catch_up(link))).collect();
    let all = reading.len();
    let (mut skipped, mut closed, mut open) = (0, 0, Vec::new());
    for reader in reading {
        match reader.await?? {
            Some((link, entries)) => {
                skipped += usize::from(entries < REVISIONS - 1);
                open.push(link);
            }
            None => closed += 1,
        }
    }
    ensure!(
        (skipped + closed) * 2 > all,
        "{skipped} of {all} readers were slow: others were told everything"
    );
    report.add("links that read again", all);
    report.add("of them caught up with less than every revision", skipped);
    report.add("of them closed before", closed);
    if !plan.is_short {
        let since = Instant::now();
        let gone = async {
            while rest::metric(address, "rejoin_links").await? > GOOD as f64 {
                sleep(Duration::from_secs(1)).await;
            }
            anyhow::Ok(())
        };
        within("the end of all links that read nothing", gone).await??;
        report.add("seconds until every link that reads nothing more was closed", since.elapsed().as_secs());
        report.add("memory of the server after that", mebibytes(server.memory()?));
    }
    ensure!(server.logged().is_empty(), "the server logged: {}", server.logged());
    drop((slow, open));
    Ok(report)
}

/// Opens links that follow the whole workspace.
async fn connect(server: &Process, links: usize) -> Result<Vec<Raw>> {
    let address = server.address();
    let mut open = Vec::with_capacity(links);
    while open.len() < links {
        let opening: Vec<_> = (0..AT_ONCE.min(links - open.len()))
            .map(|at| {
                let replica = (open.len() + at + 1) as u128;
                tokio::spawn(async move {
                    let mut link = Raw::open(address, replica, Some(RECEIVE_BYTES)).await?;
                    link.send(&Message::Follow { scope: Scope::Documents, cursor: None }).await?;
                    while !matches!(link.next().await?, Message::Position { .. }) {}
                    anyhow::Ok(link)
                })
            })
            .collect();
        for link in opening {
            open.push(link.await??);
        }
    }
    Ok(open)
}

/// Reads until the newest revision is there, and gives how many came one by one; nothing when the server has closed the link.
async fn catch_up(mut link: Raw) -> Result<Option<(Raw, u64)>> {
    let mut entries = 0;
    loop {
        match link.next().await {
            Ok(Message::Update(update)) => {
                entries += update.entries.len() as u64;
                if update.first.0 + update.entries.len() as u64 > REVISIONS {
                    return Ok(Some((link, entries)));
                }
            }
            Ok(Message::Snapshot(snapshot)) if snapshot.revision.0 == REVISIONS => {
                return Ok(Some((link, entries)));
            }
            Ok(_) => {}
            Err(error) if error.is::<Closed>() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
