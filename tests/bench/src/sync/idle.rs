//! Links on which nothing happens.

use anyhow::Result;
use rejoin_client::{Client, ClientOptions};

use super::sample;
use super::server::Server;
use crate::table::Table;

/// Links that are there before, so that what the first ones cost is not counted.
const WARM: usize = 200;
const LINKS: usize = 2_000;
/// Links that are opened at a time.
const AT_ONCE: usize = 50;

pub(super) async fn run() -> Result<Table> {
    let server = Server::start()?;
    let writer = Client::start(ClientOptions::new(server.url()))?.open("d").await?;
    writer.create(sample::note(1)?).await?;
    writer.acknowledged().await?;
    let mut clients = connect(&server, WARM).await?;
    let before = server.resident_bytes()?;
    clients.extend(connect(&server, LINKS).await?);
    let after = server.resident_bytes()?;
    let mut table = Table::new("Idle links", ["case", "links", "memory of the server, a link"]);
    let each = after.saturating_sub(before) as f64 / LINKS as f64 / 1024.0;
    table.row(["subscribed to one document".to_owned(), LINKS.to_string(), format!("{each:.1} KiB")]);
    Ok(table)
}

async fn connect(server: &Server, links: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    while clients.len() < links {
        let opening: Vec<_> = (0..AT_ONCE.min(links - clients.len()))
            .map(|_| {
                let url = server.url();
                tokio::spawn(async move {
                    let client = Client::start(ClientOptions::new(url))?;
                    client.open("d").await?.synced().await?;
                    anyhow::Ok(client)
                })
            })
            .collect();
        for each in opening {
            clients.push(each.await??);
        }
    }
    Ok(clients)
}
