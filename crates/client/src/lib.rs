//! The native Rejoin client: documents that are edited offline and online, over tokio.
//!
//! A [`Client`] drives one replica: it connects, reconnects, stores and sends; the program opens documents, edits them and reads
//! them at any time, online or not. Nothing that was saved is lost by a crash, and nothing that was acknowledged by a crash of the
//! server.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use rejoin_client::{Client, ClientOptions, Json, Limits};
//!
//! let client = Client::start(ClientOptions::new("ws://127.0.0.1:8080/ws").sqlite("notes.db"))?;
//! let note = client.open("note").await?;
//! if !note.exists().await? {
//!     note.create(Json::parse(r#"{"text": "Hello"}"#, &Limits::default())?).await?;
//! }
//! note.replace("/text", "Hello, world").await?;
//! note.acknowledged().await?;
//! client.close().await?;
//! # Ok(()) }
//! ```

mod client;
mod connect;
mod document;
mod driver;
mod line;
mod options;

pub use client::{Client, CloseError, Closed};
pub use document::{Document, DocumentError};
pub use driver::SAVE_PATIENCE;
pub use options::{ClientOptions, StartError};
pub use rejoin_core::{
    ConflictChoice, DocumentStatus, Event, HistoryEntry, HistoryPage, Life, LinkStatus, Presence,
    RecoveredVersion, RejectedChange, Rung, SyncStatus, Undone, View,
};
pub use rejoin_json::{Json, Limits, Operation, Patch, PointerBuf};
pub use rejoin_record::RecordingOptions;
pub use rejoin_wire::{
    Body, ChangeId, ConflictId, ConflictRecord, DocumentId, Effect, Entry, ErrorCode, Header, MemberId,
    Revision, Scope, WorkspaceId,
};
