//! Ordered maps and sets: the standard library's natively, sorted vectors in browsers.
//!
//! A B-tree is compiled anew for each pair of types, at several KiB apiece, and a page has to load them all. A browser
//! holds thousands of documents, not millions: an insertion among 10,000 moves 40 KB, which takes microseconds. The
//! order is the same, so that a replica says the same in both. The names are the standard library's, so that code which
//! uses them reads as usual.
//!
//! Natively the sorted vectors have their own names, for what each link has and holds little of: a leaf of a B-tree has room
//! for eleven entries, however few there are.

#[cfg(not(target_family = "wasm"))]
pub use std::collections::{BTreeMap, BTreeSet};

pub use sorted::{SortedMap, SortedSet};
#[cfg(target_family = "wasm")]
pub use sorted::{SortedMap as BTreeMap, SortedSet as BTreeSet};

mod sorted;
