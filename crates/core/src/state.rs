//! A document at one revision, and how one revision leads to the next and back.

use std::sync::Arc;

use rejoin_json::{Json, Limits, Patch, PatchError, apply};
use rejoin_wire::{
    ChainHash, ChangeHash, ConflictId, ConflictRecord, Effect, Entry, Header, Revision, Sequence, UnixMillis,
    Wire, Writer,
};

use sha2::{Digest, Sha256};

use crate::clock::VectorClock;
use crate::collections::BTreeMap;
use crate::crdt::Crdt;

/// Whether a document exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Never created here.
    Absent,
    /// Created, not deleted.
    Alive,
    /// Deleted: a tombstone that keeps the content for an undelete.
    Deleted,
}

/// What a person sees of a document, and what governs it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Whether it exists.
    pub life: Life,
    /// What governs it.
    pub header: Arc<Header>,
    /// Its content; null while absent, and of a CRDT document.
    pub content: Json,
    /// What a CRDT document is made of; absent for a JSON document.
    pub crdt: Option<Crdt>,
}

impl State {
    /// A document that was never created.
    pub fn absent() -> Self {
        Self { life: Life::Absent, header: Arc::new(Header::default()), content: Json::Null, crdt: None }
    }

    /// True when the document exists and is not deleted.
    pub fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// A JSON document.
    pub(crate) fn alive(header: Arc<Header>, content: Json) -> Self {
        Self { life: Life::Alive, header, content, crdt: None }
    }

    /// The shown name: [`Header::shown_title`].
    pub fn title(&self) -> Option<Arc<str>> {
        self.header.shown_title(&self.content)
    }

    /// True when both are the same without looking deeply.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let same_crdt = match (&self.crdt, &other.crdt) {
            (None, None) => true,
            (Some(own), Some(others)) => own.is(others),
            _ => false,
        };
        self.life == other.life
            && self.content.ptr_eq(&other.content)
            && self.header == other.header
            && same_crdt
    }
}

/// How to go back from a revision to the one before it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reverse {
    /// Nothing changed.
    Nothing,
    /// Applies to the content.
    Patch(Patch),
    /// The header before.
    Header(Arc<Header>),
    /// The life before.
    Life(Life),
    /// Everything before.
    Whole(Box<State>),
    /// The updates before, where they are known: a stored revision says only that its update goes.
    Merged(Option<Crdt>),
}

/// Why an effect does not fit the state that it is applied to: the two sides do not hold the same revision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EffectError {
    #[error("the effect does not apply: {0}")]
    Patch(#[from] PatchError),
    #[error("the effect `own` must be filled in first")]
    Own,
    #[error("the document is a JSON document and takes no updates")]
    Kind,
}

/// Applies what a revision does, and says how to go back. Nothing changes on an error.
pub(crate) fn apply_effect(
    state: &mut State,
    effect: &Effect,
    limits: &Limits,
) -> Result<Reverse, EffectError> {
    Ok(match effect {
        Effect::Own => return Err(EffectError::Own),
        Effect::Void => Reverse::Nothing,
        Effect::Created { header, content } => {
            let next = State::alive(Arc::new(header.clone()), content.clone());
            Reverse::Whole(Box::new(std::mem::replace(state, next)))
        }
        Effect::Patched { patch } if patch.0.is_empty() => Reverse::Nothing,
        Effect::Patched { patch } => {
            Reverse::Patch(rejoin_json::apply_inverting(&mut state.content, patch, limits)?)
        }
        Effect::Header { header } => {
            Reverse::Header(std::mem::replace(&mut state.header, Arc::new(header.clone())))
        }
        Effect::Merged { update } => match &mut state.crdt {
            Some(crdt) => {
                let more = crdt.with(update.clone());
                Reverse::Merged(Some(std::mem::replace(crdt, more)))
            }
            None if state.life == Life::Absent => {
                let crdt = Some(Crdt::default().with(update.clone()));
                let next = State { crdt, ..State::alive(Arc::clone(&state.header), Json::Null) };
                Reverse::Whole(Box::new(std::mem::replace(state, next)))
            }
            None => return Err(EffectError::Kind),
        },
        Effect::Deleted => Reverse::Life(std::mem::replace(&mut state.life, Life::Deleted)),
        Effect::Undeleted => Reverse::Life(std::mem::replace(&mut state.life, Life::Alive)),
    })
}

/// Why a revision cannot be gone back over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReverseError {
    #[error("the way back does not apply: {0}")]
    Patch(#[from] PatchError),
    #[error("the updates before this revision are no longer told one by one")]
    Sum,
}

/// Goes back one revision. What bounds the work of a patch bounded the one that this takes back, which may have half as many operations.
pub(crate) fn apply_reverse(
    state: &mut State,
    reverse: &Reverse,
    limits: &Limits,
) -> Result<(), ReverseError> {
    match reverse {
        Reverse::Nothing => {}
        Reverse::Patch(patch) => {
            let back = Limits {
                max_operations: usize::MAX,
                max_copied_bytes: usize::MAX,
                max_spliced_bytes: u64::MAX,
                align_arrays: true,
                ..*limits
            };
            apply(&mut state.content, patch, &back)?;
        }
        Reverse::Header(header) => state.header = Arc::clone(header),
        Reverse::Life(life) => state.life = *life,
        Reverse::Merged(before) => {
            let before = before.as_ref().or_else(|| state.crdt.as_ref().and_then(Crdt::before));
            state.crdt = Some(before.cloned().ok_or(ReverseError::Sum)?);
        }
        Reverse::Whole(before) => *state = (**before).clone(),
    }
    Ok(())
}

/// A document at one revision, with all that replicas agree on there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) state: State,
    pub(crate) revision: Revision,
    pub(crate) chain: ChainHash,
    /// Feed number of the revision.
    pub(crate) sequence: Sequence,
    /// User-visible saves: revisions that changed content or life.
    pub(crate) version: u64,
    pub(crate) conflicts: Arc<BTreeMap<ConflictId, ConflictRecord>>,
    pub(crate) created_at: UnixMillis,
    pub(crate) updated_at: UnixMillis,
    pub(crate) author: Arc<str>,
    /// Highest counter with an outcome, per replica. Authorities know rejections too; others only what was accepted.
    pub(crate) clock: Arc<VectorClock>,
}

impl Point {
    pub(crate) fn absent() -> Self {
        Self {
            state: State::absent(),
            revision: Revision(0),
            chain: ChainHash::default(),
            sequence: Sequence(0),
            version: 0,
            conflicts: Arc::default(),
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            author: "".into(),
            clock: Arc::default(),
        }
    }

    /// Goes on by one revision. Nothing changes on an error.
    pub(crate) fn advance(&mut self, entry: &Entry, limits: &Limits) -> Result<Reverse, EffectError> {
        let reverse = apply_effect(&mut self.state, &entry.effect, limits)?;
        self.note(entry);
        Ok(reverse)
    }

    /// Goes on by one revision whose resulting state is known already.
    pub(crate) fn advance_to(&mut self, entry: &Entry, state: State) {
        self.state = state;
        self.note(entry);
    }

    fn note(&mut self, entry: &Entry) {
        self.revision = self.revision.next();
        self.chain = chain_after(self.chain, entry);
        self.sequence = entry.sequence;
        if self.revision == Revision(1) {
            self.created_at = entry.time;
        }
        self.updated_at = entry.time;
        self.author = Arc::clone(&entry.author);
        if !matches!(entry.effect, Effect::Void | Effect::Header { .. }) {
            self.version += 1;
        }
        if !entry.settled.is_empty() || !entry.conflicts.is_empty() {
            let conflicts = Arc::make_mut(&mut self.conflicts);
            for id in &entry.settled {
                conflicts.remove(id);
            }
            for record in &entry.conflicts {
                conflicts.insert(record.id, record.clone());
            }
        }
        Arc::make_mut(&mut self.clock).observe(entry.change);
    }
}

/// The chain hash after an entry: over the previous one and everything that the entry says, its effect included.
///
/// Hashing the submitted change alone would not pin the content: an authority that accepts the same change again at another
/// time, or by another release, can come to another effect.
pub fn chain_after(previous: ChainHash, entry: &Entry) -> ChainHash {
    const USUAL_BYTES: usize = 256;
    let mut out = Writer::with_capacity(USUAL_BYTES);
    entry.write(&mut out);
    previous.then(ChangeHash(Sha256::digest(out.into_bytes()).into()))
}
