//! Rejoin: documents that people edit apart and rejoin.
//!
//! What a Rust program depends on. With the feature `client` (a default) it has [`Client`], which keeps documents on the device, shows
//! edits at once and sends them when there is a link; with the feature `server` the axum router in the module `server`, with `rooms` rooms of
//! types of one's own in the module `rooms`, and with `mock` mocks of WebSockets in the module `mock`. `sqlite` and
//! `tls` (defaults too) let the client keep documents in files and connect to `wss://` addresses.
//!
//! It starts nothing by itself: a [`Client`] runs as a task of the tokio runtime that it is started in and ends with its last clone, and
//! a server's router is served by the program. Nothing waits for the network but what says so: [`Document::acknowledged`],
//! [`Document::synced`] and [`Client::settled`].
//!
//! ```
//! # #[cfg(feature = "client")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rejoin::json::{Json, Limits};
//! use rejoin::{Client, ClientOptions};
//!
//! // Offline until it is sent online: nothing listens at this address.
//! let client = Client::start(ClientOptions::new("ws://127.0.0.1:9/ws").offline())?;
//! let note = client.open("note").await?;
//! note.create(Json::parse(r#"{"text": "Hello"}"#, &Limits::default())?).await?;
//! note.replace("/text", "Hello, world").await?;
//! note.saved().await?;
//! assert_eq!(note.value().await?.canonical(), r#"{"text":"Hello, world"}"#);
//! assert_eq!(client.sync_status().await?.pending, 2);
//! client.close().await?;
//! # Ok(()) }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```

#[cfg(feature = "client")]
pub use rejoin_client as client;
#[cfg(feature = "client")]
pub use rejoin_client::{Client, ClientOptions, Document};
pub use rejoin_json as json;
/// Mocks of WebSockets, for tests of any program that speaks over them.
///
/// ```
/// use rejoin::mock::{LatencyProfile, latency::LatencyInjector, router_with_latency};
///
/// let app = router_with_latency(LatencyInjector::new(LatencyProfile::slow(), Default::default()));
/// # let _: axum::Router = app;
/// ```
#[cfg(feature = "mock")]
pub use rejoin_mock as mock;
#[cfg(feature = "server")]
pub use rejoin_server as server;
pub use rejoin_wire as wire;

/// Rooms of one's own: the machine with its traits, and in [`axum`](rooms::axum) the task, sockets, REST and store around it. Those of
/// `rejoin serve` are documents, which all doors lead into; the module `server` has them.
#[cfg(feature = "rooms")]
pub mod rooms {
    pub use rejoin_rooms::*;
    pub use rejoin_rooms_axum as axum;
}

/// The state machine by itself, for drivers of one's own.
pub use rejoin_core as core;
