//! Writing into a room.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_core::{Base, Grant, Reply};
use rejoin_crdt::{Document, PatchingError, StateVector, Update};
use rejoin_json::{Limits, Object, Operation, Patch, PointerBuf};
use rejoin_rooms::{CrdtOperation, Refusal};
use rejoin_wire::{Body, CrdtUpdate, ErrorCode, Revision};

use super::content::{Content, Kind};
use super::feed::Feed;
use crate::hub::Stopped;
use crate::yjs_door::random_replica;

/// How often a write is tried on what a room has become meanwhile.
const MAX_TRIES: usize = 4;

/// An update of Yjs that adds and deletes nothing.
const NO_UPDATE: [u8; 2] = [0, 0];

/// What a write came to.
#[derive(Debug)]
pub(crate) struct Written {
    /// The version that it made.
    pub(crate) version: Revision,
    /// Whether there was no storage before.
    pub(crate) created: bool,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum WriteError {
    Refused(Refusal),
    Stopped,
}

impl From<Stopped> for WriteError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The edit of a document that is there.
pub(super) fn edit(patch: Patch) -> Body {
    Body::Edit { patch, settles: Vec::new(), undoes: None }
}

/// Makes a room's storage where there is none, or brings it back.
pub(crate) async fn create(feed: &Arc<Feed>, grant: &Grant) -> Result<Written, WriteError> {
    match feed.kind() {
        Kind::Absent | Kind::Deleted => write(feed, grant, CrdtOperation::Updates(Vec::new())).await,
        Kind::Crdt | Kind::Json => Ok(Written { version: feed.have().revision, created: false }),
    }
}

/// Deletes a room with its storage, which is empty where somebody brings it back. Its history stays.
pub(crate) async fn delete(feed: &Arc<Feed>, grant: &Grant) -> Result<(), WriteError> {
    write(feed, grant, clearing()).await?;
    match submit(feed, grant, Body::Delete).await? {
        Reply::Accepted(_) => Ok(()),
        reply => Err(refusal_of(reply).into()),
    }
}

/// Writes a batch into a room, which it makes where there is none, or brings back.
pub(crate) async fn write(
    feed: &Arc<Feed>,
    grant: &Grant,
    operation: CrdtOperation,
) -> Result<Written, WriteError> {
    let mut was_deleted = false;
    for _ in 0..MAX_TRIES {
        let (kind, known, body) = {
            let content = feed.content().lock().await;
            (content.kind(), content.have().revision, body_of(&content, &operation)?)
        };
        let body = match (kind, was_deleted) {
            (Kind::Deleted, false) => {
                was_deleted = true;
                let reached = match submit(feed, grant, Body::Undelete).await? {
                    Reply::Accepted(accepted) => accepted.revision,
                    // Somebody else was first.
                    Reply::Refused { code: ErrorCode::DocumentNotDeleted, .. } => known.next(),
                    reply => return Err(refusal_of(reply).into()),
                };
                feed.reach(reached).await;
                continue;
            }
            _ => body,
        };
        match submit(feed, grant, body).await? {
            Reply::Accepted(accepted) => {
                let version = accepted.revision;
                return Ok(Written { version, created: version == Revision(1) });
            }
            // The document is another than it was: its newest revision is on its way here.
            Reply::Refused {
                code: ErrorCode::WrongKind | ErrorCode::DocumentNotFound | ErrorCode::UnknownBase,
                ..
            } if kind == Kind::Absent => {
                feed.reach(Revision(1)).await;
            }
            reply => return Err(refusal_of(reply).into()),
        }
    }
    let message = "the room changes too fast: send it again";
    Err(Refusal::new(ErrorCode::Unavailable, message).into())
}

async fn submit(feed: &Feed, grant: &Grant, body: Body) -> Result<Reply, Stopped> {
    let (grant, document) = (grant.clone(), feed.room().document().clone());
    let submit = move |replica: &mut rejoin_core::Replica, token| {
        replica.submit(token, grant, &document, body, Base::Current, None);
    };
    feed.hub().command(feed.room().workspace(), submit).await
}

pub(super) fn refusal_of(reply: Reply) -> Refusal {
    match reply {
        Reply::Refused { code, message } => Refusal::new(code, message.as_ref()),
        _ => Refusal::new(ErrorCode::Unavailable, "the server gave no answer; send it again"),
    }
}

/// The change that a batch is.
fn body_of(content: &Content, operation: &CrdtOperation) -> Result<Body, Refusal> {
    match (operation, content.kind()) {
        // The first edit makes the document one of CRDT.
        (CrdtOperation::Patch(patch), Kind::Absent) => first(patch),
        (CrdtOperation::Patch(patch), _) => Ok(edit(patch.clone())),
        (CrdtOperation::Updates(updates), _) if updates.is_empty() => Ok(nothing()),
        (CrdtOperation::Updates(_), Kind::Json) => Err(Refusal::new(
            ErrorCode::WrongKind,
            "the storage is a JSON document, which takes no updates of Yjs: send operations",
        )),
        (CrdtOperation::Updates(updates), _) => merged(content.document(), updates),
    }
}

fn first(patch: &Patch) -> Result<Body, Refusal> {
    let mut document = Document::new("", new_client());
    let update = document.patch(patch, &Limits::default()).map_err(|error| match error {
        PatchingError::Patch(error) => error.into(),
        PatchingError::Depth => Refusal::new(ErrorCode::TooDeep, error.to_string()),
        _ => Refusal::new(ErrorCode::InvalidPatch, error.to_string()),
    })?;
    match update {
        Some(update) => Ok(merge(&update)),
        // It says nothing, as a `test`.
        None => Ok(nothing()),
    }
}

/// Makes a document without content.
fn nothing() -> Body {
    Body::Merge { update: CrdtUpdate(Bytes::from_static(&NO_UPDATE)) }
}

/// Yjs draws ids of clients below 2^32.
fn new_client() -> u64 {
    u64::try_from(random_replica().0 & 0xffff_ffff).unwrap_or(1)
}

fn merge(update: &Update) -> Body {
    Body::Merge { update: CrdtUpdate(update.bytes().clone()) }
}

/// Several updates as one, so that all of them take effect or none.
fn merged(document: Option<&Document>, updates: &[Update]) -> Result<Body, Refusal> {
    let missing = || {
        Refusal::new(
            ErrorCode::UnknownBase,
            "the update refers to others that are missing here: send those before it, or all of them as one",
        )
    };
    let broken = |error: rejoin_crdt::ApplyError| {
        Refusal::new(ErrorCode::InvalidValue, format!("{error}; the storage is as it was"))
    };
    let empty = Document::new("", 0);
    let held = document.unwrap_or(&empty);
    if let [update] = updates {
        let is_missing = update.clone().split(held.clocks()).waiting.is_some();
        return if is_missing { Err(missing()) } else { Ok(merge(update)) };
    }
    let mut scratch = Document::new("", 0);
    let state = held.since(&StateVector::default()).map_err(broken)?;
    let bytes = state.len();
    let state =
        Update::check(state, bytes).map_err(|error| Refusal::new(ErrorCode::Corrupted, error.to_string()))?;
    scratch.apply(state).map_err(broken)?;
    let before = scratch.state_vector();
    for update in updates {
        if update.clone().split(scratch.clocks()).waiting.is_some() {
            return Err(missing());
        }
        scratch.apply(update.clone()).map_err(broken)?;
    }
    Ok(Body::Merge { update: CrdtUpdate(scratch.since(&before).map_err(broken)?) })
}

/// The batch that empties what a room shows.
pub(crate) fn clearing() -> CrdtOperation {
    let operation = Operation::Replace { path: PointerBuf::new(), value: Object::new().into() };
    CrdtOperation::Patch([operation].into_iter().collect())
}
