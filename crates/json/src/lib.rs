//! JSON documents as pure functions: a shared tree, pointers, patches, diffs and three-way merge.
//!
//! A document is a [`Json`]: a tree whose nodes are shared between versions, so that a clone costs nothing and an edit
//! copies only the nodes on its path. Everything here is a function of its arguments: no clock, no randomness, no
//! globals, no input or output, and the same answers on every platform. What comes from outside is bounded by
//! [`Limits`] before it is believed.
//!
//! ```
//! use rejoin_json::{Json, Limits, Patch, apply};
//!
//! let limits = Limits::default();
//! let mut document = Json::parse(r#"{"title": "Draft", "tags": []}"#, &limits)?;
//! let before = document.clone();
//! let patch = Patch::parse(r#"[{"op": "replace", "path": "/title", "value": "Final"}]"#, &limits)?;
//! apply(&mut document, &patch, &limits)?;
//! assert_eq!(document.canonical(), r#"{"tags":[],"title":"Final"}"#);
//! assert_eq!(before.get("title").and_then(Json::as_str), Some("Draft"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod align;
mod apply;
mod canonical;
mod diff;
mod excerpt;
mod fingerprint;
mod identity;
mod limits;
mod merge;
mod merge_patch;
mod number;
mod parse;
mod patch;
mod place;
mod pointer;
mod sort;
mod text;
mod tree;

pub use apply::{PatchError, PatchErrorKind, apply, apply_inverting, invert};
pub use canonical::{ContentHash, ContentHashError};
pub use diff::{DiffOptions, diff};
pub use identity::{DEFAULT_IDENTITY_KEYS, default_identity_keys};
pub use jsonptr::{Pointer, PointerBuf};
pub use limits::{Limits, MAX_DEPTH};
pub use merge::{
    Conflict, ConflictKind, MergeError, MergeOptions, Merged, Policy, Side, UnknownPolicy, Winner, merge,
    merge_create, merge_patch, touched, undo,
};
pub use merge_patch::{merge_patch_apply, merge_patch_diff, merge_patch_to_patch};
pub use parse::{ParseError, ParseErrorKind, Position};
pub use patch::{Operation, Patch, PatchFormatError, PatchFormatErrorKind, PatchParseError};
pub use place::{PlacePath, Step};
pub use text::diff_text;
pub use tree::{Array, Elements, Entry, Json, Kind, Members, Object, Text};
