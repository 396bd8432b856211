//! What a program wants of a replica.

mod history;
mod listing;
mod origins;
mod past;
mod repeats;
mod requests;
mod settling;
mod undoing;
mod view;

use std::sync::Arc;

use rejoin_json::{Json, Patch, PatchError, PlacePath, Side, apply};
use rejoin_wire::{
    Body, ChainHash, Change, ChangeHash, ChangeId, ConflictId, ConflictRecord, Counter, CrdtUpdate,
    DocumentId, Effect, Entry, ErrorCode, Header, HeaderError, ListItem, Message, ReplicaId, Revision,
    Sequence, UnixMillis, limits::MAX_MESSAGE_BYTES,
};

use super::outbox::{MAX_KEPT, Seen, change_bytes, recovered_key};
use super::root::Base;
use super::{
    Event, Grant, HistoryEntry, HistoryPage, LinkId, Output, Purpose, Replica, Reply, SERVES, Token,
};
use crate::clock::VectorClock;
use crate::collections::BTreeMap;
use crate::merging::{Meeting, decide};
use crate::records::Origin;
use crate::room::{Presence, PresenceError};
use crate::splicing::spliced;
use crate::state::{Life, Point, Reverse, State};
use crate::storage::{Answer, Answered, Operation, Write};
use crate::window::Rung;
pub use history::MAX_QUESTIONS;
pub(super) use history::{Walk, older_from};
pub use listing::Listed;
pub(super) use repeats::Repeat;
pub(super) use requests::Read;
pub use settling::ConflictChoice;
pub(crate) use undoing::UndoStacks;
pub use undoing::Undone;
pub use view::View;

/// Entries of one page of history.
pub const MAX_HISTORY_PAGE: u32 = 1_000;

/// Bytes of the entries of one page of history, whole contents included; a page holds one entry at least.
pub const MAX_HISTORY_PAGE_BYTES: usize = 4 << 20;

/// Bytes of what a CRDT document shows at the revisions of one page of its history, together. A page with more has fewer revisions, and one
/// at least.
pub const MAX_HISTORY_SHOWN_BYTES: usize = 4 << 20;

/// Why a command was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The document is not in memory.
    #[error("the document is not open; open it and wait until it has been read")]
    NotOpen,
    /// There is no such document.
    #[error("there is no such document; create it first")]
    NotFound,
    /// The document exists.
    #[error("the document exists; edit it instead")]
    Exists,
    /// The document is deleted.
    #[error("the document is deleted; undelete it first")]
    Deleted,
    /// The document is not deleted.
    #[error("the document is not deleted")]
    NotDeleted,
    /// The patch does not apply.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The change makes no sense on what the document is now.
    #[error("{message}")]
    Refused {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: Arc<str>,
    },
    /// The content is too large, or too deep.
    #[error("the content is larger or deeper than a document may be; split it")]
    TooLarge,
    /// Changes without an outcome take all the room that they may.
    #[error("{limit} bytes of changes wait to be sent; connect, so that they can go, before you make more")]
    OutboxFull {
        /// The limit in bytes.
        limit: usize,
    },
    /// As many changes of the document were rejected as are kept, and each holds something that somebody typed.
    #[error(
        "{MAX_KEPT} rejected changes of this document wait to be seen; dismiss some before you make more"
    )]
    TooManyRejected,
    /// A field of the header is beyond its limit.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// There is nothing to undo or redo.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// The revisions that an undo needs are not held here. Told once: the next undo goes on with the change before that one.
    #[error(
        "the revisions around that change are not held here; restore the values from the history instead"
    )]
    HistoryNotHeld,
    /// There is no such conflict.
    #[error("there is no such open conflict")]
    NoSuchConflict,
    /// The place of the conflict is gone, or is an element without an identity of which nothing held here says where it is now.
    #[error("the place of the conflict is not there any more; settle it by keeping the document as it is")]
    PlaceGone,
    /// The origin that the command was made for has made its change already: this is a repeat.
    #[error("this change was made before; there is nothing left to do")]
    MadeBefore {
        /// Whether that change needs no repeat any more; while it does, [`Event::Kept`] is still to come.
        kept: bool,
    },
    /// The presence state was refused.
    #[error(transparent)]
    Presence(#[from] PresenceError),
}

/// How safe the own changes of a document are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentStatus {
    /// The lowest rung; acknowledged when nothing is pending.
    pub rung: Rung,
    /// Milliseconds for which a change has stood on it.
    pub age_ms: u64,
    /// Changes without an outcome.
    pub pending: usize,
    /// Rejected changes that were not dismissed.
    pub rejected: usize,
    /// Open conflict records.
    pub conflicts: usize,
    /// True when what the authority had when it was asked last is all here.
    pub synced: bool,
}

/// An own change without an outcome.
#[derive(Clone, Debug)]
pub struct OwnChange {
    /// The change.
    pub change: Arc<Change>,
    /// What it is told apart from others by, whatever its name.
    pub hash: ChangeHash,
    /// How far it has come.
    pub rung: Rung,
    /// Which part of the program made it.
    pub origin: Origin,
}

/// An own change that was rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedChange {
    /// The change with all its values.
    pub change: Change,
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: Arc<str>,
}

/// Content that the authority no longer has.
#[derive(Clone, Debug)]
pub struct RecoveredVersion {
    /// Its name, for dismissing it.
    pub number: u64,
    /// The revision that it was.
    pub revision: Revision,
    /// When the loss was noticed.
    pub at: UnixMillis,
    /// The content.
    pub content: Json,
}

impl Replica {
    /// Holds a document in memory, and keeps it up to date while a link is open. [`Event::Opened`] tells when it has been read.
    pub fn open(&mut self, id: &DocumentId) {
        note!(self, Open { document: id.clone() });
        let document = self.document(id);
        document.opened += 1;
        document.was_opened = true;
        if document.loaded {
            self.event(Event::Opened { document: id.clone() });
            if self.loaded(id).is_some_and(|document| document.outbox.sync == super::outbox::Sync::Closed) {
                self.open_upstream(id);
            }
        }
    }

    /// Takes back one [`open`](Self::open). Own changes are still sent.
    pub fn close(&mut self, id: &DocumentId) {
        note!(self, Close { document: id.clone() });
        let needed = self.is_shown(id) || self.is_compared(id);
        let Some(document) = self.documents.get_mut(id) else { return };
        document.opened = document.opened.saturating_sub(1);
        if document.opened > 0 {
            return;
        }
        if document.outbox.has_pending() || needed {
            // It stays open upstream: whoever looked at it here is gone all the same.
            document.own_presence.leave_all();
            self.lively.insert(id.clone());
        } else {
            document.own_presence.close();
            self.close_upstream(id);
        }
    }

    /// The document with own changes; `None` until it has been read.
    pub fn view(&mut self, id: &DocumentId) -> Option<View> {
        if self.config.role.serves() {
            return self.confirmed(id);
        }
        let limits = self.config.limits;
        let document = self.documents.get_mut(id).filter(|document| document.loaded)?;
        let state = document.outbox.view(&document.durable.state, &limits);
        Some(View::with(id, &document.durable, state))
    }

    /// The document as the authority has confirmed it.
    pub fn confirmed(&self, id: &DocumentId) -> Option<View> {
        self.loaded(id).map(|document| document.confirmed(id))
    }

    /// How safe a document's own changes are.
    pub fn status(&self, id: &DocumentId) -> Option<DocumentStatus> {
        let document = self.loaded(id)?;
        let lowest = document.outbox.lowest();
        Some(DocumentStatus {
            rung: lowest.map_or(Rung::Acknowledged, |(rung, _)| rung),
            age_ms: lowest
                .map_or(0, |(_, since)| u64::try_from(self.now.since(since).as_millis()).unwrap_or(u64::MAX)),
            pending: document.outbox.pending().count(),
            rejected: document.outbox.rejected.len(),
            conflicts: document.durable.conflicts.len(),
            synced: document.outbox.sync == super::outbox::Sync::Open,
        })
    }

    /// Own changes of a document without an outcome, oldest first.
    pub fn pending(&self, id: &DocumentId) -> Vec<OwnChange> {
        let own = |own: &crate::window::Own| OwnChange {
            change: Arc::clone(&own.change),
            hash: own.hash,
            rung: own.progress.rung,
            origin: own.progress.origin,
        };
        self.loaded(id).map(|document| document.outbox.pending().map(own).collect()).unwrap_or_default()
    }

    /// Own changes that were rejected and not dismissed.
    pub fn rejected(&self, id: &DocumentId) -> Vec<RejectedChange> {
        let Some(document) = self.loaded(id) else { return Vec::new() };
        let rejected = document.outbox.rejected.values().map(|record| RejectedChange {
            change: record.change.clone(),
            code: record.code,
            message: Arc::clone(&record.message.0),
        });
        rejected.collect()
    }

    /// Content that the authority no longer has.
    pub fn recovered(&self, id: &DocumentId) -> Vec<RecoveredVersion> {
        let Some(document) = self.loaded(id) else { return Vec::new() };
        let recovered = document.outbox.recovered.iter().map(|(number, record)| RecoveredVersion {
            number: *number,
            revision: record.revision,
            at: record.at,
            content: record.content.clone(),
        });
        recovered.collect()
    }

    /// Documents of the workspace, as the authority listed them, for a follower of the list.
    pub fn list(&self) -> Vec<ListItem> {
        self.upstream.list().cloned().collect()
    }

    /// The others who are present on a document.
    pub fn present(&self, id: &DocumentId) -> Vec<(rejoin_wire::MemberId, Presence)> {
        let Some(document) = self.loaded(id) else { return Vec::new() };
        document.present.iter().map(|(member, presence)| (member, presence.clone())).collect()
    }

    /// Creates a document with a default header under the configured policy.
    pub fn create(&mut self, id: &DocumentId, content: Json) -> Result<ChangeId, EditError> {
        let header = Header { policy: self.config.policy, ..Header::default() };
        self.create_with(id, header, content)
    }

    /// Creates a document, or begins a deleted one again.
    pub fn create_with(
        &mut self,
        id: &DocumentId,
        header: Header,
        content: Json,
    ) -> Result<ChangeId, EditError> {
        note!(self, Create { document: id.clone(), header: header.clone(), content: content.clone() });
        let origin = self.begin(id)?;
        let view = self.view(id).ok_or(EditError::NotOpen)?;
        if view.life == Life::Alive {
            return Err(EditError::Exists);
        }
        header.check()?;
        self.submit_own(id, Body::Create { header, content }, origin)
    }

    /// Edits a document. The patch applies to what [`view`](Self::view) shows; of a long string that it replaces by a similar one only
    /// what changes in it travels.
    pub fn edit(&mut self, id: &DocumentId, patch: Patch) -> Result<ChangeId, EditError> {
        self.submit_edit(id, patch, None)
    }

    /// Edits a document that looked otherwise where the edit was made. The patch applies to what was seen there, and is met with what has come
    /// since as changes of others are.
    pub fn edit_on(&mut self, id: &DocumentId, patch: Patch, seen: Seen) -> Result<ChangeId, EditError> {
        self.submit_edit(id, patch, Some(seen))
    }

    fn submit_edit(
        &mut self,
        id: &DocumentId,
        patch: Patch,
        seen: Option<Seen>,
    ) -> Result<ChangeId, EditError> {
        note!(self, Edit { document: id.clone(), patch: patch.clone(), seen: seen.clone() });
        let origin = self.begin(id)?;
        let view = self.view(id).ok_or(EditError::NotOpen)?;
        let seen = seen.filter(|seen| view.life != Life::Absent && !view.shows(&seen.content));
        let content = seen.as_ref().map_or(&view.content, |seen| &seen.content);
        let patch = spliced(patch, content, &self.config.limits);
        self.submit_own_on(id, Body::Edit { patch, settles: Vec::new(), undoes: None }, seen, origin)
    }

    /// Adds an update to a CRDT document, which the first one creates. What it adds is not looked into here: the authority refuses what is malformed.
    /// There is no undo of it; whoever shows the document has one.
    pub fn merge(&mut self, id: &DocumentId, update: CrdtUpdate) -> Result<ChangeId, EditError> {
        note!(self, Merge { document: id.clone(), update: update.clone() });
        let origin = self.begin(id)?;
        self.submit_own(id, Body::Merge { update }, origin)
    }

    /// Replaces the header.
    pub fn set_header(&mut self, id: &DocumentId, header: Header) -> Result<ChangeId, EditError> {
        note!(self, SetHeader { document: id.clone(), header: header.clone() });
        let origin = self.begin(id)?;
        self.submit_header(id, header, origin)
    }

    fn submit_header(
        &mut self,
        id: &DocumentId,
        header: Header,
        origin: Origin,
    ) -> Result<ChangeId, EditError> {
        header.check()?;
        match self.view(id).ok_or(EditError::NotOpen)?.life {
            Life::Alive => self.submit_own(id, Body::Header { header }, origin),
            Life::Deleted => Err(EditError::Deleted),
            Life::Absent => Err(EditError::NotFound),
        }
    }

    /// Deletes a document.
    pub fn delete(&mut self, id: &DocumentId) -> Result<ChangeId, EditError> {
        note!(self, Delete { document: id.clone() });
        let origin = self.begin(id)?;
        self.submit_life(id, Life::Deleted, origin)
    }

    /// Brings a deleted document back, with the edits that reached its tombstone.
    pub fn undelete(&mut self, id: &DocumentId) -> Result<ChangeId, EditError> {
        note!(self, Undelete { document: id.clone() });
        let origin = self.begin(id)?;
        self.submit_life(id, Life::Alive, origin)
    }

    /// Deletes a living document, or brings a deleted one back.
    fn submit_life(&mut self, id: &DocumentId, life: Life, origin: Origin) -> Result<ChangeId, EditError> {
        match (self.view(id).ok_or(EditError::NotOpen)?.life, life) {
            (Life::Absent, _) => Err(EditError::NotFound),
            (Life::Alive, Life::Alive) => Err(EditError::NotDeleted),
            (Life::Deleted, Life::Alive) => self.submit_own(id, Body::Undelete, origin),
            (Life::Alive, _) => self.submit_own(id, Body::Delete, origin),
            (Life::Deleted, _) => Err(EditError::Deleted),
        }
    }

    /// Forgets a rejected change.
    pub fn dismiss_rejected(&mut self, id: &DocumentId, change: ChangeId) {
        note!(self, DismissRejected { document: id.clone(), change });
        if let Some(document) = self.documents.get_mut(id)
            && document.outbox.rejected.remove(&change).is_some()
        {
            self.drop_rejected(id, change);
        }
    }

    /// Forgets a recovered version.
    pub fn dismiss_recovered(&mut self, id: &DocumentId, number: u64) {
        note!(self, DismissRecovered { document: id.clone(), number });
        if let Some(document) = self.documents.get_mut(id)
            && document.outbox.recovered.remove(&number).is_some()
        {
            self.storing.write(Write::DropRecord { key: recovered_key(id, number) });
        }
    }

    /// Shows something of oneself to the others on a document; `None` leaves.
    pub fn set_presence(&mut self, id: &DocumentId, state: Option<Json>) -> Result<(), EditError> {
        self.set_presence_of(0, id, state)
    }

    /// Shows something of a part of the program to the others, who see each part as a member of its own; `None` leaves. Part 0 is that of
    /// [`set_presence`](Self::set_presence). Up to [`MAX_PRESENCE_PARTS`](rejoin_wire::limits::MAX_PRESENCE_PARTS) others may be shown on a
    /// document at the same time.
    pub fn set_presence_of(
        &mut self,
        part: u64,
        id: &DocumentId,
        state: Option<Json>,
    ) -> Result<(), EditError> {
        note!(self, SetPresence { part, document: id.clone(), state: state.clone() });
        if SERVES && part != 0 && self.config.role.serves() {
            // Its numbers are those of whom it serves.
            return Err(PresenceError::TooManyParts.into());
        }
        let document =
            self.documents.get_mut(id).filter(|document| document.loaded).ok_or(EditError::NotOpen)?;
        match state {
            Some(state) => document.own_presence.set(part, state)?,
            None => document.own_presence.leave(part),
        }
        self.lively.insert(id.clone());
        Ok(())
    }

    /// Makes an own change after checking it against the view by the authority's own rules.
    fn submit_own(&mut self, id: &DocumentId, body: Body, origin: Origin) -> Result<ChangeId, EditError> {
        self.submit_own_on(id, body, None, origin)
    }

    /// Makes an own change on what its author saw, where that is not the view.
    fn submit_own_on(
        &mut self,
        id: &DocumentId,
        body: Body,
        seen: Option<Seen>,
        origin: Origin,
    ) -> Result<ChangeId, EditError> {
        if self.config.role.serves() {
            let message = "this replica makes no changes of its own; submit them to the authority".into();
            return Err(EditError::Refused { code: ErrorCode::UnexpectedMessage, message });
        }
        let view = self.view(id).ok_or(EditError::NotOpen)?;
        let state = match &seen {
            Some(seen) => State {
                life: Life::Alive,
                header: view.header,
                content: seen.content.clone(),
                crdt: view.crdt,
            },
            None => State { life: view.life, header: view.header, content: view.content, crdt: view.crdt },
        };
        self.check(&state, &body)?;
        let size = Change {
            replica: self.identity,
            counter: Counter(1),
            base: view.revision,
            over: Counter(1),
            time: UnixMillis(0),
            body: body.clone(),
        };
        let bytes = change_bytes(&size);
        if bytes > MAX_MESSAGE_BYTES / 2 {
            return Err(EditError::TooLarge);
        }
        if self.documents.get(id).is_some_and(|document| document.outbox.rejected.len() >= MAX_KEPT) {
            return Err(EditError::TooManyRejected);
        }
        let limit = self.config.max_outbox_bytes;
        let held: usize = self.documents.values().map(|document| document.outbox.bytes).sum();
        if held.saturating_add(bytes) > limit {
            return Err(EditError::OutboxFull { limit });
        }
        let is_update = matches!(body, Body::Merge { .. });
        let change = self.make_change(id, body, seen, origin).ok_or(EditError::NotOpen)?;
        if let Some(document) = self.documents.get_mut(id).filter(|_| !is_update) {
            document.outbox.undo.note_done(change);
        }
        Ok(change)
    }

    /// Whether a change takes effect where it is made, by the rules that the authority goes by.
    fn check(&self, state: &State, body: &Body) -> Result<(), EditError> {
        if let Body::Edit { patch, .. } = body {
            match state.life {
                Life::Alive => {
                    let mut content = state.content.clone();
                    apply(&mut content, patch, &self.config.limits)?;
                    return Ok(());
                }
                Life::Deleted => return Err(EditError::Deleted),
                Life::Absent => return Err(EditError::NotFound),
            }
        }
        let newer = |_: &PlacePath| Side::Incoming;
        let meeting = Meeting {
            body,
            seen: state,
            clean: None,
            current: state,
            #[cfg(feature = "crdt")]
            update: None,
            #[cfg(feature = "crdt")]
            is_measured: false,
            newer: &newer,
            limits: &self.config.limits,
        };
        match decide(&meeting) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(match refusal.code {
                ErrorCode::DocumentNotFound => EditError::NotFound,
                ErrorCode::DocumentDeleted => EditError::Deleted,
                ErrorCode::TooLarge => EditError::TooLarge,
                code => EditError::Refused { code, message: refusal.message },
            }),
        }
    }
}
