//! Recordings of replicas: what went in and came out, and the same again.
//!
//! What a replica gives depends on nothing but what it is made of and what it hears. A [`Recorder`] writes that down while a program runs, in a
//! bounded [`Ring`]; a [`Replay`] makes the replica anew, has it hear the same, and says at which step it first gives something else.
//! `docs/recording.md` defines the file, which pages write too, and says what it holds of people.
//!
//! ```
//! use rejoin_core::{Config, Input, Instant, Replica, Role, Seed};
//! use rejoin_record::{Recorded, Recorder, RecordingOptions, Replay};
//! use rejoin_wire::{UnixMillis, WorkspaceId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new(WorkspaceId::new("default")?, Role::Follower { scope: None });
//! let start = rejoin_record::Start { config: &config, seed: Seed(1), now: Instant(0), unix_now: UnixMillis(0) };
//! let recorder = Recorder::begin(Recorded::Native, &RecordingOptions::default(), &start);
//! let mut replica = Replica::new(config.clone(), Seed(1), Instant(0), UnixMillis(0));
//! replica.record(recorder.tape());
//! replica.handle_input(Instant(5), Input::Online(false));
//! while replica.poll_output().is_some() {}
//!
//! let file = recorder.save();
//! let mut replay = Replay::new(&file);
//! while replay.advance()?.is_some() {}
//! assert_eq!(replay.progress().steps, 1);
//! # Ok(()) }
//! ```

mod answers;
mod commands;
mod describe;
mod digest;
mod format;
mod inputs;
mod machine;
mod outputs;
mod page;
mod reader;
mod recorder;
mod replay;
mod ring;
mod start;

pub use digest::Digest;
pub use format::{FORMAT, Header, MAGIC, MAX_HEADER_BYTES, MAX_RECORD_BYTES, Recorded, checksum, ending};
pub use reader::{Drained, Gap, Item, ReadError, Reader, Record, Sealed};
pub use recorder::{Recorder, RecordingOptions, Scribe, Sink, StreamTape};
pub use replay::{Difference, Ending, Line, Progress, Replay, ReplayError, Shown, State, Step};
pub use ring::{DEFAULT_MAX_BYTES, MIN_BYTES, Ring};
pub use start::Start;
