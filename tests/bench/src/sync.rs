//! The whole engine: a real `rejoin serve` on SQLite, real sockets, native clients.

mod durable;
mod edits;
mod queue;
mod reconnect;
mod sample;
mod wire;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::cores;
use crate::family::Figures;

/// Runs everything, each on a server and a file of its own.
pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let (edits, reconnect) = (edits::run().await?, reconnect::run().await?);
        let (queue, queue_plot) = queue::run().await?;
        let (durable, durable_plot) = durable::run().await?;
        let tables = vec![edits, reconnect, queue, durable];
        Ok(Figures { tables, plots: vec![queue_plot, durable_plot], ..Figures::default() })
    })
}
