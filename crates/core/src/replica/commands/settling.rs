//! What settling a conflict does to the content, and where.

use rejoin_json::{DiffOptions, Json, Limits, Operation as Edit, Patch, PlacePath, Step, diff};
use rejoin_wire::ConflictRecord;

use super::requests::Read;
use super::*;
use crate::log::MAX_OLDER_REVISIONS;
use crate::places::{Followed, has_index};
use crate::replica::{CORRUPTED, Document, OpenConflict};

/// How to settle a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum ConflictChoice {
    /// The document stays as it is.
    Keep,
    /// The value that stood when the change arrived.
    Current,
    /// The value that the change brought.
    Incoming,
    /// The value before both.
    Base,
    /// Another value.
    Value(Json),
}

impl ConflictChoice {
    /// The patch that gives the place of a conflict the chosen value in a content, or removes what stands there.
    ///
    /// `place` is where the place of the record is in that content, and `None` when that is not known any more. An element without an identity
    /// is known by its index in the revision of the record, so that only who has the revisions since can say where it is now: of a document
    /// that is read from the authority [`Replica::read_conflict`] does.
    ///
    /// `None` when the place is gone.
    pub fn patch(self, record: &ConflictRecord, place: Option<&PlacePath>, content: &Json) -> Option<Patch> {
        let value = match self {
            Self::Keep => return Some(Patch::default()),
            Self::Current => record.current.clone(),
            Self::Incoming => record.incoming.clone(),
            Self::Base => record.base.clone(),
            Self::Value(value) => Some(value),
        };
        patch_to(place?, content, value)
    }
}

/// The patch that gives a place a value, or removes it; `None` when the place it would stand in is gone.
fn patch_to(place: &PlacePath, content: &Json, value: Option<Json>) -> Option<Patch> {
    let operation = match (place.resolve(content), value) {
        (Some(path), Some(value)) => Edit::Replace { path, value },
        (Some(path), None) if !path.is_root() => Edit::Remove { path },
        (Some(path), None) => Edit::Replace { path, value: Json::Null },
        (None, None) => return Some(Patch::default()),
        (None, Some(value)) => {
            let (last, parents) = place.steps().split_last()?;
            let mut path = PlacePath::from(parents.to_vec()).resolve(content)?;
            match last {
                Step::Key(key) => path.push_back(key.as_ref()),
                Step::Id { .. } => path.push_back("-"),
                Step::Index(_) => return None,
            }
            Edit::Add { path, value }
        }
    };
    Some(Patch(vec![operation]))
}

impl Replica {
    /// Settles a conflict: the record closes, and the place gets the chosen value.
    pub fn settle(
        &mut self,
        id: &DocumentId,
        conflict: ConflictId,
        choice: ConflictChoice,
    ) -> Result<ChangeId, EditError> {
        note!(self, Settle { document: id.clone(), conflict, choice: choice.clone() });
        let origin = self.begin(id)?;
        let limits = self.config.limits;
        let view = self.view(id).ok_or(EditError::NotOpen)?;
        let record = view.conflicts.get(&conflict).ok_or(EditError::NoSuchConflict)?;
        let document = self.loaded(id).ok_or(EditError::NotOpen)?;
        let confirmed = &document.durable.state.content;
        let place = document.place_of(record, &limits);
        let place = place.and_then(|place| place_in_view(place, confirmed, &view, &limits));
        let patch = choice.patch(record, place.as_ref(), &view.content).ok_or(EditError::PlaceGone)?;
        self.submit_own(id, Body::Edit { patch, settles: vec![conflict], undoes: None }, origin)
    }

    /// Reads a document, as it is durable, and where the place of one of its conflicts is in it: what a settlement of that conflict is made of.
    /// Answered by [`Reply::Conflict`].
    pub fn read_conflict(&mut self, token: Token, id: &DocumentId, conflict: ConflictId) {
        note!(self, ReadConflict { token, document: id.clone(), conflict });
        if !SERVES {
            self.decides_nothing(token);
            return;
        }
        self.document(id);
        self.reads.entry(id.clone()).or_default().push(Read::Conflict(token, conflict));
    }

    /// Answers from memory; gives the question back while older revisions are read.
    pub(super) fn answer_read_conflict(
        &mut self,
        id: &DocumentId,
        token: Token,
        conflict: ConflictId,
    ) -> Option<Read> {
        let limits = self.config.limits;
        let document = self.loaded(id)?;
        let newest = document.durable.revision.0;
        let is_near = newest.checked_sub(conflict.revision.0).is_some_and(|ago| ago <= MAX_OLDER_REVISIONS);
        let record = document.durable.conflicts.get(&conflict);
        let is_followed = record.is_some_and(|record| has_index(&record.path));
        if is_followed && is_near && self.load_older(id, conflict.revision) {
            return Some(Read::Conflict(token, conflict));
        }
        let document = self.loaded(id)?;
        let reply = if document.is_lost() {
            Reply::Refused { code: ErrorCode::Corrupted, message: CORRUPTED.into() }
        } else {
            let view = document.confirmed(id);
            let record = view.conflicts.get(&conflict);
            let place = record.and_then(|record| document.place_of(record, &limits));
            Reply::Conflict(Box::new(OpenConflict { view, place }))
        };
        self.answer(id, token, reply);
        None
    }
}

impl Document {
    /// Where the place of a conflict is in what the authority has confirmed; `None` where an element is gone that is known by its index only,
    /// and where the revisions since the record are not held here.
    fn place_of(&self, record: &ConflictRecord, limits: &Limits) -> Option<PlacePath> {
        if !has_index(&record.path) {
            return Some(record.path.clone());
        }
        let revision = record.id.revision;
        let then = self.log.state_at(&self.durable, revision, limits)?;
        let mut place = Followed::of(&record.path, then.content, limits)?;
        let since = self.log.since(revision).take_while(|(at, _)| *at <= self.durable.revision);
        for (_, revised) in since {
            match &revised.entry.effect {
                Effect::Patched { patch } => place.patched(patch)?,
                Effect::Created { content, .. } => place.replaced_by(content)?,
                _ => {}
            }
        }
        Some(place.into_place())
    }
}

/// Where a place of the confirmed content is in the one with own changes.
fn place_in_view(place: PlacePath, confirmed: &Json, view: &View, limits: &Limits) -> Option<PlacePath> {
    if !has_index(&place) || view.content.ptr_eq(confirmed) {
        return Some(place);
    }
    let options =
        DiffOptions { identity_keys: view.header.identity.as_slice().into(), ..DiffOptions::default() };
    let mut place = Followed::of(&place, confirmed.clone(), limits)?;
    place.patched(&diff(confirmed, &view.content, &options))?;
    Some(place.into_place())
}
