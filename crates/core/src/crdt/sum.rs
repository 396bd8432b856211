//! What the updates of a CRDT document come to, where that has to be known: at the authority.

use bytes::Bytes;
use rejoin_crdt::{Applied, ApplyError, Document, PatchingError, StateVector, Update};
use rejoin_json::{Json, Limits, Patch, PatchError};
use rejoin_wire::limits::{MAX_CRDT_BYTES, MAX_UPDATES_PER_SNAPSHOT};
use rejoin_wire::{CrdtUpdate, ErrorCode};

use super::Crdt;
use crate::merging::Refusal;

/// Updates after which they are summed up, at the latest.
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
    document: Document,
    of: Crdt,
}

impl Sum {
    /// The sum of nothing, in which this client may edit.
    pub(super) fn empty(client: u64) -> Self {
        Self { document: Document::new("", client), of: Crdt::default() }
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
            Ok(update) => Ok(CrdtUpdate(update.map_or(NOTHING, |update| update.bytes().clone()))),
            Err(PatchingError::Patch(error)) => Err(Refused::Patch(error)),
            Err(PatchingError::Broken(_)) => Err(Refused::Broken),
            Err(error) => Err(Refused::Unfit(error.to_string())),
        }
    }

    /// Adds an update that is to be accepted next; the sum is of no use any more where that breaks it.
    pub(crate) fn add(&mut self, update: &CrdtUpdate) -> Result<(), Refused> {
        self.apply(update, Document::admit)
    }

    /// The update was accepted.
    pub(crate) fn accepted(&mut self, crdt: &Crdt) {
        self.of = crdt.clone();
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
    pub(crate) fn shortened(&mut self) -> Option<Crdt> {
        let (count, bytes) = self.of.unsummed();
        let is_long = count >= MAX_UNSUMMED_UPDATES
            || bytes >= MIN_UNSUMMED_BYTES
                && (bytes >= self.of.bytes() - bytes || self.of.bytes() >= MAX_CRDT_BYTES / 2)
            || self.of.count() > MAX_UPDATES_PER_SNAPSHOT;
        if !is_long {
            return None;
        }
        let whole = self.document.since(&StateVector::default()).ok()?;
        let waiting = self.document.waiting().map(|update| CrdtUpdate(update.bytes().clone()));
        self.of = Crdt::sum(std::iter::once(CrdtUpdate(whole)).chain(waiting));
        Some(self.of.clone())
    }
}

/// Why an update is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Malformed(String),
    Gap,
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
        sum.accepted(&crdt);
        sum.shortened().unwrap_or(crdt)
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
