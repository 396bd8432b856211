//! The whole engine: a real `rejoin serve` on SQLite, real sockets, native clients.

mod durable;
mod edits;
mod idle;
mod queue;
mod reconnect;
mod sample;
mod server;
mod wire;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::table::Table;

/// Runs everything, each on a server and a file of its own.
pub(crate) fn run() -> Result<Vec<Table>> {
    server::build()?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        Ok(vec![
            edits::run().await?,
            reconnect::run().await?,
            queue::run().await?,
            durable::run().await?,
            idle::run().await?,
        ])
    })
}
