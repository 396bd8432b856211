//! The router of generated events.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tracing::Span;

use super::bridge::Bridge;
use super::error::Error;
use super::options::MockOptions;
use super::rooms::Outbox;
use super::router::{Entry, Hall, sized};
use crate::spans::{connected, create_ws_connection_span, record_ws_error};
use crate::{AiEventGenerator, CloseFrame, NORMAL_CLOSE, ReplayAugmentationConfig};

/// The router that streams generated events to each connection, and then closes it. Without a seed in the configuration each connection has
/// events of its own, which follow from the seed of the options.
///
/// ```
/// use rejoin_mock::{MockOptions, ReplayAugmentationConfig, router_with_events};
///
/// let config = ReplayAugmentationConfig {
///     narrative: "Simulate stock market trading".to_string(),
///     ..Default::default()
/// };
/// let app = router_with_events(config, MockOptions::default())?;
/// # let _: axum::Router = app;
/// # Ok::<(), rejoin_mock::Error>(())
/// ```
pub fn router_with_events(config: ReplayAugmentationConfig, options: MockOptions) -> Result<Router, Error> {
    let hall = Arc::new(Hall::new(&options)?);
    let admin = hall.admin();
    Ok(events_routes(config, options, hall)?.merge(admin))
}

pub(super) fn events_routes(
    config: ReplayAugmentationConfig,
    options: MockOptions,
    hall: Arc<Hall>,
) -> Result<Router, Error> {
    options.check()?;
    // What is wrong with it stops the start, and not a client's connection.
    AiEventGenerator::new(config.clone())?;
    let path = options.path.clone();
    let events = Arc::new(Events { hall, options, config });
    Ok(Router::new().route(&path, any(upgrade)).with_state(events))
}

struct Events {
    hall: Arc<Hall>,
    options: MockOptions,
    config: ReplayAugmentationConfig,
}

async fn upgrade(State(events): State<Arc<Events>>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let entry = match events.hall.gate.enter() {
        Ok(entry) => entry,
        Err(full) => return full.into_response(),
    };
    let bytes = events.options.max_message_bytes;
    let span = create_ws_connection_span(&request);
    let path = request.uri().path().to_owned();
    let serve = move |socket| async move { events.serve(socket, &path, &entry).await };
    let upgrade = sized(upgrade, bytes);
    upgrade.on_upgrade(move |socket| connected(span, serve(socket)))
}

impl Events {
    async fn serve(&self, socket: WebSocket, path: &str, entry: &Entry) {
        let (outbox, frames) = Outbox::new();
        let (wake, bridge) = (outbox.wake(), Bridge::new(None, frames));
        let mut driving =
            pin!(self.hall.drive(socket, bridge, &self.options, (path, entry.seed), Some(wake)));
        tokio::select! {
            () = &mut driving => tracing::debug!("the client has had enough of the events"),
            () = self.make(&outbox, entry.seed) => driving.await,
        }
    }

    /// Makes events until there are no more, and closes.
    async fn make(&self, outbox: &Outbox, seed: u64) {
        let seed = self.config.seed.or(Some(seed));
        let generator = AiEventGenerator::new(ReplayAugmentationConfig { seed, ..self.config.clone() });
        let made = match generator {
            Ok(generator) => generator.feed(outbox).await,
            Err(error) => Err(error),
        };
        let close = match made {
            Ok(summary) => {
                tracing::debug!(?summary, "events were streamed");
                NORMAL_CLOSE
            }
            Err(error) => {
                tracing::warn!(%error, "events ended");
                record_ws_error(&Span::current(), &error.to_string());
                CloseFrame { code: 1_011, reason: "no more events can be made".to_owned() }
            }
        };
        outbox.close(close);
    }
}
