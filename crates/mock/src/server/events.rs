//! The router of generated events.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tracing::Span;

use super::error::Error;
use super::options::MockOptions;
use super::router::Gate;
use crate::spans::{connected, create_ws_connection_span, record_ws_error};
use crate::{AiEventGenerator, ReplayAugmentationConfig};

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
    options.check()?;
    // What is wrong with it stops the start, and not a client's connection.
    AiEventGenerator::new(config.clone())?;
    let path = options.path.clone();
    let events = Arc::new(Events { gate: Gate::new(&options)?, options, config });
    Ok(Router::new().route(&path, any(upgrade)).with_state(events))
}

struct Events {
    gate: Gate,
    options: MockOptions,
    config: ReplayAugmentationConfig,
}

async fn upgrade(State(events): State<Arc<Events>>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let entry = match events.gate.enter() {
        Ok(entry) => entry,
        Err(full) => return full.into_response(),
    };
    let bytes = events.options.max_message_bytes;
    let span = create_ws_connection_span(&request);
    let serve = move |socket| async move {
        let seed = events.config.seed.or(Some(entry.seed));
        let streamed = match AiEventGenerator::new(ReplayAugmentationConfig { seed, ..events.config.clone() })
        {
            Ok(generator) => generator.stream_events(socket, None).await,
            Err(error) => Err(error),
        };
        match streamed {
            Ok(summary) => tracing::debug!(?summary, "events were streamed"),
            Err(error) => {
                tracing::warn!(%error, "events ended");
                record_ws_error(&Span::current(), &error.to_string());
            }
        }
        drop(entry);
    };
    let upgrade = upgrade.max_message_size(bytes).max_frame_size(bytes);
    upgrade.on_upgrade(move |socket| connected(span, serve(socket)))
}
