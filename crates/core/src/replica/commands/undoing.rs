//! Taking own changes back, and doing them again.

use rejoin_json::{MergeOptions, Policy, undo};

use super::*;
use crate::replica::Document;

/// Own changes per document that can be undone in turn.
const MAX_UNDO: usize = 1_000;

/// Changes that can be undone and redone, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoStacks {
    pub(crate) done: Vec<ChangeId>,
    pub(crate) undone: Vec<ChangeId>,
}

impl UndoStacks {
    /// Takes note of an own change, which the next undo takes back.
    pub(super) fn note_done(&mut self, change: ChangeId) {
        self.done.push(change);
        if self.done.len() > MAX_UNDO {
            self.done.remove(0);
        }
    }

    /// Forgets a change that can be neither undone nor redone.
    pub(crate) fn forget(&mut self, change: ChangeId) {
        for stack in [&mut self.done, &mut self.undone] {
            stack.retain(|name| *name != change);
        }
    }
}

/// What an undo did.
#[derive(Clone, Debug)]
pub struct Undone {
    /// The change that takes the other one back.
    pub change: ChangeId,
    /// Places that stay as others have changed them since.
    pub kept: Vec<PlacePath>,
}

impl Replica {
    /// Takes back the newest own change that was not taken back yet. One whose history is not held is reported once: the next undo goes on
    /// with the one before it.
    pub fn undo(&mut self, id: &DocumentId) -> Result<Undone, EditError> {
        note!(self, Undo { document: id.clone() });
        let origin = self.begin(id)?;
        let document = self.loaded(id).ok_or(EditError::NotOpen)?;
        let change = *document.outbox.undo.done.last().ok_or(EditError::NothingToUndo)?;
        let undone = self.undo_on_stack(id, change, origin)?;
        if let Some(document) = self.documents.get_mut(id) {
            let stacks = &mut document.outbox.undo;
            // The undo itself is not undone by the next undo, but by redo.
            stacks.done.retain(|done| *done != change && *done != undone.change);
            stacks.undone.push(undone.change);
        }
        Ok(undone)
    }

    /// Takes back the newest undo. One whose history is not held is reported once.
    pub fn redo(&mut self, id: &DocumentId) -> Result<Undone, EditError> {
        note!(self, Redo { document: id.clone() });
        let origin = self.begin(id)?;
        let document = self.loaded(id).ok_or(EditError::NotOpen)?;
        let change = *document.outbox.undo.undone.last().ok_or(EditError::NothingToUndo)?;
        let undone = self.undo_on_stack(id, change, origin)?;
        if let Some(document) = self.documents.get_mut(id) {
            document.outbox.undo.undone.retain(|undone| *undone != change);
        }
        Ok(undone)
    }

    fn undo_on_stack(
        &mut self,
        id: &DocumentId,
        change: ChangeId,
        origin: Origin,
    ) -> Result<Undone, EditError> {
        let undone = self.take_back(id, change, origin);
        // What is not held now will not be later: it must not stand in the way of what lies below.
        if matches!(undone, Err(EditError::HistoryNotHeld))
            && let Some(document) = self.documents.get_mut(id)
        {
            document.outbox.undo.forget(change);
        }
        undone
    }

    /// Takes back one change, of whomever: merge(content after it, view, content before it). Places that were changed since stay.
    pub fn undo_change(&mut self, id: &DocumentId, change: ChangeId) -> Result<Undone, EditError> {
        note!(self, UndoChange { document: id.clone(), change });
        let origin = self.begin(id)?;
        self.take_back(id, change, origin)
    }

    fn take_back(&mut self, id: &DocumentId, change: ChangeId, origin: Origin) -> Result<Undone, EditError> {
        let limits = self.config.limits;
        let view = self.view(id).ok_or(EditError::NotOpen)?;
        let document = self.loaded(id).ok_or(EditError::NotOpen)?;
        let (before, after) = around(document, change, &limits).ok_or(EditError::HistoryNotHeld)?;
        if before.life != after.life {
            let life = if before.life == Life::Alive { Life::Alive } else { Life::Deleted };
            let back = self.submit_life(id, life, origin)?;
            return Ok(Undone { change: back, kept: Vec::new() });
        }
        if before.header != after.header {
            let back = self.submit_header(id, (*before.header).clone(), origin)?;
            return Ok(Undone { change: back, kept: Vec::new() });
        }
        let newer = |_: &PlacePath| Side::Current;
        let options = MergeOptions {
            policy: Policy::Ours,
            identity_keys: view.header.identity.as_slice().into(),
            counters: &view.header.counters,
            limits,
            newer: &newer,
        };
        let merged = undo(&before.content, &after.content, &view.content, &options).map_err(|error| {
            EditError::Refused { code: ErrorCode::InvalidPatch, message: error.to_string().into() }
        })?;
        let kept = merged.conflicts.into_iter().map(|conflict| conflict.path).collect();
        let body = Body::Edit { patch: merged.forward, settles: Vec::new(), undoes: Some(change) };
        let change = self.submit_own(id, body, origin)?;
        Ok(Undone { change, kept })
    }
}

/// The states before and after a change.
fn around(document: &Document, change: ChangeId, limits: &rejoin_json::Limits) -> Option<(State, State)> {
    if let Some(seen) = document.outbox.seen(change, limits) {
        let own = document.outbox.own(change)?;
        let mut after = seen.clone();
        crate::merging::apply_to_seen(&mut after, &own.change.body, limits);
        return Some((seen, after));
    }
    let (revision, _) =
        document.log.since(document.log.floor()).find(|(_, revised)| revised.entry.change == change)?;
    let before = document.log.state_at(&document.durable, revision.previous(), limits)?;
    let after = document.log.state_at(&document.durable, revision, limits)?;
    Some((before, after))
}
