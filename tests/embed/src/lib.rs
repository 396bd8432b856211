//! A guest book that had an axum application before it had Rejoin: its own routes, state and shutdown, and documents under `/sync`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use rejoin::server::{Patience, Server, ServerOptions, StartError, router, serve as serve_router};
use tokio::net::TcpListener;

/// Time in which links and requests may finish when the application stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The application's own state.
#[derive(Clone, Default)]
struct GuestBook {
    visits: Arc<AtomicU64>,
}

/// The application's own routes, and Rejoin's under a path of the application's choice.
fn application(server: &Server) -> Router {
    let sync = router(server);
    Router::new()
        .route("/", get(|| async { "a guest book" }))
        .route("/visits", post(visit))
        .route("/health", get(|| async { "the guest book is well" }))
        .with_state(GuestBook::default())
        .nest("/sync", sync)
}

async fn visit(State(book): State<GuestBook>) -> String {
    (book.visits.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

/// Serves the application until it is asked to stop; then documents are finished before it ends.
pub async fn serve(
    listener: TcpListener,
    database_url: &str,
    asked_to_stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let server = Server::start(ServerOptions::new(database_url))?;
    let patience = Patience { stop: STOP_PATIENCE, ..Patience::default() };
    serve_router(listener, application(&server), &server, patience, asked_to_stop).await;
    Ok(())
}

/// Why the application ended.
#[derive(Debug)]
pub enum Failure {
    /// Documents could not be served.
    Start(StartError),
    /// The network failed.
    Network(std::io::Error),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Network(error)
    }
}
