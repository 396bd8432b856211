//! A wire that counts: a proxy between a client and its server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Counts what passes: the payload of TCP, so that headers of frames count and those of segments do not.
pub(super) struct Wire {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

/// Bytes that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// From the client.
    pub(super) up: u64,
    /// To the client.
    pub(super) down: u64,
}

impl Wire {
    /// Lays a wire to a server.
    pub(super) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, counts })
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub(super) fn passed(&self) -> Passed {
        Passed { up: self.counts.up.load(Ordering::SeqCst), down: self.counts.down.load(Ordering::SeqCst) }
    }

    /// What passed since an earlier moment.
    pub(super) fn since(&self, earlier: Passed) -> Passed {
        let now = self.passed();
        Passed { up: now.up - earlier.up, down: now.down - earlier.down }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, counts: Arc<Counts>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::join!(
        copy(client_reads, server_writes, &counts.up),
        copy(server_reads, client_writes, &counts.down)
    );
}

/// Counts before it writes, so that whoever has received something finds it counted.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(read as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown().await;
}
