//! Documents that many edit at once: the only crate that names yrs, and what foreign bytes go through before yrs sees them.

pub mod awareness;
mod coverage;
mod document;
pub mod doors;
mod editing;
mod malformed;
mod parents;
mod parting;
mod parts;
mod patching;
mod position;
mod price;
mod reader;
mod rope;
mod state_vector;
mod structure;
mod typing;
mod update;
mod value;
mod view;
mod watched;
mod writing;

pub use coverage::Coverage;
pub use document::{Applied, ApplyError, Document, MAX_WAITING_BYTES};
pub use editing::{Edit, EditError, RootKind, Step, Target, Value};
pub use malformed::{Fault, Malformed};
pub use patching::PatchingError;
pub use position::{MAX_POSITION_BYTES, Position};
pub use price::MAX_PRICE;
pub use state_vector::StateVector;
pub use update::{
    Clocks, Facts, MAX_CLIENTS, MAX_CLOCK, MAX_DEPTH, MAX_STRUCTURES, Run, Split, Update, Waiting,
};
pub use view::ROOT_MAP;
pub use watched::{MAX_UNDO, UNDO_PAUSE_MS, Watched};
