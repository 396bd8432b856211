//! What the updates of a CRDT document come to, where that has to be known: at the authority.

use bytes::Bytes;
use rejoin_crdt::{Applied, ApplyError, Document, PatchingError, StateVector, Update};
use rejoin_json::{Json, Limits, Patch, PatchError};
use rejoin_wire::limits::{MAX_CRDT_BYTES, MAX_UPDATES_PER_SNAPSHOT};
use rejoin_wire::{CrdtUpdate, ErrorCode};

use super::Crdt;
use crate::merging::Refusal;

/// Updates after which they are summed up at the latest, where nothing else is configured.
pub(crate) const MAX_UNSUMMED_UPDATES: usize = 1_024;

/// Bytes of updates below which they are not summed up for their bytes. Above that it is done where they are as many as those of the sum, so
/// that what it costs grows with what is written, and always once the document has half of the bytes that it may have: it is as large as its sum.
pub(crate) const MIN_UNSUMMED_BYTES: usize = 64 * 1024;

/// Updates that may wait in a document for others that are missing.
pub(crate) const MAX_WAITING_UPDATES: usize = 4_096;

/// An update by which nothing changes.
const NOTHING: Bytes = Bytes::from_static(&[0, 0]);

/// Who edits nothing.
pub(super) const NOBODY: u64 = 0;

/// A document with all of some updates.
pub(crate) struct Sum {
    /// As whom it is edited.
    client: u64,
    document: Document,
    of: Crdt,
    /// What was added besides, and is not decided yet.
    undecided: Option<CrdtUpdate>,
}

impl Sum {
    /// The sum of nothing, in which this client may edit.
    pub(super) fn empty(client: u64) -> Self {
        Self { client, document: Document::new("", client), of: Crdt::default(), undecided: None }
    }

    /// The sum of these updates, from scratch.
    pub(crate) fn of(crdt: &Crdt, client: u64) -> Self {
        let mut sum = Self::empty(client);
        for update in crdt.updates() {
            // Each was accepted behind those before it, whatever it cost, and what yrs could not apply then it cannot apply now.
            if sum.apply(&update, Document::apply) == Err(Refused::Broken) {
                sum = Self::without(crdt, &update, client);
                break;
            }
        }
        sum.of = crdt.clone();
        sum
    }

    /// The sum without an update that breaks the document: it was accepted by a release that could apply it.
    fn without(crdt: &Crdt, broken: &CrdtUpdate, client: u64) -> Self {
        let mut sum = Self::empty(client);
        for update in crdt.updates().iter().filter(|update| *update != broken) {
            if sum.apply(update, Document::apply) == Err(Refused::Broken) {
                return Self::empty(client);
            }
        }
        sum
    }

    /// Goes on to these updates, from scratch where they are no continuation; `client` counts only then.
    pub(crate) fn go_on(mut self, crdt: &Crdt, client: u64) -> Self {
        let Some(more) = crdt.since(&self.of) else { return Self::of(crdt, client) };
        for update in more {
            if self.apply(&update, Document::apply) == Err(Refused::Broken) {
                return Self::of(crdt, client);
            }
        }
        self.of = crdt.clone();
        self
    }

    /// Adds an update that was accepted long ago; false where that cannot be done, and the sum is of no use any more.
    pub(crate) fn push(&mut self, update: &CrdtUpdate) -> bool {
        self.apply(update, Document::apply) != Err(Refused::Broken)
    }

    /// What it is the sum of.
    pub(super) fn updates(&self) -> &Crdt {
        &self.of
    }

    /// What it shows as JSON.
    pub(crate) fn json(&self) -> Json {
        // A document that cannot be read shows nothing, as one that cannot be built.
        self.document.json().unwrap_or_default()
    }

    /// Makes a patch of what it shows an update, and adds that, which is to be accepted next. The sum is of no use any more where that breaks it.
    pub(crate) fn edit(&mut self, patch: &Patch, limits: &Limits) -> Result<CrdtUpdate, Refused> {
        match self.document.patch(patch, limits) {
            Ok(update) => {
                let update = CrdtUpdate(update.map_or(NOTHING, |update| update.bytes().clone()));
                self.undecided = Some(update.clone());
                Ok(update)
            }
            Err(PatchingError::Patch(error)) => Err(Refused::Patch(error)),
            Err(PatchingError::Broken(_)) => Err(Refused::Broken),
            Err(error) => Err(Refused::Unfit(error.to_string())),
        }
    }

    /// Whether an update refers to what is missing here; false for one that cannot be read.
    pub(crate) fn lacks_for(&self, update: &CrdtUpdate) -> bool {
        let checked = Update::check(update.0.clone(), MAX_CRDT_BYTES);
        checked.is_ok_and(|update| self.document.lacks_for(&update))
    }

    /// Adds an update that is to be accepted next; the sum is of no use any more where that breaks it.
    pub(crate) fn add(&mut self, update: &CrdtUpdate) -> Result<(), Refused> {
        self.apply(update, Document::admit)?;
        self.undecided = Some(update.clone());
        Ok(())
    }

    /// Whether the document has no more bytes than this, with what was added, however it is told.
    pub(crate) fn fits(&self, most: usize) -> bool {
        let told = self.of.bytes() + self.undecided.as_ref().map_or(0, |update| update.0.len());
        told <= most
            || self
                .whole()
                .is_some_and(|whole| whole.iter().map(|update| update.0.len()).sum::<usize>() <= most)
    }

    /// All of it in few updates; `None` where it cannot be written.
    fn whole(&self) -> Option<Vec<CrdtUpdate>> {
        let whole = self.document.since(&StateVector::default()).ok()?;
        let waiting = self.document.waiting().map(|update| CrdtUpdate(update.bytes().clone()));
        Some(std::iter::once(CrdtUpdate(whole)).chain(waiting).collect())
    }

    /// The update was accepted, or another one in its place, as one that was made of the same patch elsewhere: false then, and the sum is of no use
    /// any more.
    pub(crate) fn accepted(&mut self, crdt: &Crdt) -> bool {
        let added = self.undecided.take();
        let is_that = crdt.since(&self.of).is_some_and(|more| more.iter().eq(&added));
        self.of = crdt.clone();
        is_that
    }

    /// Whether it is the sum of these updates and one that was added besides, which is this one, in which this client may edit.
    pub(crate) fn awaits(&self, crdt: &Crdt, update: &CrdtUpdate, client: u64) -> bool {
        self.client == client && self.of.is(crdt) && self.undecided.as_ref() == Some(update)
    }

    /// Whether an update was added that has no outcome.
    pub(crate) fn has_undecided(&self) -> bool {
        self.undecided.is_some()
    }

    fn apply(
        &mut self,
        update: &CrdtUpdate,
        apply: fn(&mut Document, Update) -> Result<Applied, ApplyError>,
    ) -> Result<(), Refused> {
        let checked = Update::check(update.0.clone(), MAX_CRDT_BYTES)
            .map_err(|malformed| Refused::Malformed(malformed.to_string()))?;
        if self.document.waiting().len() >= MAX_WAITING_UPDATES {
            return Err(Refused::Gap);
        }
        match apply(&mut self.document, checked) {
            Ok(_) => Ok(()),
            Err(ApplyError::Gap) => Err(Refused::Gap),
            Err(ApplyError::Broken) => Err(Refused::Broken),
            Err(error) => Err(Refused::Malformed(error.to_string())),
        }
    }

    /// The same in few updates, where it is told in so many that this is worth it, or more than a snapshot holds.
    pub(crate) fn shortened(&mut self, max_unsummed: usize, most: usize) -> Option<Crdt> {
        let (count, bytes) = self.of.unsummed();
        let is_long = count >= max_unsummed
            || bytes >= MIN_UNSUMMED_BYTES
                && (bytes >= self.of.bytes() - bytes || self.of.bytes() >= MAX_CRDT_BYTES / 2)
            || self.of.bytes() > most
            || self.of.count() > MAX_UPDATES_PER_SNAPSHOT;
        if !is_long {
            return None;
        }
        self.of = Crdt::sum(self.whole()?);
        Some(self.of.clone())
    }
}

/// Why an update is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Malformed(String),
    Gap,
    /// What it refers to was rejected.
    OverRejected,
    TooLarge,
    Broken,
    /// A patch does not apply to what the document shows.
    Patch(PatchError),
    /// A patch makes what no CRDT document can hold.
    Unfit(String),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(reason) => {
                Self::new(ErrorCode::InvalidUpdate, format!("the update is refused: {reason}"))
            }
            Refused::Gap => Self::new(
                ErrorCode::MissingUpdates,
                "the update refers to others that are missing, and too many wait for those already; send those first",
            ),
            Refused::TooLarge => Self::too_large(),
            Refused::OverRejected => Self::depends_on_rejected(),
            Refused::Broken => {
                Self::new(ErrorCode::InvalidUpdate, "the update cannot be applied to the document")
            }
            Refused::Patch(error) => crate::merging::refused_merge(error.into()),
            Refused::Unfit(reason) => Self::new(ErrorCode::InvalidPatch, reason),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn set(author: &mut Document, key: &str, bytes: usize) -> CrdtUpdate {
        let patch = format!(r#"[{{"op":"add","path":"/{key}","value":"{}"}}]"#, "x".repeat(bytes));
        let patch = Patch::parse(&patch, &Limits::default()).unwrap();
        CrdtUpdate(author.patch(&patch, &Limits::default()).unwrap().unwrap().bytes().clone())
    }

    fn accept(sum: &mut Sum, crdt: &Crdt, update: CrdtUpdate) -> Crdt {
        sum.add(&update).unwrap();
        let crdt = crdt.with(update);
        assert!(sum.accepted(&crdt));
        sum.shortened(MAX_UNSUMMED_UPDATES, MAX_CRDT_BYTES).unwrap_or(crdt)
    }

    #[test]
    fn a_large_document_is_as_large_as_its_sum() {
        let (mut author, mut sum, mut crdt) = (Document::new("", 7), Sum::empty(NOBODY), Crdt::default());
        let large = MAX_CRDT_BYTES / 2;
        let update = set(&mut author, "large", large);
        crdt = accept(&mut sum, &crdt, update);
        // Each takes the place of the one before, of which nothing is left but that it was there.
        for _ in 0..8 {
            let update = set(&mut author, "small", MIN_UNSUMMED_BYTES);
            crdt = accept(&mut sum, &crdt, update);
            assert!(crdt.bytes() < large + 2 * MIN_UNSUMMED_BYTES, "{}", crdt.bytes());
        }
    }

    #[test]
    fn what_is_there_already_makes_no_document_too_large() {
        let (mut author, mut sum) = (Document::new("", 7), Sum::empty(NOBODY));
        let update = set(&mut author, "large", MAX_CRDT_BYTES / 2);
        let crdt = accept(&mut sum, &Crdt::default(), update);
        set(&mut author, "small", 1);
        let again = CrdtUpdate(author.since(&StateVector::default()).unwrap());
        assert!(crdt.bytes() + again.0.len() > MAX_CRDT_BYTES);
        sum.add(&again).unwrap();
        assert!(sum.fits(MAX_CRDT_BYTES));
        let crdt = crdt.with(again);
        assert!(sum.accepted(&crdt));
        let crdt = sum.shortened(MAX_UNSUMMED_UPDATES, MAX_CRDT_BYTES).unwrap();
        assert!(crdt.bytes() < MAX_CRDT_BYTES / 2 + 100, "{}", crdt.bytes());

        let more = set(&mut Document::new("", 8), "more", MAX_CRDT_BYTES / 2);
        sum.add(&more).unwrap();
        assert!(!sum.fits(MAX_CRDT_BYTES));
    }

    #[test]
    fn updates_are_told_one_by_one_up_to_the_limit() {
        let (mut author, mut sum, mut crdt) = (Document::new("", 7), Sum::empty(NOBODY), Crdt::default());
        for number in 1..MAX_UNSUMMED_UPDATES {
            let update = set(&mut author, "k", 1);
            crdt = accept(&mut sum, &crdt, update);
            assert_eq!(crdt.count(), number);
        }
        let update = set(&mut author, "k", 1);
        assert_eq!(accept(&mut sum, &crdt, update).count(), 1);
    }
}
