use std::fmt;

use jsonptr::{Pointer, PointerBuf};

use super::{Blocked, Failure, Obstacle};
use crate::pointer::END_OF_ARRAY;
use crate::{Kind, Operation, excerpt::Excerpt, pointer::array_index};

/// Why a patch was not applied. The document is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchError {
    /// Index of the operation that could not be done.
    pub operation: usize,
    /// Its name, as the member `op` has it.
    pub name: &'static str,
    /// The pointer of it that failed: `path`, or `from` when that is where it failed.
    pub path: PointerBuf,
    /// What is wrong.
    pub kind: PatchErrorKind,
}

/// What is wrong with an operation; the sentences say what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchErrorKind {
    /// An object on the way has no such member.
    #[error("the object at {} has no member {}: add it first, or correct the path", Excerpt(.at.as_str()), Excerpt(.key))]
    NoMember {
        /// Where the object is.
        at: PointerBuf,
        /// The key that it does not have.
        key: String,
    },
    /// An array on the way has no such element.
    #[error(
        "the array at {} has {length} elements and none at index {index}: use a smaller index, or \"-\" to add at its end",
        Excerpt(.at.as_str())
    )]
    NoElement {
        /// Where the array is.
        at: PointerBuf,
        /// The index, as the path has it.
        index: String,
        /// How many elements it has.
        length: usize,
    },
    /// The path has something else where an array needs an index.
    #[error(
        "{} is no index in the array at {}: use decimal digits without leading zeros, or \"-\" to add at its end",
        Excerpt(.token), Excerpt(.at.as_str())
    )]
    NotAnIndex {
        /// Where the array is.
        at: PointerBuf,
        /// What the path has.
        token: String,
    },
    /// The path goes through a value that has no parts.
    #[error("{} at {} has no members: correct the path", .found.with_article(), Excerpt(.at.as_str()))]
    NotAContainer {
        /// Where that value is.
        at: PointerBuf,
        /// Its type.
        found: Kind,
    },
    /// The whole document cannot be removed.
    #[error("the whole document cannot be removed: replace it, or delete the document")]
    WholeDocument,
    /// A value would go into a part of itself.
    #[error("a value cannot be moved into a part of itself: copy it instead")]
    MoveIntoItself,
    /// A test found another value.
    #[error("the value is not the one that is tested for: read the document again and make the change anew")]
    TestFailed,
    /// A splice of what is not a string.
    #[error("{} cannot be spliced, only a string can: replace it", .found.with_article())]
    NotAString {
        /// What it is.
        found: Kind,
    },
    /// A splice beyond the end of the string.
    #[error(
        "the string has {length} bytes and the splice ends beyond them: count \"at\" and \"remove\" in bytes of UTF-8"
    )]
    SpliceOutOfRange {
        /// Length of the string in bytes.
        length: usize,
    },
    /// A splice that begins or ends within a character.
    #[error("the splice begins or ends inside a character: count \"at\" and \"remove\" in bytes of UTF-8")]
    SpliceInsideCharacter,
    /// The patch has too many operations.
    #[error(
        "the patch has {count} operations, more than {limit}: split it, or replace a larger part at once"
    )]
    TooManyOperations {
        /// How many it has.
        count: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// The document would be nested too deeply.
    #[error("the document would be nested deeper than {limit} levels: flatten the value")]
    TooDeep {
        /// The deepest that is accepted.
        limit: usize,
    },
    /// The copies of the patch are too large in sum.
    #[error("the copies in this patch have more than {limit} bytes: split it")]
    CopiedTooMuch {
        /// The most that is accepted, in bytes of canonical text.
        limit: usize,
    },
    /// The strings that the patch splices are too long in sum.
    #[error("the splices in this patch write more than {limit} bytes: replace the strings instead")]
    SplicedTooMuch {
        /// The most that is accepted, in bytes.
        limit: u64,
    },
    /// The document would be too large.
    #[error(
        "the document would have {length} bytes, more than {limit}: remove something, or split the document"
    )]
    TooLarge {
        /// How large it would be, in bytes of canonical text.
        length: usize,
        /// The largest that is accepted.
        limit: usize,
    },
}

impl PatchError {
    pub(super) fn new(index: usize, operation: &Operation, failure: Failure) -> Self {
        let path = match failure {
            Failure::From(_) => operation.from().unwrap_or(operation.path()),
            Failure::Path(_) | Failure::Other(_) => operation.path(),
        };
        let kind = match failure {
            Failure::From(blocked) | Failure::Path(blocked) => PatchErrorKind::blocked(path, &blocked),
            Failure::Other(kind) => kind,
        };
        Self { operation: index, name: operation.name(), path: path.to_buf(), kind }
    }
}

impl PatchErrorKind {
    fn blocked(path: &Pointer, blocked: &Blocked) -> Self {
        let at = PointerBuf::from_tokens(path.tokens().take(blocked.level));
        let token =
            path.tokens().nth(blocked.level).map(|token| token.decoded().into_owned()).unwrap_or_default();
        match blocked.by {
            Obstacle::Object => Self::NoMember { at, key: token },
            Obstacle::Array { length } if token == END_OF_ARRAY || array_index(&token).is_some() => {
                Self::NoElement { at, index: token, length }
            }
            Obstacle::Array { .. } => Self::NotAnIndex { at, token },
            Obstacle::Scalar(found) => Self::NotAContainer { at, found },
            Obstacle::Root => Self::WholeDocument,
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, name, path, kind } = self;
        write!(f, "operation {operation} ({name} at {}): {kind}", Excerpt(path.as_str()))
    }
}

impl std::error::Error for PatchError {}
