//! A document in memory: yrs, and what it must not see yet.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rejoin_json::{Json, Limits, Patch};
use thiserror::Error;
use yrs::updates::decoder::Decode as _;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn as _, Transact as _, TransactionMut};

use crate::coverage::Coverage;
use crate::editing::{self, Edit, EditError, Target};
use crate::parents::{Parents, TooDeep};
use crate::patching::{self, PatchingError};
use crate::position::Position;
use crate::price::{MAX_PRICE, Outline, TooDear};
use crate::state_vector::StateVector;
use crate::structure::{Id, Kind, Structure};
use crate::typing::{Author, Texts};
use crate::update::{Clocks, Update, Waiting};
use crate::view;

/// Bytes of updates that may wait in one document for others that are missing. Who sends more has to sync first.
pub const MAX_WAITING_BYTES: usize = 1 << 20;

/// What marks the transactions of edits that are made here, by which they are told from what others made.
pub(crate) const OWN: &str = "own";

/// A document that many edit at once.
///
/// yrs never has a gap in it: what refers to something that is not there waits outside, as it came. yrs integrates elements beyond missing ones of
/// the same client, and leaves out of what it encodes then what it took for missing.
pub struct Document {
    doc: Doc,
    /// What yrs has of each client, without a gap.
    held: Clocks,
    parents: Parents,
    outline: Outline,
    /// Whether there is, or was, a mark in it.
    has_marks: bool,
    /// Those that are edited by index here.
    texts: Texts,
    /// Updates that wait for others, oldest first.
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
}

/// What became of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was applied: the update or a part of it, and what had waited for that. Empty where all of it was there, or waits.
    pub updates: Vec<Update>,
    /// What had waited, and would nest types too deep or cost too much. It is dropped, with the rest of its update.
    pub dropped: Vec<Update>,
}

/// Why an update was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A type would stand deeper within others than [`MAX_DEPTH`](crate::MAX_DEPTH). Nothing was applied.
    #[error("types would be nested deeper than 64")]
    Depth,
    /// It would cost more than [`MAX_PRICE`]. Nothing was applied.
    #[error("the update would take too much work; send it in several")]
    Dear,
    /// It refers to what is missing here, and as much waits already as may: [`MAX_WAITING_BYTES`]. Nothing was applied.
    #[error("it refers to updates that are missing, and too many wait for those already; sync first")]
    Gap,
    /// yrs stopped half way. The document is of no use any more: it has to be made again from the updates before this one.
    #[error("the update cannot be applied; the document has to be made again without it")]
    Broken,
}

impl Document {
    /// An empty document, edited here by a client of this id: one that nobody else has, nor had.
    pub fn new(guid: &str, client: u64) -> Self {
        let mut options = Options::with_guid_and_client_id(guid.into(), ClientID::new(client));
        options.offset_kind = OffsetKind::Utf16;
        // It goes through whole texts again where one of several that edit a text deletes formatting.
        options.cleanup_formatting = false;
        Self {
            doc: Doc::with_options(options),
            held: Clocks::new(),
            parents: Parents::default(),
            outline: Outline::default(),
            has_marks: false,
            texts: Texts::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Applies an update, and what waited for it, whatever it costs: for what was applied before, as a log.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]: nothing was applied, and what waits stays as it was, or the document is broken.
    pub fn apply(&mut self, update: Update) -> Result<Applied, ApplyError> {
        self.apply_within(update, u64::MAX)
    }

    /// Applies an update of somebody else, and what waited for it, if it costs no more than [`MAX_PRICE`].
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply), and [`ApplyError::Dear`].
    pub fn admit(&mut self, update: Update) -> Result<Applied, ApplyError> {
        self.apply_within(update, MAX_PRICE)
    }

    /// What it would cost to apply an update: an upper bound of the work that grows with more than its bytes, in units of up to some 70 ns.
    /// It is counted no further than just above [`MAX_PRICE`]. What would wait costs nothing yet.
    pub fn price(&mut self, update: &Update) -> u64 {
        let Some(ready) = update.clone().split(&self.held).ready else { return 0 };
        let mut pricing = self.outline.price(MAX_PRICE);
        let held = &self.held;
        let added = ready.walk(held, |id, structure, bytes| {
            let at = held.get(&id.client).copied().unwrap_or(0).max(id.clock);
            pricing.add(Id { clock: at, ..id }, &rest(structure, at - id.clock), bytes, at > id.clock)
        });
        // Whoever stops has counted enough.
        let _ = added.and_then(|()| ready.each_deleted(|range| pricing.delete(range)));
        let price = pricing.price();
        let undo = pricing.into_undo();
        self.outline.take_back(undo);
        price
    }

    fn apply_within(&mut self, update: Update, most: u64) -> Result<Applied, ApplyError> {
        let split = update.split(&self.held);
        let bytes = split.waiting.as_ref().map_or(0, Waiting::bytes);
        if bytes > MAX_WAITING_BYTES - self.waiting_bytes.min(MAX_WAITING_BYTES) {
            return Err(ApplyError::Gap);
        }
        let mut applied = Applied::default();
        if let Some(ready) = split.ready {
            self.integrate(&ready, most)?;
            applied.updates.push(ready);
        }
        self.wait(split.waiting);
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.may_go_on(&self.held)) {
            let waiting = self.waiting.remove(at);
            self.waiting_bytes -= waiting.bytes();
            let split = waiting.update.split(&self.held);
            if let Some(ready) = split.ready {
                match self.integrate(&ready, most) {
                    Ok(()) => applied.updates.push(ready),
                    Err(ApplyError::Broken) => return Err(ApplyError::Broken),
                    Err(_) => {
                        applied.dropped.push(ready);
                        continue;
                    }
                }
            }
            self.wait(split.waiting);
        }
        Ok(applied)
    }

    fn wait(&mut self, waiting: Option<Waiting>) {
        if let Some(waiting) = waiting {
            self.waiting_bytes += waiting.bytes();
            self.waiting.push(waiting);
        }
    }

    /// Has yrs apply what refers to nothing that is missing.
    fn integrate(&mut self, update: &Update, most: u64) -> Result<(), ApplyError> {
        self.note(update, most)?;
        let doc = &self.doc;
        // yrs is known to panic on what nobody's client writes.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let decoded = yrs::Update::decode_v1(update.bytes()).ok()?;
            let mut transaction = doc.try_transact_mut().ok()?;
            transaction.apply_update(decoded).ok()?;
            Some(transaction.has_changes())
        }));
        // What comes back to who wrote it says nothing new.
        if applied.ok().flatten().ok_or(ApplyError::Broken)? {
            self.texts.forget_all();
        }
        Ok(())
    }

    /// Takes note of what an update adds; of nothing where types would stand too deep, or it costs too much.
    fn note(&mut self, update: &Update, most: u64) -> Result<(), ApplyError> {
        let mark = self.parents.mark();
        let (held, parents) = (&self.held, &mut self.parents);
        let mut pricing = self.outline.price(most);
        let added = update.walk(held, |id, structure, bytes| {
            self.has_marks |= structure.kind == Kind::Mark;
            let at = held.get(&id.client).copied().unwrap_or(0).max(id.clock);
            pricing.add(Id { clock: at, ..id }, &rest(structure, at - id.clock), bytes, at > id.clock)?;
            parents.note(Id { clock: at, ..id }, structure).map_err(ApplyError::from)
        });
        let noted = added.and_then(|()| update.each_deleted(|range| Ok(pricing.delete(range)?)));
        if let Err(error) = noted {
            let undo = pricing.into_undo();
            self.outline.take_back(undo);
            let from = update
                .facts()
                .inserted
                .iter()
                .map(|run| Id { client: run.client, clock: held.get(&run.client).copied().unwrap_or(0) });
            parents.forget_since(mark, from);
            return Err(error);
        }
        for run in &update.facts().inserted {
            let held = self.held.entry(run.client).or_default();
            *held = (*held).max(run.end);
        }
        Ok(())
    }

    /// Edits the document here, as one update; `None` where nothing changed.
    ///
    /// # Errors
    ///
    /// What the edit says, and [`ApplyError::Broken`] where it panics. Either way it may be half done: yrs takes nothing back, and the document has to be
    /// made again.
    pub fn edit<E: From<ApplyError>>(
        &mut self,
        edit: impl FnOnce(&mut TransactionMut<'_>) -> Result<(), E>,
    ) -> Result<Option<Update>, E> {
        self.texts.forget_all();
        self.write(|transaction| edit(transaction).map(|()| None))
    }

    /// As [`edit`](Self::edit). Takes the update that it is, where that is at hand.
    fn write<E: From<ApplyError>>(
        &mut self,
        edit: impl FnOnce(&mut TransactionMut<'_>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Update>, E> {
        let doc = &self.doc;
        let edited: Result<Result<Vec<u8>, E>, _> = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = doc.try_transact_mut_with(OWN).map_err(|_| ApplyError::Broken)?;
            let written = edit(&mut transaction)?;
            Ok(written.unwrap_or_else(|| transaction.encode_update_v1()))
        }));
        let bytes = edited.unwrap_or_else(|_| Err(ApplyError::Broken.into()))?;
        let most = bytes.len();
        let update = Update::check(bytes.into(), most).map_err(|_| ApplyError::Broken)?;
        if update.is_empty() {
            return Ok(None);
        }
        self.note(&update, u64::MAX)?;
        Ok(Some(update))
    }

    /// Takes note of updates that yrs makes by itself, where it takes back an edit.
    pub(crate) fn take_back(
        &mut self,
        undo: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Vec<Update>, ApplyError> {
        self.texts.forget_all();
        let made = catch_unwind(AssertUnwindSafe(undo)).map_err(|_| ApplyError::Broken)?;
        let mut updates = Vec::with_capacity(made.len());
        for bytes in made {
            let most = bytes.len();
            let update = Update::check(bytes.into(), most).map_err(|_| ApplyError::Broken)?;
            if !update.is_empty() {
                self.note(&update, u64::MAX)?;
                updates.push(update);
            }
        }
        Ok(updates)
    }

    /// The document as JSON; see [`ROOT_MAP`](crate::ROOT_MAP) for what stands where.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Broken`].
    pub fn json(&self) -> Result<Json, ApplyError> {
        let doc = &self.doc;
        let shown = catch_unwind(AssertUnwindSafe(|| Some(view::view(&doc.try_transact().ok()?))));
        shown.ok().flatten().ok_or(ApplyError::Broken)
    }

    /// Does what a JSON Patch says, as one update; `None` where nothing changed.
    ///
    /// # Errors
    ///
    /// [`PatchingError`]; but for [`PatchingError::Broken`] nothing has changed.
    pub fn patch(&mut self, patch: &Patch, limits: &Limits) -> Result<Option<Update>, PatchingError> {
        let steps = patching::steps(self.json()?, patch, limits)?;
        self.edit(|transaction| patching::run(transaction, patch, &steps))
    }

    /// Makes edits, as one update; `None` where nothing changed. All paths mean the document before them.
    ///
    /// # Errors
    ///
    /// [`EditError`]; but for [`EditError::Broken`] nothing has changed.
    pub fn perform(&mut self, edits: &[(Target, Edit)]) -> Result<Option<Update>, EditError> {
        let client = self.doc.client_id().get();
        let clock = self.held.get(&client).copied().unwrap_or(0);
        let author = Author { client, clock, has_marks: self.has_marks };
        // Whoever panics leaves them behind.
        let mut texts = mem::take(&mut self.texts);
        let mut asked = None;
        let made = self.write(|transaction| {
            let Some(batch) = texts.plan(transaction, edits, author)? else {
                editing::plan(transaction, edits)?.run(transaction);
                return Ok(None);
            };
            asked = batch.asks;
            batch.run(transaction)
        });
        if matches!(made, Err(EditError::Broken(_))) {
            return made;
        }
        if let (Some(asked), Ok(Some(update))) = (asked, &made) {
            texts.learn(asked, update);
        }
        self.texts = texts;
        made
    }

    /// What stands in a type, as the view shows it: a text without its marks, XML as text.
    ///
    /// # Errors
    ///
    /// [`EditError`] where there is no such type, or the document is broken.
    pub fn read(&self, target: &Target) -> Result<Json, EditError> {
        let doc = &self.doc;
        let read = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = doc.try_transact_mut().map_err(|_| ApplyError::Broken)?;
            editing::read(&mut transaction, target)
        }));
        read.unwrap_or_else(|_| Err(ApplyError::Broken.into()))
    }

    /// The position at an index of a text, in UTF-16 units, or of an array or XML. `before` where it belongs to what stands before it.
    ///
    /// # Errors
    ///
    /// [`EditError`].
    pub fn position(&self, target: &Target, index: u32, before: bool) -> Result<Position, EditError> {
        let doc = &self.doc;
        let made = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = doc.try_transact_mut().map_err(|_| ApplyError::Broken)?;
            editing::position(&mut transaction, target, index, before)
        }));
        made.unwrap_or_else(|_| Err(ApplyError::Broken.into()))
    }

    /// Where a position is by now: an index in its type; `None` where what it stands at is not there.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Broken`].
    pub fn index_of(&self, position: &Position) -> Result<Option<u32>, ApplyError> {
        let doc = &self.doc;
        let found = catch_unwind(AssertUnwindSafe(|| {
            let transaction = doc.try_transact().ok()?;
            Some(position.sticky().get_offset(&transaction).map(|offset| offset.index))
        }));
        found.ok().flatten().ok_or(ApplyError::Broken)
    }

    /// What it has of each client, without a gap.
    pub fn clocks(&self) -> &Clocks {
        &self.held
    }

    /// The same, as it is told to somebody who is to send what is missing.
    pub fn state_vector(&self) -> StateVector {
        self.held.iter().filter(|(_, clock)| **clock > 0).map(|(client, clock)| (*client, *clock)).collect()
    }

    /// What somebody lacks of it who has so much, and all that is deleted. What waits for others is not in it.
    pub fn since(&self, have: &StateVector) -> Result<Bytes, ApplyError> {
        let doc = &self.doc;
        let have = have.iter().map(|(client, clock)| (ClientID::new(client), clock)).collect();
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            Some(doc.try_transact().ok()?.encode_state_as_update_v1(&have))
        }));
        encoded.ok().flatten().map(Bytes::from).ok_or(ApplyError::Broken)
    }

    /// Whether an update would wait, or a part of it, for others that are missing.
    pub fn lacks_for(&self, update: &Update) -> bool {
        update.clone().split(&self.held).waiting.is_some()
    }

    /// How much it has, to tell later whether an update says anything new. What waits for others is not in it.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Broken`].
    pub fn coverage(&self) -> Result<Coverage, ApplyError> {
        let deleted = self.since(&self.state_vector())?;
        let most = deleted.len();
        let deleted = Update::check(deleted, most).map_err(|_| ApplyError::Broken)?;
        Ok(Coverage::of(self.held.clone(), deleted))
    }

    /// What waits for others, without what was applied of it, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Update> {
        self.waiting.iter().map(|waiting| &waiting.update)
    }

    /// Bytes of that.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// The document as yrs has it, to look at. Edits go through [`edit`](Self::edit): yrs would make others that this knows nothing of.
    pub fn doc(&self) -> &Doc {
        &self.doc
    }
}

/// What is left of a structure of which so much is there.
fn rest(structure: &Structure, there: u32) -> Structure {
    Structure { length: structure.length - there, ..*structure }
}

impl From<TooDeep> for ApplyError {
    fn from(_: TooDeep) -> Self {
        Self::Depth
    }
}

impl From<TooDear> for ApplyError {
    fn from(_: TooDear) -> Self {
        Self::Dear
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::editing::RootKind;

    #[test]
    fn what_is_remembered_of_texts_is_forgotten_where_somebody_else_edits() {
        let mut documents = [1, 2].map(|client| Document::new("room", client));
        let [own, other] = &mut documents;
        let target = |root: &str| Target { root: root.into(), kind: RootKind::Text, path: Vec::new() };
        let typed = |document: &mut Document, root, index| {
            let edit = Edit::InsertText { index, text: "a".into(), attributes: None };
            document.perform(&[(target(root), edit)]).unwrap().unwrap()
        };
        let updates = [0, 1, 2].map(|index| typed(own, "one", index));
        let gone = own.perform(&[(target("one"), Edit::Delete { index: 1, length: 1 })]).unwrap().unwrap();
        for update in updates.into_iter().chain([gone]) {
            other.apply(update.clone()).unwrap();
            own.apply(update).unwrap();
            assert!(!own.texts.is_empty());
        }
        let mut nothing = Target { kind: RootKind::Array, ..target("two") };
        own.perform(&[(nothing.clone(), Edit::Insert { index: 0, values: Vec::new() })]).unwrap();
        assert!(!own.texts.is_empty());
        nothing.root = "one".into();
        own.perform(&[(nothing, Edit::Insert { index: 0, values: Vec::new() })]).unwrap();
        assert!(own.texts.is_empty());
        typed(own, "one", 2);
        assert!(!own.texts.is_empty());
        own.apply(typed(other, "one", 0)).unwrap();
        assert!(own.texts.is_empty());
    }
}
