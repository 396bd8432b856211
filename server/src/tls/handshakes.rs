//! Handshakes: how a connection becomes secure, and how much those that do not may hold up.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::instruments;
use crate::rates::network;

/// Handshakes that are under way at a time, from the first byte of the client; further connections wait for their turn, within the same time.
/// Each takes some ten KiB.
pub const MAX_HANDSHAKES: usize = 1_024;

/// Of these, handshakes that one address (of IPv6, one network of 64 bits) may have under way at a time; its further connections wait for their
/// turn, likewise. Who begins handshakes and does not end them holds up nobody elsewhere.
pub const MAX_ADDRESS_HANDSHAKES: usize = 64;

/// The handshakes of a server.
#[derive(Clone)]
pub(crate) struct Handshakes {
    acceptor: TlsAcceptor,
    room: Arc<Semaphore>,
    shares: Arc<Shares>,
    patience: Duration,
}

/// The turns of each address that has a connection without TLS yet.
struct Shares {
    most: usize,
    /// With the number of connections that hold them.
    turns: Mutex<BTreeMap<IpAddr, (Arc<Semaphore>, usize)>>,
}

/// One connection's hold on the turns of its address.
struct Share {
    shares: Arc<Shares>,
    address: IpAddr,
    turns: Arc<Semaphore>,
}

impl Share {
    fn of(shares: &Arc<Shares>, address: IpAddr) -> Self {
        let address = network(address);
        let mut all = shares.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let (turns, holders) =
            all.entry(address).or_insert_with(|| (Arc::new(Semaphore::new(shares.most)), 0));
        *holders += 1;
        Self { shares: Arc::clone(shares), address, turns: Arc::clone(turns) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, holders)) = all.get_mut(&self.address) {
            *holders -= 1;
            if *holders == 0 {
                all.remove(&self.address);
            }
        }
    }
}

impl Handshakes {
    /// So many at a time, and so many of one address, each within this time, its wait for a turn included.
    pub(crate) fn new(tls: &Tls, most: usize, most_of_one: usize, patience: Duration) -> Self {
        let shares = Arc::new(Shares { most: most_of_one, turns: Mutex::default() });
        Self { acceptor: tls.acceptor(), room: Arc::new(Semaphore::new(most)), shares, patience }
    }

    /// Makes a connection secure. Where that fails the connection is closed.
    pub(crate) async fn secure(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let handshake = async {
            // Whoever says nothing takes nobody's turn.
            stream.peek(&mut [0]).await?;
            let share = Share::of(&self.shares, stream.peer_addr()?.ip());
            // First that of its address: who waits for it takes no turn of others.
            let _own = share.turns.acquire().await.map_err(|_| ErrorKind::BrokenPipe)?;
            let _turn = self.room.acquire().await.map_err(|_| ErrorKind::BrokenPipe)?;
            self.acceptor.accept(stream).await
        };
        let secured =
            timeout(self.patience, handshake).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        if secured.is_err() {
            metrics::counter!(instruments::HANDSHAKES_FAILED).increment(1);
        }
        secured
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::tls::TlsFiles;

    /// How a handshake begins: a record of one, and that it is TLS.
    const BEGUN: [u8; 3] = [22, 3, 1];

    const NEVER: Duration = Duration::from_secs(3_600);

    fn identity() -> Tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files =
            TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        Tls::load(files).unwrap()
    }

    /// Both ends of a connection.
    async fn connected(listener: &TcpListener, to: SocketAddr) -> (TcpStream, TcpStream) {
        let (client, server) = tokio::join!(TcpStream::connect(to), listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    /// A handshake that has begun on a connection and is not over.
    async fn begun(
        handshakes: &Handshakes,
        (mut client, server): (TcpStream, TcpStream),
    ) -> (TcpStream, impl Future<Output = std::io::Result<TlsStream<TcpStream>>> + Unpin) {
        client.write_all(&BEGUN).await.unwrap();
        server.peek(&mut [0]).await.unwrap();
        let handshakes = handshakes.clone();
        let mut handshake = Box::pin(async move { handshakes.secure(server).await });
        assert!(timeout(Duration::ZERO, &mut handshake).await.is_err(), "it has begun and is not over");
        (client, handshake)
    }

    #[tokio::test]
    async fn a_handshake_too_many_waits_for_its_turn() {
        let handshakes = Handshakes::new(&identity(), 2, 9, NEVER);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let begin = async || begun(&handshakes, connected(&listener, address).await).await;
        let (first, second) = (begin().await, begin().await);
        assert_eq!(handshakes.room.available_permits(), 0, "just full");
        let third = begin().await;
        let (client, handshake) = first;
        drop(client);
        assert!(handshake.await.is_err(), "its peer is gone");
        assert_eq!(handshakes.room.available_permits(), 0, "the third has its turn");
        drop((second, third));
        assert_eq!(handshakes.room.available_permits(), 2);
    }

    #[tokio::test]
    async fn an_address_that_does_not_end_its_handshakes_holds_up_no_other() {
        let handshakes = Handshakes::new(&identity(), 9, 2, NEVER);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let begin = async |from: [u8; 4]| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            let (client, server) = tokio::join!(socket.connect(address), listener.accept());
            begun(&handshakes, (client.unwrap(), server.unwrap().0)).await
        };
        let under_way = || 9 - handshakes.room.available_permits();
        let stalled = [begin([127, 0, 0, 2]).await, begin([127, 0, 0, 2]).await];
        assert_eq!(under_way(), 2, "just full");
        let third = begin([127, 0, 0, 2]).await;
        assert_eq!(under_way(), 2, "it waits");
        let other = begin([127, 0, 0, 3]).await;
        assert_eq!(under_way(), 3, "another address has turns of its own");
        let [(client, handshake), second] = stalled;
        drop(client);
        assert!(handshake.await.is_err(), "its peer is gone");
        let (third, mut handshake) = third;
        assert!(timeout(Duration::ZERO, &mut handshake).await.is_err());
        assert_eq!(under_way(), 3, "the third has its turn");
        drop((second, third, handshake, other));
        assert_eq!(under_way(), 0);
        assert!(handshakes.shares.turns.lock().unwrap().is_empty(), "addresses are forgotten");
    }

    #[tokio::test]
    async fn who_says_nothing_holds_up_nobody() {
        let handshakes = Handshakes::new(&identity(), 1, 9, NEVER);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut silent = Vec::new();
        for _ in 0..100 {
            let (client, server) = connected(&listener, address).await;
            let handshakes = handshakes.clone();
            let mut handshake = Box::pin(async move { handshakes.secure(server).await });
            assert!(timeout(Duration::ZERO, &mut handshake).await.is_err());
            silent.push((client, handshake));
        }
        assert_eq!(handshakes.room.available_permits(), 1);
        let (mut client, server) = connected(&listener, address).await;
        client.write_all(b"no hello").await.unwrap();
        let answered = timeout(Duration::from_secs(60), handshakes.secure(server)).await;
        assert!(answered.expect("its turn comes at once").is_err(), "that was no handshake");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_has_no_more_time_than_who_has_one() {
        let handshakes = Handshakes::new(&identity(), 0, 9, Duration::from_secs(10));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut client, server) = connected(&listener, listener.local_addr().unwrap()).await;
        client.write_all(&BEGUN).await.unwrap();
        server.peek(&mut [0]).await.unwrap();
        let began = tokio::time::Instant::now();
        let refused = handshakes.secure(server).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }
}
