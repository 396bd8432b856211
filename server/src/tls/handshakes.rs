//! Handshakes: how a connection becomes secure, and how much those that do not may hold up.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::instruments;

/// Handshakes that are under way at a time, from the first byte of the client; further connections wait for their turn, within the same time.
/// Each takes some ten KiB.
pub const MAX_HANDSHAKES: usize = 1_024;

/// The handshakes of a server.
#[derive(Clone)]
pub(crate) struct Handshakes {
    acceptor: TlsAcceptor,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Handshakes {
    /// So many at a time, each within this time, its wait for a turn included.
    pub(crate) fn new(tls: &Tls, most: usize, patience: Duration) -> Self {
        Self { acceptor: tls.acceptor(), room: Arc::new(Semaphore::new(most)), patience }
    }

    /// Makes a connection secure. Where that fails the connection is closed.
    pub(crate) async fn secure(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let handshake = async {
            // Whoever says nothing takes nobody's turn.
            stream.peek(&mut [0]).await?;
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
    use tokio::net::TcpListener;

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

    #[tokio::test]
    async fn a_handshake_too_many_waits_for_its_turn() {
        let handshakes = Handshakes::new(&identity(), 2, NEVER);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let begin = async || {
            let (mut client, server) = connected(&listener, address).await;
            client.write_all(&BEGUN).await.unwrap();
            server.peek(&mut [0]).await.unwrap();
            let handshakes = handshakes.clone();
            let mut handshake = Box::pin(async move { handshakes.secure(server).await });
            assert!(timeout(Duration::ZERO, &mut handshake).await.is_err(), "it has begun and is not over");
            (client, handshake)
        };
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
    async fn who_says_nothing_holds_up_nobody() {
        let handshakes = Handshakes::new(&identity(), 1, NEVER);
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
        let handshakes = Handshakes::new(&identity(), 0, Duration::from_secs(10));
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
