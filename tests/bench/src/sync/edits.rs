//! One edit on its way: bytes to and from, time until somebody else sees it.

use std::time::Instant;

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions, Document, Event, Json};
use tokio::sync::broadcast::error::RecvError;

use super::sample;
use super::wire::{Passed, Wire};
use crate::measure::{Samples, duration};
use crate::process::{Kept, Process};
use crate::table::Table;

/// Edits whose bytes are counted.
const COUNTED: usize = 51;

/// Edits that are timed, after some that are not.
const TIMED: usize = 500;
const WARM: usize = 50;

type MakeEdit = fn(usize) -> (String, Json);

pub(super) async fn run() -> Result<Table> {
    let mut table = Table::new(
        "One edit, from one client to another",
        [
            "case",
            "bytes to a peer",
            "bytes from the author",
            "bytes to the author",
            "row in the store",
            "seen by a peer, p50",
            "p99",
        ],
    );
    table.row(measure("one field of 100 KB", sample::records()?, one_field).await?);
    table.row(measure("one keystroke in a string of 50 KB", sample::text()?, keystroke).await?);
    Ok(table)
}

fn one_field(number: usize) -> (String, Json) {
    (format!("/records/{}/title", number * 7 % sample::RECORDS), format!("Title {number}").as_str().into())
}

/// The whole text with one letter more, at a place that moves.
fn keystroke(number: usize) -> (String, Json) {
    let mut text = sample::text()
        .ok()
        .and_then(|json| json.get("text")?.as_str().map(str::to_owned))
        .unwrap_or_default();
    let typed: String = ('a'..='z').cycle().take(number + 1).collect();
    text.insert_str(text.len() / 2, &typed);
    ("/text".to_owned(), text.as_str().into())
}

async fn measure(name: &str, content: Json, edit: MakeEdit) -> Result<Vec<String>> {
    let (bytes, row) = count(content.clone(), edit).await?;
    let times = time(content, edit).await?;
    Ok(vec![
        name.to_owned(),
        bytes.peer.down.to_string(),
        bytes.author.up.to_string(),
        bytes.author.down.to_string(),
        format!("{row} B"),
        duration(times.median()),
        duration(times.percentile(99)),
    ])
}

struct Bytes {
    author: Passed,
    peer: Passed,
}

/// Two clients that hold a document, and the last of them sees what the first does.
struct Pair {
    author: Document,
    peer: Document,
    peers: Client,
}

impl Pair {
    async fn new(author: String, peer: String, content: Json) -> Result<Self> {
        let author = Client::start(ClientOptions::new(author))?.open("d").await?;
        author.create(content).await?;
        author.acknowledged().await?;
        let peers = Client::start(ClientOptions::new(peer))?;
        let peer = peers.open("d").await?;
        peer.synced().await?;
        author.synced().await?;
        Ok(Self { author, peer, peers })
    }
}

/// The median of what edits take, each alone on its way.
async fn count(content: Json, edit: MakeEdit) -> Result<(Bytes, i64)> {
    let server = Process::rejoin(Kept::OnDisk)?;
    let (up, down) = (Wire::to(server.address).await?, Wire::to(server.address).await?);
    let pair = Pair::new(up.url(), down.url(), content).await?;
    let before = server.stored_changes()?;
    let mut counted = Vec::new();
    for number in 0..COUNTED {
        let earlier = (up.passed(), down.passed());
        let (pointer, value) = edit(number);
        pair.author.replace(&pointer, value.clone()).await?;
        let wanted = pointer.clone();
        pair.peer.until(move |content| at(content, &wanted) == Some(&value)).await?;
        pair.author.acknowledged().await?;
        counted.push((up.since(earlier.0), down.since(earlier.1)));
    }
    ensure!(pair.author.value().await? == pair.peer.value().await?, "both see the same");
    let after = server.stored_changes()?;
    ensure!(after.1 - before.1 == COUNTED as i64, "each edit is a row");
    let median = |of: &dyn Fn(&(Passed, Passed)) -> u64| {
        let mut all: Vec<u64> = counted.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let bytes = Bytes {
        author: Passed { up: median(&|passed| passed.0.up), down: median(&|passed| passed.0.down) },
        peer: Passed { up: median(&|passed| passed.1.up), down: median(&|passed| passed.1.down) },
    };
    Ok((bytes, (after.0 - before.0) / COUNTED as i64))
}

fn at<'a>(content: &'a Json, pointer: &str) -> Option<&'a Json> {
    content.pointer(&rejoin_client::PointerBuf::parse(pointer).ok()?)
}

/// From the call that edits until the peer's document has changed. The engine persists before it speaks: the edit is durable by then.
async fn time(content: Json, edit: MakeEdit) -> Result<Samples> {
    let server = Process::rejoin(Kept::OnDisk)?;
    let pair = Pair::new(server.url(), server.url(), content).await?;
    let mut events = pair.peers.events();
    let mut times = Vec::new();
    for number in 0..WARM + TIMED {
        let (pointer, value) = edit(number);
        let started = Instant::now();
        pair.author.replace(&pointer, value).await?;
        loop {
            match events.recv().await {
                Ok(Event::Changed { local: false, .. }) => break,
                Ok(_) => {}
                Err(error @ (RecvError::Closed | RecvError::Lagged(_))) => return Err(error.into()),
            }
        }
        times.push(started.elapsed());
        pair.author.acknowledged().await?;
    }
    ensure!(pair.author.value().await? == pair.peer.value().await?, "both see the same");
    Ok(Samples::new(times.split_off(WARM)))
}
