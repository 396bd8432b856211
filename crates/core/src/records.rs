//! What the machine keeps in the store, byte by byte. Every record ends with a checksum, so that one that went bad is noticed and
//! quarantined alone. Those of documents are checked together with the document's name: a damaged index finds what belongs to another one.

use std::sync::Arc;

use bytes::Bytes;
use rejoin_json::{Json, Patch};
use rejoin_wire::{
    ChainHash, Change, ChangeHash, ChangeId, ConflictRecord, Counter, DecodeError, DecodeErrorKind,
    DocumentId, Entry, ErrorCode, Header, Reader, ReplicaId, Revision, Sequence, UnixMillis, Wire, Writer,
    limits::{MAX_INTEGER, MAX_TEXT_BYTES},
};
use sha2::{Digest, Sha256};

use crate::clock::VectorClock;
use crate::collections::BTreeMap;
use crate::log::Revised;
use crate::state::{Life, Point, Reverse, State};
use crate::storage::ChangeRow;

/// Bytes of the checksum: enough to notice accidents, which is all that it is for.
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// Room that is taken at first for a record, and for each revision of a row: what small ones take.
const ROW_BYTES: usize = 256;
const REVISED_BYTES: usize = 128;

/// Format of the records; a reader refuses a higher one.
const FORMAT: u8 = 1;

/// Items of a stored list. Records are bounded when they are written; this only keeps a bad one from taking memory.
const MAX_ITEMS: usize = 1 << 20;

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It went bad.
    #[error("the checksum does not match")]
    Checksum,
    /// It has a format that this release does not know.
    #[error("the record has format {0}, which a newer release wrote")]
    Newer(u8),
    /// It is not what it should be, under a checksum that is right.
    #[error("the record cannot be read: {0}")]
    Decode(#[from] DecodeError),
}

/// Encodes a record with its checksum.
pub(crate) fn seal<T: Wire>(value: &T) -> Bytes {
    seal_with(None, ROW_BYTES, |out| value.write(out))
}

/// Encodes a record of a document with a checksum that is right for this document alone.
pub(crate) fn seal_of<T: Wire>(document: &DocumentId, value: &T) -> Bytes {
    seal_with(Some(document), ROW_BYTES, |out| value.write(out))
}

/// Encodes a [`Row`] without a copy of what goes into it.
pub(crate) fn seal_row(
    document: &DocumentId,
    previous: ChainHash,
    revised: &[&Revised],
    rejected: &[Rejection],
) -> Bytes {
    seal_with(Some(document), ROW_BYTES + revised.len() * REVISED_BYTES, |out| {
        previous.write(out);
        out.count(revised.len());
        for Revised { entry, reverse, submitted, .. } in revised {
            entry.write(out);
            reverse.write(out);
            submitted.write(out);
        }
        out.list(rejected);
    })
}

fn seal_with(document: Option<&DocumentId>, usual_bytes: usize, write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut out = Writer::with_capacity(usual_bytes);
    out.byte(FORMAT);
    write(&mut out);
    with_checksum(document, out.into_bytes()).into()
}

/// A record's bytes behind their checksum.
pub(crate) fn with_checksum(document: Option<&DocumentId>, mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = digest(document, &bytes);
    bytes.extend(digest.as_ref().iter().take(CHECKSUM_BYTES));
    bytes
}

fn digest(document: Option<&DocumentId>, body: &[u8]) -> impl AsRef<[u8]> + use<> {
    let name = document.map_or("", DocumentId::as_str);
    Sha256::new().chain_update(body).chain_update(name).finalize()
}

/// Decodes a record after checking its checksum.
pub(crate) fn unseal<T: Wire>(bytes: &[u8]) -> Result<T, RecordError> {
    unseal_with(None, bytes)
}

/// Decodes a record of a document after checking that it is this one's.
pub(crate) fn unseal_of<T: Wire>(document: &DocumentId, bytes: &[u8]) -> Result<T, RecordError> {
    unseal_with(Some(document), bytes)
}

fn unseal_with<T: Wire>(document: Option<&DocumentId>, bytes: &[u8]) -> Result<T, RecordError> {
    let (body, checksum) = bytes
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(RecordError::Checksum)?;
    if !digest(document, body).as_ref().starts_with(checksum) {
        return Err(RecordError::Checksum);
    }
    let mut input = Reader::new(body);
    match input.byte() {
        FORMAT => {}
        _ if input.has_failed() => {}
        format => return Err(RecordError::Newer(format)),
    }
    let value = T::read(&mut input);
    input.finish()?;
    Ok(value)
}

macro_rules! record {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                $(self.$field.write(out);)*
            }

            fn read(input: &mut Reader<'_>) -> Self {
                $(let $field = Wire::read(input);)*
                Self { $($field),* }
            }
        }
    };
}

/// A list in a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Wire> Wire for List<T> {
    fn write(&self, out: &mut Writer) {
        out.list(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self(input.list("a stored list", MAX_ITEMS))
    }
}

/// A text in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShortText(pub(crate) Arc<str>);

impl Wire for ShortText {
    fn write(&self, out: &mut Writer) {
        out.text(&self.0);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self(input.text("a stored text", 4 * MAX_TEXT_BYTES).into())
    }
}

/// A change that was rejected, without its body: that stays with its author.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) change: ChangeId,
    pub(crate) hash: ChangeHash,
    pub(crate) code: ErrorCode,
    pub(crate) message: Arc<str>,
}

impl Wire for Rejection {
    fn write(&self, out: &mut Writer) {
        self.change.write(out);
        self.hash.write(out);
        self.code.write(out);
        out.text(&self.message);
    }

    fn read(input: &mut Reader<'_>) -> Self {
        Self {
            change: Wire::read(input),
            hash: Wire::read(input),
            code: Wire::read(input),
            message: ShortText::read(input).0,
        }
    }
}

/// The body of a change row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// The chain hash before the first revision.
    pub(crate) previous: ChainHash,
    pub(crate) revised: List<StoredRevision>,
    pub(crate) rejected: List<Rejection>,
}

record!(Row { previous, revised, rejected });

/// One revision in a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredRevision {
    pub(crate) entry: Entry,
    pub(crate) reverse: Reverse,
    pub(crate) submitted: Option<Change>,
}

record!(StoredRevision { entry, reverse, submitted });

impl From<&Revised> for StoredRevision {
    fn from(revised: &Revised) -> Self {
        Self {
            entry: revised.entry.clone(),
            reverse: revised.reverse.clone(),
            submitted: revised.submitted.clone(),
        }
    }
}

impl Row {
    /// What is stored as a row.
    pub(crate) fn of(row: &ChangeRow) -> Result<Self, RecordError> {
        unseal_of(&row.document, &row.body)
    }

    /// The revisions with the chain hash before each.
    pub(crate) fn into_revised(self) -> Vec<Revised> {
        let mut previous = self.previous;
        let link = |StoredRevision { entry, reverse, submitted }| {
            let revised = Revised { previous, entry, reverse, submitted };
            previous = crate::state::chain_after(previous, &revised.entry);
            revised
        };
        self.revised.0.into_iter().map(link).collect()
    }
}

/// What a row of changes says, for programs that look at a store without a replica.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedRow {
    /// The chain hash before the first revision.
    pub previous: ChainHash,
    /// The revisions, in order.
    pub entries: Vec<Entry>,
    /// Changes that were rejected together with them.
    pub rejected: Vec<ChangeId>,
}

impl LoggedRow {
    /// Reads the body of a row.
    ///
    /// # Errors
    ///
    /// When it went bad, belongs to another document, or a newer release wrote it.
    pub fn read(row: &ChangeRow) -> Result<Self, RecordError> {
        let Row { previous, revised, rejected } = Row::of(row)?;
        let entries = revised.0.into_iter().map(|revision| revision.entry).collect();
        let rejected = rejected.0.into_iter().map(|rejection| rejection.change).collect();
        Ok(Self { previous, entries, rejected })
    }
}

impl Life {
    const fn number(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Alive => 1,
            Self::Deleted => 2,
        }
    }

    fn numbered(number: u8, input: &mut Reader<'_>) -> Self {
        match number {
            0 => Self::Absent,
            1 => Self::Alive,
            2 => Self::Deleted,
            tag => {
                input.fail(DecodeErrorKind::UnknownTag { what: "a life", tag: tag.into() });
                Self::Absent
            }
        }
    }
}

impl Wire for Life {
    fn write(&self, out: &mut Writer) {
        out.byte(self.number());
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let number = input.byte();
        Self::numbered(number, input)
    }
}

/// Added to the life of a state that is one of a CRDT document: its updates follow.
const CRDT: u8 = 16;

impl Wire for State {
    fn write(&self, out: &mut Writer) {
        let kind = if self.crdt.is_some() { CRDT } else { 0 };
        out.byte(self.life.number() + kind);
        self.header.write(out);
        self.content.write(out);
        if let Some(crdt) = &self.crdt {
            crdt.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let tag = input.byte();
        Self {
            life: Life::numbered(tag % CRDT, input),
            header: Arc::new(Header::read(input)),
            content: Wire::read(input),
            crdt: (tag / CRDT == 1).then(|| Wire::read(input)),
        }
    }
}

impl Wire for Reverse {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Nothing => out.byte(0),
            Self::Patch(patch) => {
                out.byte(1);
                patch.write(out);
            }
            Self::Header(header) => {
                out.byte(2);
                header.write(out);
            }
            Self::Life(life) => {
                out.byte(3);
                life.write(out);
            }
            Self::Whole(state) => {
                out.byte(4);
                state.write(out);
            }
            Self::Merged(_) => out.byte(5),
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        match input.byte() {
            0 => Self::Nothing,
            // The way back from a patch may take twice as many operations, so that the limit of messages does not hold for it.
            1 => Self::Patch(Patch(input.list("a way back", MAX_ITEMS))),
            2 => Self::Header(Arc::new(Header::read(input))),
            3 => Self::Life(Life::read(input)),
            4 => Self::Whole(Box::new(State::read(input))),
            5 => Self::Merged(None),
            tag => {
                input.fail(DecodeErrorKind::UnknownTag { what: "a way back", tag: tag.into() });
                Self::Nothing
            }
        }
    }
}

impl Wire for Point {
    fn write(&self, out: &mut Writer) {
        self.state.write(out);
        self.revision.write(out);
        self.chain.write(out);
        self.sequence.write(out);
        out.varint(self.version);
        out.list(&self.conflicts.values().cloned().collect::<Vec<_>>());
        self.created_at.write(out);
        self.updated_at.write(out);
        out.text(&self.author);
        out.list(&self.clock.iter().collect::<Vec<ChangeId>>());
    }

    fn read(input: &mut Reader<'_>) -> Self {
        let state = Wire::read(input);
        let revision = Wire::read(input);
        let chain = Wire::read(input);
        let sequence = Wire::read(input);
        let version = input.varint();
        let conflicts: List<ConflictRecord> = Wire::read(input);
        let created_at = Wire::read(input);
        let updated_at = Wire::read(input);
        let author = ShortText::read(input).0;
        let mut clock = VectorClock::new();
        for change in List::<ChangeId>::read(input).0 {
            clock.observe(change);
        }
        let conflicts: BTreeMap<_, _> = conflicts.0.into_iter().map(|record| (record.id, record)).collect();
        Self {
            state,
            revision,
            chain,
            sequence,
            version,
            conflicts: Arc::new(conflicts),
            created_at,
            updated_at,
            author,
            clock: Arc::new(clock),
        }
    }
}

/// An own change, and how what was seen differs from the confirmed content at its base.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingRecord {
    pub(crate) change: Change,
    pub(crate) hash: ChangeHash,
    /// Absent where the change was made on what the change before left.
    pub(crate) start: Option<Delta>,
    /// For whom it was made.
    pub(crate) origin: Origin,
}

record!(PendingRecord { change, hash, start, origin });

/// Which part of the program made a change, and its number there, by which a repeat is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The part, a browser tab for example; 0 where there is only one.
    pub part: u64,
    /// The part's own counter, which rises from change to change of a document; 0 where repeats cannot happen.
    pub number: u64,
}

record!(Origin { part, number });

impl Origin {
    /// No part of the program: what brings back a lost line of history.
    pub(crate) const LOST_LINE: Self = Self { part: MAX_INTEGER, number: 0 };

    /// Of a program that says no number it does not matter which part says so.
    pub(crate) fn of_program(self) -> Self {
        if self.number == 0 { Self::default() } else { self }
    }
}

/// A state told by its difference from another one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delta {
    Same,
    Patch(Patch),
    Whole(Box<State>),
}

impl Wire for Delta {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Same => out.byte(0),
            Self::Patch(patch) => {
                out.byte(1);
                patch.write(out);
            }
            Self::Whole(state) => {
                out.byte(2);
                state.write(out);
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Self {
        match input.byte() {
            0 => Self::Same,
            1 => Self::Patch(Patch::read(input)),
            2 => Self::Whole(Box::new(State::read(input))),
            tag => {
                input.fail(DecodeErrorKind::UnknownTag { what: "a difference", tag: tag.into() });
                Self::Same
            }
        }
    }
}

/// Which own changes a replica made to a document, apart from the changes themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunsRecord {
    pub(crate) runs: List<RunRecord>,
    /// The highest number of each part of the program that made one, the part that made the newest last.
    pub(crate) made: List<Origin>,
}

record!(RunsRecord { runs, made });

/// Own changes under one replica id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRecord {
    pub(crate) replica: ReplicaId,
    /// The counter that the next change gets.
    pub(crate) next: Counter,
}

record!(RunRecord { replica, next });

/// An own change that was rejected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RejectedRecord {
    pub(crate) change: Change,
    pub(crate) code: ErrorCode,
    pub(crate) message: ShortText,
}

record!(RejectedRecord { change, code, message });

/// Content that the authority no longer has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecoveredRecord {
    pub(crate) revision: Revision,
    pub(crate) chain: ChainHash,
    pub(crate) at: UnixMillis,
    pub(crate) content: Json,
}

record!(RecoveredRecord { revision, chain, at, content });

/// Who a replica is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IdentityRecord {
    pub(crate) replica: ReplicaId,
}

record!(IdentityRecord { replica });

/// A position in an authority's feed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CursorRecord {
    pub(crate) epoch: rejoin_wire::Epoch,
    pub(crate) sequence: Sequence,
    /// The document whose newest revision is the newest of all that is held.
    pub(crate) newest: Option<rejoin_wire::DocumentId>,
}

record!(CursorRecord { epoch, sequence, newest });

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_row_written_from_the_log_is_the_row_that_is_read() {
        let change = ChangeId { replica: ReplicaId(7), counter: Counter(3) };
        let entry = Entry {
            sequence: Sequence(9),
            change,
            hash: ChangeHash([1; 32]),
            author: "ada".into(),
            time: UnixMillis(5),
            effect: rejoin_wire::Effect::Patched { patch: Patch::default() },
            conflicts: Vec::new(),
            settled: Vec::new(),
        };
        let revised =
            Revised { previous: ChainHash([2; 32]), entry, reverse: Reverse::Nothing, submitted: None };
        let rejection =
            Rejection { change, hash: ChangeHash([3; 32]), code: ErrorCode::Forbidden, message: "no".into() };
        let [document, other] = ["ours", "others"].map(|id| DocumentId::new(id).unwrap());
        let sealed =
            seal_row(&document, revised.previous, &[&revised, &revised], std::slice::from_ref(&rejection));
        let stored = StoredRevision::from(&revised);
        let row = Row {
            previous: revised.previous,
            revised: List(vec![stored.clone(), stored]),
            rejected: List(vec![rejection]),
        };
        assert_eq!(unseal_of::<Row>(&document, &sealed).unwrap(), row);
        assert_eq!(seal_of(&document, &row), sealed);
        // An index that is damaged finds it in another document's place.
        assert_eq!(unseal_of::<Row>(&other, &sealed).unwrap_err(), RecordError::Checksum);
    }
}
