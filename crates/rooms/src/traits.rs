//! What a room may be made of.

use std::fmt::{Debug, Display};

use rejoin_json::Json;
use rejoin_wire::ErrorCode;
use thiserror::Error;

/// Says why something was not done, to programs and to people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people, and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Names a room. Its text goes out in messages; [`read`](Self::read) takes it back.
pub trait RoomIdLike: Clone + Ord + Debug + Display {
    /// Takes the name of a room that a client wants to move to.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where no room may have this name.
    fn read(text: &str) -> Result<Self, Refusal>;
}

/// Names a client, one at a time over all rooms.
pub trait ClientIdLike: Clone + Ord + Debug + Display {}

/// What a member shows of itself. Its default is what a member shows that has said nothing yet.
pub trait PresenceLike: Clone + Default {
    /// What a client sends: all of a presence, or what changes of it.
    type Update;

    /// Takes an update from its JSON form.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where it is none.
    fn read(json: &Json) -> Result<Self::Update, Refusal>;

    /// Takes an update in.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; the presence is then thrown away and stays as it was before.
    fn update(&mut self, update: Self::Update) -> Result<(), Refusal>;

    /// All of it, as others get it.
    fn to_json(&self) -> Json;
}

/// What the members of a room edit together.
///
/// Its version is the number of batches that it accepted.
pub trait StorageLike: Sized {
    /// A batch of operations, all or none of which take effect.
    type Operation;
    /// A batch that was accepted, as a store keeps it.
    type Change;

    /// Takes a batch from its JSON form.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where it is none.
    fn read(json: &Json) -> Result<Self::Operation, Refusal>;

    /// Accepts a batch as the next version.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: nothing of it took effect.
    fn apply(&mut self, operation: Self::Operation) -> Result<Self::Change, Refusal>;

    /// An accepted batch as an array of RFC 6902 operations: applied to the content of the version before, they make that of its own.
    fn operations(change: &Self::Change) -> Json;

    /// The number of accepted batches.
    fn version(&self) -> u64;

    /// The content of the newest version.
    fn snapshot(&self) -> Json;

    /// What came after a version.
    fn since(&self, version: u64) -> Difference;
}

/// How who has a version of a storage gets to a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// By these versions one after the other, each an array of RFC 6902 operations.
    Changes(Vec<(u64, Json)>),
    /// By this content: the version is too old to be remembered, or none of this storage.
    Whole {
        /// The version.
        version: u64,
        /// Its content.
        snapshot: Json,
    },
}
