//! Rejoin's server as `rejoin serve` runs it, over a store that keeps nothing: what storing costs is the difference.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::future::pending;
use std::io::Write;
use std::sync::Arc;

use rejoin_server::{Patience, Server, ServerOptions, router, serve};
use rejoin_store::{SharedMemoryStore, Store};
use tokio::net::TcpListener;

/// As the `rejoin` command does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let store: Arc<dyn Store> = Arc::new(SharedMemoryStore::default());
        let server = Server::over_store(&store, ServerOptions::new(""));
        serve(listener, router(&server), &server, Patience::default(), pending()).await;
        Ok(())
    })
}
