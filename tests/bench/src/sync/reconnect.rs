//! A follower that comes back to a workspace of which little has changed.

use std::time::Instant;

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions, Event, Scope};

use super::sample;
use super::wire::{Passed, Wire};
use crate::measure::{Samples, duration};
use crate::process::{Kept, Process};
use crate::table::Table;

const DOCUMENTS: usize = 10_000;
const CHANGED: usize = 10;
const REPETITIONS: usize = 5;

pub(super) async fn run() -> Result<Table> {
    let server = Process::rejoin(Kept::OnDisk)?;
    let writer = Client::start(ClientOptions::new(server.url()))?;
    for number in 0..DOCUMENTS {
        let document = writer.open(&name(number)).await?;
        document.create(sample::note(number)?).await?;
        document.close().await?;
    }
    writer.settled().await?;
    let wire = Wire::to(server.address).await?;
    let options = ClientOptions::new(wire.url()).sqlite(server.folder().join("follower.db"));
    let follower = Client::start(options.follow(Scope::Documents).offline())?;
    let mut table = Table::new(
        format!("A follower of {DOCUMENTS} documents connects"),
        ["case", "bytes from it", "bytes to it", "until caught up"],
    );
    let (bytes, time) = connect(&follower, &wire).await?;
    table.row(row("for the first time", bytes, &Samples::new(vec![time])));
    for changed in [0, CHANGED] {
        let (mut times, mut passed) = (Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            follower.go_offline().await?;
            let edited: Vec<usize> = (0..changed).map(|each| each * 991 + repetition).collect();
            let text = format!("changed in round {repetition}");
            for number in &edited {
                let document = writer.open(&name(*number)).await?;
                document.synced().await?;
                document.replace("/title", text.as_str()).await?;
                document.acknowledged().await?;
                document.close().await?;
            }
            let (bytes, time) = connect(&follower, &wire).await?;
            times.push(time);
            passed.push((bytes.up + bytes.down, bytes));
            follower.go_offline().await?;
            for number in edited {
                let document = follower.open(&name(number)).await?;
                ensure!(
                    document.value().await?.get("title").and_then(|title| title.as_str())
                        == Some(text.as_str())
                );
                document.close().await?;
            }
        }
        passed.sort_unstable_by_key(|(total, _)| *total);
        table.row(row(
            &format!("again, {changed} changed"),
            passed[passed.len() / 2].1,
            &Samples::new(times),
        ));
    }
    Ok(table)
}

fn name(number: usize) -> String {
    format!("note-{number}")
}

fn row(name: &str, bytes: Passed, times: &Samples) -> [String; 4] {
    [name.to_owned(), bytes.up.to_string(), bytes.down.to_string(), duration(times.median())]
}

/// Connects and waits until everything is there; the WebSocket's opening counts.
async fn connect(follower: &Client, wire: &Wire) -> Result<(Passed, std::time::Duration)> {
    let mut events = follower.events();
    let earlier = wire.passed();
    let started = Instant::now();
    follower.go_online().await?;
    loop {
        match events.recv().await {
            Ok(Event::CaughtUp { .. }) => break,
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let time = started.elapsed();
    Ok((wire.since(earlier), time))
}
