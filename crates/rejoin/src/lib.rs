//! Rejoin: documents that people edit apart and rejoin.
//!
//! What a Rust program depends on. With the feature `client` (the default) it has [`Client`]; with the feature `server` the axum
//! router in the module `server`.

#[cfg(feature = "client")]
pub use rejoin_client as client;
#[cfg(feature = "client")]
pub use rejoin_client::{Client, ClientOptions, Document};
pub use rejoin_json as json;
#[cfg(feature = "server")]
pub use rejoin_server as server;
pub use rejoin_wire as wire;

/// The state machine by itself, for drivers of one's own.
pub use rejoin_core as core;
