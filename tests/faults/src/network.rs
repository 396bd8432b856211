//! A network between clients and a server, which can be cut, and counts who tries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::process::own_host;

pub(crate) struct Network {
    address: SocketAddr,
    is_up: watch::Sender<bool>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connected: AtomicU64,
    /// When somebody tried to connect.
    attempts: Mutex<Vec<Instant>>,
}

impl Counts {
    fn attempts(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// Lays lines to a server.
    pub(crate) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(format!("{}:0", own_host())).await?;
        let address = listener.local_addr()?;
        let (is_up, counts) = (watch::Sender::new(true), Arc::new(Counts::default()));
        let (watched, counted) = (is_up.subscribe(), Arc::clone(&counts));
        tokio::spawn(async move {
            loop {
                // Too many open files: those who are there will go.
                let Ok((client, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                counted.attempts().push(Instant::now());
                if *watched.borrow() {
                    tokio::spawn(carry(client, server, watched.clone(), Arc::clone(&counted)));
                }
            }
        });
        Ok(Self { address, is_up, counts })
    }

    pub(crate) fn url(&self) -> String {
        crate::load::url(self.address)
    }

    /// Cuts every connection at once. Whoever tries to connect is dropped, until the network is mended.
    pub(crate) fn cut(&self) {
        self.counts.attempts().clear();
        self.is_up.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_up.send_replace(true);
    }

    /// Connections that stand.
    pub(crate) fn connected(&self) -> u64 {
        self.counts.connected.load(Ordering::SeqCst)
    }

    /// When somebody tried to connect since the last cut.
    pub(crate) fn attempts(&self) -> Vec<Instant> {
        self.counts.attempts().clone()
    }
}

/// Carries bytes both ways until an end closes or the network is cut.
async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    mut is_up: watch::Receiver<bool>,
    counts: Arc<Counts>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    counts.connected.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = is_up.wait_for(|is_up| !is_up) => {}
    }
    counts.connected.fetch_sub(1, Ordering::SeqCst);
}
