//! Patches: RFC 6902 and, for long strings, splices.

use std::fmt;

use jsonptr::{Pointer, PointerBuf};

use crate::{Json, Limits, ParseError};

mod convert;
mod format;

pub use format::{PatchFormatError, PatchFormatErrorKind};

/// A list of operations that apply in order, all or none.
///
/// Its JSON form is that of RFC 6902, with one operation more: [`Operation::Splice`]. Serde reads and writes it too, in
/// self-describing formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch(pub Vec<Operation>);

/// One operation of a [`Patch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets a member, inserts an element, or replaces the whole document.
    Add {
        /// The member, or the element before which it goes; `-` is the end of an array.
        path: PointerBuf,
        /// What is added.
        value: Json,
    },
    /// Removes a member or an element.
    Remove {
        /// What is removed; must exist.
        path: PointerBuf,
    },
    /// Replaces a value.
    Replace {
        /// What is replaced; must exist.
        path: PointerBuf,
        /// What it becomes.
        value: Json,
    },
    /// Removes a value and adds it elsewhere.
    Move {
        /// What is moved; must exist and not contain `path`.
        from: PointerBuf,
        /// Where it goes, as in `Add`, once it is removed.
        path: PointerBuf,
    },
    /// Adds a copy of a value elsewhere.
    Copy {
        /// What is copied; must exist.
        from: PointerBuf,
        /// Where the copy goes, as in `Add`.
        path: PointerBuf,
    },
    /// Fails the patch unless the value is as said.
    Test {
        /// What is tested; must exist.
        path: PointerBuf,
        /// What it must be equal to; numbers compare by value.
        value: Json,
    },
    /// Replaces part of a string, so that a keystroke in a long text makes a short patch. Not in RFC 6902.
    Splice {
        /// The string; must exist.
        path: PointerBuf,
        /// Bytes of UTF-8 before the part; between two characters.
        at: usize,
        /// Length of the part in bytes of UTF-8; ends between two characters.
        remove: usize,
        /// What takes its place.
        insert: String,
    },
}

impl Patch {
    /// Makes a patch without operations, which changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a patch from JSON text.
    ///
    /// Bounds the text, and the depth of the values in it. The number of operations is bounded when the patch is applied.
    ///
    /// # Errors
    ///
    /// See [`PatchParseError`]: the text is not JSON, or it is not a patch.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, PatchParseError> {
        let limits = Limits {
            // The list and the operation are levels of their own.
            max_depth: limits.depth() + 2,
            max_document_bytes: limits.max_text_bytes,
            ..*limits
        };
        Ok(Self::from_json(&Json::parse(text, &limits)?)?)
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no operations.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the operations in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Operation> {
        self.0.iter()
    }
}

impl Operation {
    /// The path that the operation changes or tests.
    pub fn path(&self) -> &Pointer {
        match self {
            Self::Add { path, .. }
            | Self::Remove { path }
            | Self::Replace { path, .. }
            | Self::Move { path, .. }
            | Self::Copy { path, .. }
            | Self::Test { path, .. }
            | Self::Splice { path, .. } => path,
        }
    }

    /// Where the operation takes its value from, if it is a move or a copy.
    pub fn from(&self) -> Option<&Pointer> {
        match self {
            Self::Move { from, .. } | Self::Copy { from, .. } => Some(from),
            _ => None,
        }
    }

    /// The value that the operation carries, if it does.
    pub fn value(&self) -> Option<&Json> {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } | Self::Test { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The name of the operation, as the member `op` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Replace { .. } => "replace",
            Self::Move { .. } => "move",
            Self::Copy { .. } => "copy",
            Self::Test { .. } => "test",
            Self::Splice { .. } => "splice",
        }
    }
}

/// Why a text is no patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchParseError {
    /// It is not JSON, or beyond the limits.
    #[error(transparent)]
    Json(#[from] ParseError),
    /// It is JSON, but not a patch.
    #[error(transparent)]
    Format(#[from] PatchFormatError),
}

/// The JSON form.
impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().write_canonical(f)
    }
}

impl FromIterator<Operation> for Patch {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().collect())
    }
}

impl IntoIterator for Patch {
    type Item = Operation;
    type IntoIter = std::vec::IntoIter<Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Patch {
    type Item = &'a Operation;
    type IntoIter = std::slice::Iter<'a, Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
