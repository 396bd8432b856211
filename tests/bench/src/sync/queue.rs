//! A long offline queue.

use std::time::Instant;

use anyhow::{Result, ensure};
use rejoin_client::{Client, ClientOptions, Operation, Patch, PointerBuf};

use super::sample;
use crate::measure::{Samples, duration};
use crate::plot::Plot;
use crate::process::{Kept, Process};
use crate::table::Table;

const EDITS: usize = 10_000;
const REPETITIONS: usize = 3;

pub(super) async fn run() -> Result<(Table, Plot)> {
    let title = format!("{EDITS} edits of a document of 100 KB, made offline");
    let mut table = Table::new(
        title.clone(),
        ["the client's store", "made and saved", "connected until all acknowledged", "slowest"],
    );
    let (mut made, mut sent) = (Vec::new(), Vec::new());
    let stores = [("memory", false), ("SQLite", true)];
    for (name, on_disk) in stores {
        let (mut making, mut sending) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let (made, sent) = measure(on_disk).await?;
            making.push(made);
            sending.push(sent);
        }
        let (making, sending) = (Samples::new(making), Samples::new(sending));
        made.push(Some(making.median()));
        sent.push(Some(sending.median()));
        table.row([
            name.to_owned(),
            duration(making.median()),
            duration(sending.median()),
            duration(sending.percentile(100)),
        ]);
    }
    let panels = [("made and saved".to_owned(), made), ("connected until all acknowledged".to_owned(), sent)];
    Ok((table, Plot::of_times("offline", title, stores.map(|(name, _)| name), panels)))
}

async fn measure(on_disk: bool) -> Result<(std::time::Duration, std::time::Duration)> {
    let server = Process::rejoin(Kept::OnDisk)?;
    let options = ClientOptions::new(server.url());
    let options = if on_disk { options.sqlite(server.folder().join("client.db")) } else { options };
    let client = Client::start(options)?;
    let document = client.open("d").await?;
    document.create(sample::records()?).await?;
    document.acknowledged().await?;
    client.go_offline().await?;
    let started = Instant::now();
    for number in 0..EDITS {
        document.edit(edit(number)?).await?;
    }
    document.saved().await?;
    let made = started.elapsed();
    let started = Instant::now();
    client.go_online().await?;
    document.acknowledged().await?;
    let sent = started.elapsed();
    let other = Client::start(ClientOptions::new(server.url()))?.open("d").await?;
    other.synced().await?;
    let view = other.view().await?;
    ensure!(view.content == document.value().await?, "what was acknowledged is there");
    ensure!(view.revision.0 == EDITS as u64 + 1, "each edit is a revision");
    Ok((made, sent))
}

fn edit(number: usize) -> Result<Patch> {
    let (pointer, value) = match number % 3 {
        0 => ("title", format!("Title {number}").as_str().into()),
        1 => ("done", true.into()),
        _ => ("note", format!("What was noted in edit {number}").as_str().into()),
    };
    let path = PointerBuf::parse(format!("/records/{}/{pointer}", number * 7 % sample::RECORDS))?;
    Ok(Patch(vec![Operation::Replace { path, value }]))
}
