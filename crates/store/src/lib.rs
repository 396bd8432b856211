//! Storage adapters for Rejoin: memory and SQLite.
//!
//! A replica asks its store for things with [`Operation`](rejoin_core::storage::Operation)s and is given
//! [`Answer`](rejoin_core::storage::Answer)s; it never performs IO itself. This crate performs it. A driver
//! holds a [`Store`], submits what a replica asks, and feeds each answer back:
//!
//! ```
//! use rejoin_core::storage::{Answered, Operation};
//! use rejoin_store::{SharedMemoryStore, Store};
//! use rejoin_wire::{Sequence, WorkspaceId};
//!
//! let store = SharedMemoryStore::default();
//! let workspace = WorkspaceId::new("garden").expect("a short id is valid");
//! let (sender, answers) = std::sync::mpsc::channel();
//! let reply = Box::new(move |answer| sender.send(answer).expect("the driver still listens"));
//! store.submit(&workspace, Operation::LoadMeta, reply).expect("the queue is empty");
//!
//! let answer = answers.recv().expect("every request is answered");
//! assert_eq!(answer, Ok(Answered::Meta { records: vec![], sequence: Sequence(0) }));
//! ```
//!
//! [`SqliteStore`] is the durable one: a commit is answered when it would survive a loss of power, and the
//! commits of many replicas share one transaction. [`MemoryStore`] is the model that the others are held to
//! by the suite in `conformance`, and the disk of a simulation: it has a live and a durable image, crashes
//! and faults. What operations mean, what is guaranteed and how tables look stands in `docs/storage.md`.
//!
//! A store never reads a body: encoding, checksums and meaning of what is stored belong to the replica.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod kinds;
pub mod limits;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

pub use memory::{MemoryStore, Place, SharedMemoryStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{
    Location, LocationError, OpenError, SqliteConnection, SqliteOptions, SqliteStats, SqliteStore,
};
pub use store::{Refused, Reply, Store};
