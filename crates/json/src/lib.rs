//! JSON documents as pure functions: a shared tree, pointers, patches, diffs and three-way merge.
//!
//! A document is a [`Json`]: a tree whose nodes are shared between versions, so that a clone costs nothing and an edit
//! copies only the nodes on its path. Everything here is a function of its arguments: no clock, no randomness, no
//! globals, no input or output, and the same answers on every platform. What comes from outside is bounded by
//! [`Limits`] before it is believed.

mod canonical;
mod limits;
mod number;
mod parse;
mod patch;
mod pointer;
mod tree;

pub use canonical::{ContentHash, ContentHashError};
pub use jsonptr::{Pointer, PointerBuf};
pub use limits::{Limits, MAX_DEPTH};
pub use parse::{ParseError, ParseErrorKind, Position};
pub use patch::{Operation, Patch, PatchFormatError, PatchFormatErrorKind, PatchParseError};
pub use tree::{Array, Entry, Json, Kind, Object, Text};
