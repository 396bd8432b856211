//! Links on which nothing happens.

use anyhow::{Context, Result, ensure};
use rejoin_wire::{DocumentId, Have, Message, OpenDocument};
use serde_json::json;
use tempfile::TempDir;

use crate::limits;
use crate::plan::Plan;
use crate::process::{Process, Settings};
use crate::raw::Raw;
use crate::report::{Report, mebibytes};
use crate::rest;

/// Links that are there before, so that what the first ones cost is not counted.
const WARM: usize = 100;

/// Links that are opened at a time.
const AT_ONCE: usize = 50;

/// Files that a process has open beside its links.
const OTHER_FILES: usize = 200;

/// What a link may take, in bytes, where the documentation says about 10 KiB.
const MOST_BYTES: u64 = 16 * 1024;

pub(super) async fn run(plan: Plan) -> Result<Report> {
    let wanted = plan.pick(1_000, 10_000);
    let possible = limits::open_files().saturating_sub(WARM + OTHER_FILES);
    let links = wanted.min(possible);
    ensure!(links >= 100, "a process may open {possible} files only: raise `ulimit -n`");
    let folder = TempDir::new()?;
    let server = Process::start(&Settings::in_folder(folder.path())).await?;
    let document = json!({"id": "d", "content": {"n": 0}});
    rest::json(server.address(), "POST /api/documents", &document).await?;
    let mut open = connect(&server, 0, WARM).await?;
    let before = server.memory()?;
    open.extend(connect(&server, WARM, links).await?);
    let after = server.memory()?;
    let counted = rest::metric(server.address(), "rejoin_links").await?;
    ensure!(counted >= open.len() as f64, "the server counts {counted} of {} links", open.len());
    // They stand, all of them: each is told of an edit.
    let edit = json!([{"op": "replace", "path": "/n", "value": 1}]);
    rest::json(server.address(), "PATCH /api/documents/d", &edit).await?;
    for (at, link) in open.iter_mut().enumerate() {
        while !matches!(link.next().await.with_context(|| format!("at link {at}"))?, Message::Update(_)) {}
    }
    let told = server.memory()?;
    let each = after.saturating_sub(before) / links as u64;
    ensure!(each <= MOST_BYTES, "an idle link takes {each} bytes");
    let mut report = Report::default();
    report.add(
        "idle links, subscribed to one document",
        if links == wanted { links.to_string() } else { format!("{links}: `ulimit -n` allows no more") },
    );
    report.add("memory of the server, a link", format!("{:.1} KiB", each as f64 / 1_024.0));
    report.add("memory of the server, in all", mebibytes(after));
    report.add("links that were told of an edit then", open.len());
    report.add("memory of the server after that", mebibytes(told));
    Ok(report)
}

/// Opens links, and a document on each.
async fn connect(server: &Process, from: usize, links: usize) -> Result<Vec<Raw>> {
    let address = server.address();
    let mut open = Vec::with_capacity(links);
    while open.len() < links {
        let opening: Vec<_> = (0..AT_ONCE.min(links - open.len()))
            .map(|at| {
                let replica = (from + open.len() + at + 1) as u128;
                tokio::spawn(async move {
                    let mut link = Raw::open(address, replica, None).await?;
                    let document = OpenDocument {
                        document: DocumentId::new("d")?,
                        have: Have::default(),
                        pending: Vec::new(),
                    };
                    link.send(&Message::Open { documents: vec![document] }).await?;
                    while !matches!(link.next().await?, Message::Snapshot(_) | Message::Update(_)) {}
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
