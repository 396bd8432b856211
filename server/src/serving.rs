//! Serving a router on a listener, with bounds on what a connection may hold up.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::router::Server;
use crate::tls::{Handshakes, MAX_ADDRESS_HANDSHAKES, MAX_HANDSHAKES, Tls};

/// Time that the head of a request may take to arrive, from the start of its connection or the answer before.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Time that a TLS handshake may take, from the start of its connection.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Time that links and requests have to finish when the server is told to stop.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Time that the database has to close after that.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before the next connection is accepted when the system has no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a TLS handshake; then the connection is closed. [`HANDSHAKE_PATIENCE`] by default.
    pub handshake: Duration,
    /// For the head of a request; then the connection is closed. [`HEAD_PATIENCE`] by default.
    pub head: Duration,
    /// For everything that is under way when the server is told to stop; then it is cut off. [`STOP_PATIENCE`] by default.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { handshake: HANDSHAKE_PATIENCE, head: HEAD_PATIENCE, stop: STOP_PATIENCE }
    }
}

/// Serves an application that the [`router`](crate::router) is mounted in, or the router itself, until it is asked to stop.
///
/// Then no connection is accepted any more, sockets are told to move, further REST requests are refused with 503, and what is under way
/// has [`Patience::stop`] to finish. The database is closed last.
pub async fn serve(
    listener: TcpListener,
    application: Router,
    server: &Server,
    patience: Patience,
    asked_to_stop: impl Future<Output = ()>,
) {
    serve_on(listener, None, application, server, patience, asked_to_stop).await;
}

/// Does as [`serve`] through TLS. At most [`MAX_HANDSHAKES`] handshakes are under way at a time, [`MAX_ADDRESS_HANDSHAKES`] of them of one
/// address, each for at most [`Patience::handshake`].
pub async fn serve_tls(
    listener: TcpListener,
    tls: &Tls,
    application: Router,
    server: &Server,
    patience: Patience,
    asked_to_stop: impl Future<Output = ()>,
) {
    let handshakes = Handshakes::new(tls, MAX_HANDSHAKES, MAX_ADDRESS_HANDSHAKES, patience.handshake);
    serve_on(listener, Some(handshakes), application, server, patience, asked_to_stop).await;
}

async fn serve_on(
    listener: TcpListener,
    handshakes: Option<Handshakes>,
    application: Router,
    server: &Server,
    patience: Patience,
    asked_to_stop: impl Future<Output = ()>,
) {
    let mut asked_to_stop = pin!(asked_to_stop);
    let mut connections = JoinSet::new();
    let (stop, stopping) = watch::channel(false);
    loop {
        tokio::select! {
            () = &mut asked_to_stop => break,
            accepted = accept(&listener) => {
                let Some((stream, peer)) = accepted else { continue };
                let answering = Answering {
                    peer,
                    application: application.clone(),
                    head_patience: patience.head,
                    stopping: stopping.clone(),
                };
                match handshakes.clone() {
                    None => connections.spawn(answering.converse(stream)),
                    Some(handshakes) => connections.spawn(answering.converse_securely(stream, handshakes)),
                };
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    tracing::info!("stopping: clients are told to move");
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let (_, ended) = tokio::join!(server.leave(patience.stop), timeout(patience.stop, all_ended));
    if ended.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were still open when the time to stop was over"
        );
    }
    // Nobody asks for anything of a closed database.
    connections.shutdown().await;
    if timeout(CLOSE_PATIENCE, server.close()).await.is_err() {
        tracing::warn!("the database did not close in time; what was answered is in it");
    }
}

/// The next connection; `None` when there is none to be had for the moment.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Frames leave at once: otherwise the second of two waits until the first is acknowledged, which a peer that only listens does
            // 40 ms later. What goes out together is written together.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection keeps frames back");
            }
            Some((stream, peer))
        }
        Err(error) => {
            if !is_of_one_connection(&error) {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}

fn is_of_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// What it takes to answer one connection.
struct Answering {
    peer: SocketAddr,
    application: Router,
    head_patience: Duration,
    stopping: watch::Receiver<bool>,
}

impl Answering {
    /// Makes a connection secure, then serves it. One that is not secure yet is given up when the server stops.
    async fn converse_securely(self, stream: TcpStream, handshakes: Handshakes) {
        let secured = tokio::select! {
            secured = handshakes.secure(stream) => secured,
            () = told_to_stop(self.stopping.clone()) => return,
        };
        match secured {
            Ok(stream) => self.converse(stream).await,
            Err(error) => tracing::debug!(peer = %self.peer, %error, "a connection did not become secure"),
        }
    }

    /// Serves one connection until it ends or becomes a WebSocket.
    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { peer, application, head_patience, stopping } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            application.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_patience)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told_to_stop(stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
}

async fn told_to_stop(mut stopping: watch::Receiver<bool>) {
    // Whoever would have told is gone: that is a stop too.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn frames_leave_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (_client, accepted) = tokio::join!(client, accept(&listener));
        assert!(accepted.unwrap().0.nodelay().unwrap());
    }
}
