//! The Rejoin server: replicas behind axum.
//!
//! [`router`] gives everything as an axum router that mounts into any application; the `rejoin` command serves it.
//! Sockets and REST handlers are thin: they feed the machines of `rejoin-core` and write what those say.

mod admission;
mod answers;
pub mod config;
mod connections;
mod doctor;
mod error;
#[cfg(test)]
mod faulty;
mod feed;
mod frames;
mod gate;
mod hub;
mod instruments;
mod keys;
mod line;
mod openapi;
mod policies;
mod presence;
mod rates;
mod recordings;
mod rest;
mod rooms_door;
mod router;
mod serving;
mod socket;
mod text_door;
mod tickets;
mod tls;
mod upgrade;
mod yjs_door;

pub use doctor::{Finding, examine};
pub use gate::{BODY_PATIENCE, MAX_BODIES_BYTES};
pub use hub::{ANSWER_PATIENCE, Hub, Stopped};
pub use instruments::recorder;
pub use rates::{BURST_SECONDS, Rates};
pub use recordings::{
    MAX_OPEN_RECORDINGS, MAX_QUEUED_RECORD_BYTES, MAX_RECORDING_BYTES, MAX_RECORDINGS, RecordingTo,
};
pub use router::{MAX_CONNECTIONS, Server, ServerOptions, StartError, router};
pub use serving::{HANDSHAKE_PATIENCE, HEAD_PATIENCE, Patience, STOP_PATIENCE, serve, serve_tls};
pub use tls::{MAX_ADDRESS_HANDSHAKES, MAX_HANDSHAKES, Tls, TlsError, TlsFiles, Validity};
