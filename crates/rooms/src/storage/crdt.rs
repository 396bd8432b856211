//! A storage that is a document of Yjs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rejoin_crdt::{ApplyError, Document, PatchingError, StateVector, Update};
use rejoin_json::{DiffOptions, Json, Limits, Patch, apply, diff};
use rejoin_wire::ErrorCode;
use thiserror::Error;

use super::{History, read_patch};
use crate::limits::{MAX_STATE_BYTES, MAX_UPDATE_BYTES, MAX_UPDATES_PER_BATCH};
use crate::traits::{Difference, Refusal, StorageLike};

/// Updates after which the state is written together anew, so that a document that has to be made again is made of few.
const MAX_LOGGED_UPDATES: usize = 256;

/// A document that many edit at once, edited by RFC 6902 on its JSON view, or by updates of Yjs.
///
/// yrs takes nothing back: where a batch fails half way, the document is made again from its state and the updates since.
pub struct CrdtStorage {
    version: u64,
    document: Document,
    /// Edits here are those of this client.
    client: u64,
    /// The document as it was stored, and what came since.
    log: Vec<Bytes>,
    log_bytes: usize,
    view: Json,
    history: History,
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrdtOperation {
    /// Operations on the JSON view.
    Patch(Patch),
    /// Updates of Yjs, format V1.
    Updates(Vec<Update>),
}

/// An accepted batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrdtChange {
    /// What it does to the document. A store keeps these; they are the whole truth.
    pub updates: Vec<Bytes>,
    /// What it does to the JSON view.
    pub patch: Patch,
}

/// Says why a storage was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stored updates make no document: they are damaged, or one of them is missing")]
pub struct CrdtStorageError;

impl CrdtStorage {
    /// A storage without content. `client` is a number that no other client of the document has, nor had: 53 bits by chance.
    pub fn new(client: u64) -> Self {
        Self {
            version: 0,
            document: Document::new("room", client),
            client,
            log: Vec::new(),
            log_bytes: 0,
            view: rejoin_json::Object::new().into(),
            history: History::default(),
        }
    }

    /// A storage as it was stored: a state, and the updates that came after it. `client` is as for [`new`](Self::new), and drawn anew.
    ///
    /// # Errors
    ///
    /// [`CrdtStorageError`].
    pub fn load(version: u64, updates: Vec<Bytes>, client: u64) -> Result<Self, CrdtStorageError> {
        let log_bytes = updates.iter().map(Bytes::len).sum();
        let mut storage = Self { version, log: updates, log_bytes, ..Self::new(client) };
        storage.make_again().map_err(|_| CrdtStorageError)?;
        storage.view = storage.document.json().map_err(|_| CrdtStorageError)?;
        Ok(storage)
    }

    /// The whole document as one update, to be stored with the version.
    ///
    /// # Errors
    ///
    /// [`CrdtStorageError`] where yrs does not write it. The [`updates`](Self::updates) are as good then.
    pub fn state(&self) -> Result<Bytes, CrdtStorageError> {
        self.document.since(&StateVector::default()).map_err(|_| CrdtStorageError)
    }

    /// What the document is made of.
    pub fn updates(&self) -> &[Bytes] {
        &self.log
    }

    fn make_again(&mut self) -> Result<(), Refusal> {
        let broken = || {
            Refusal::new(
                ErrorCode::Corrupted,
                "the room's storage cannot be read: its operator can restore it",
            )
        };
        let mut document = Document::new("room", self.client);
        for bytes in &self.log {
            let update = Update::check(bytes.clone(), bytes.len()).map_err(|_| broken())?;
            document.apply(update).map_err(|_| broken())?;
            if document.waiting().len() > 0 {
                return Err(broken());
            }
        }
        self.document = document;
        Ok(())
    }

    /// Has the document be what it was, and says why.
    fn take_back(&mut self, refusal: Refusal) -> Refusal {
        self.make_again().err().unwrap_or(refusal)
    }

    fn patch(&mut self, patch: &Patch) -> Result<(Vec<Bytes>, Json), Refusal> {
        let mut expected = self.view.clone();
        apply(&mut expected, patch, &Limits::default())?;
        match self.document.patch(patch, &Limits::default()) {
            Ok(update) => Ok((update.iter().map(|update| update.bytes().clone()).collect(), expected)),
            Err(PatchingError::Patch(error)) => Err(error.into()),
            Err(error @ PatchingError::Depth) => Err(Refusal::new(ErrorCode::TooDeep, error.to_string())),
            Err(error @ PatchingError::Broken(_)) => Err(self.take_back(broken(&error.to_string()))),
            Err(error) => Err(Refusal::new(ErrorCode::InvalidPatch, error.to_string())),
        }
    }

    fn update(&mut self, updates: Vec<Update>) -> Result<Vec<Bytes>, Refusal> {
        let mut taken = Vec::with_capacity(updates.len());
        for update in updates {
            let facts = update.facts();
            let held = |client| self.document.clocks().get(client).copied().unwrap_or(0);
            if facts.deletions == 0 && facts.inserted.iter().all(|run| run.end <= held(&run.client)) {
                continue;
            }
            let refusal = if update.clone().split(self.document.clocks()).waiting.is_some() {
                Refusal::new(
                    ErrorCode::UnknownBase,
                    "the update refers to others that are missing here: send those before it, or all of them as one",
                )
            } else {
                match self.document.apply(update) {
                    Ok(applied) => {
                        taken.extend(applied.updates.iter().map(|update| update.bytes().clone()));
                        continue;
                    }
                    Err(error @ ApplyError::Depth) => Refusal::new(ErrorCode::TooDeep, error.to_string()),
                    Err(error) => broken(&error.to_string()),
                }
            };
            return Err(self.take_back(refusal));
        }
        Ok(taken)
    }

    /// Writes the state together where it is of many updates.
    fn compact(&mut self) {
        if self.log.len() <= MAX_LOGGED_UPDATES {
            return;
        }
        if let Ok(state) = self.state() {
            self.log_bytes = state.len();
            self.log = vec![state];
        }
    }
}

fn broken(message: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidValue, format!("{message}; the storage is as it was"))
}

impl StorageLike for CrdtStorage {
    type Operation = CrdtOperation;
    type Change = CrdtChange;

    fn read(json: &Json) -> Result<CrdtOperation, Refusal> {
        let texts: Vec<&Json> = match json {
            Json::String(_) => vec![json],
            Json::Array(items) if items.get(0).is_some_and(|first| first.as_str().is_some()) => {
                if items.len() > MAX_UPDATES_PER_BATCH {
                    let message = format!(
                        "a batch has at most {MAX_UPDATES_PER_BATCH} updates: split it, or merge them"
                    );
                    return Err(Refusal::new(ErrorCode::TooLarge, message));
                }
                items.iter().collect()
            }
            other => return read_patch(other).map(CrdtOperation::Patch),
        };
        texts.into_iter().map(read_update).collect::<Result<_, _>>().map(CrdtOperation::Updates)
    }

    fn apply(&mut self, operation: CrdtOperation) -> Result<CrdtChange, Refusal> {
        let (bytes, patch) = match &operation {
            CrdtOperation::Patch(patch) => (patch.encoded_len(), Some(patch.clone())),
            CrdtOperation::Updates(updates) => {
                (updates.iter().map(|update| update.bytes().len()).sum(), None)
            }
        };
        if self.log_bytes.saturating_add(bytes) > MAX_STATE_BYTES {
            let message = format!(
                "the room's storage has {MAX_STATE_BYTES} bytes at most with all that was deleted: use another room"
            );
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        let (updates, expected) = match operation {
            CrdtOperation::Patch(patch) => {
                let (updates, expected) = self.patch(&patch)?;
                (updates, Some(expected))
            }
            CrdtOperation::Updates(updates) => (self.update(updates)?, None),
        };
        let Ok(view) = self.document.json() else {
            return Err(self.take_back(broken("the document cannot be shown")));
        };
        let (patch, view) = match (patch, expected) {
            (Some(patch), Some(expected)) if expected == view => (patch, expected),
            _ => {
                let options = DiffOptions { min_splice_bytes: usize::MAX, ..DiffOptions::default() };
                (diff(&self.view, &view, &options), view)
            }
        };
        self.view = view;
        self.version += 1;
        self.history.push(self.version, patch.to_json());
        self.log_bytes += updates.iter().map(Bytes::len).sum::<usize>();
        self.log.extend(updates.iter().cloned());
        self.compact();
        Ok(CrdtChange { updates, patch })
    }

    fn operations(change: &CrdtChange) -> Json {
        change.patch.to_json()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn snapshot(&self) -> Json {
        self.view.clone()
    }

    fn since(&self, version: u64) -> Difference {
        self.history.since(version, self.version, || self.snapshot())
    }
}

fn read_update(json: &Json) -> Result<Update, Refusal> {
    let refused = |message: String| Refusal::new(ErrorCode::InvalidValue, message);
    let text = json.as_str().ok_or_else(|| {
        refused("a batch is of updates or of operations: send each in one of its own".into())
    })?;
    if text.len() > MAX_UPDATE_BYTES.div_ceil(3) * 4 {
        let message = format!("an update has at most {MAX_UPDATE_BYTES} bytes: send it in several");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| refused(format!("a string is an update of Yjs in base64, with padding: {error}")))?;
    Update::check(bytes.into(), MAX_UPDATE_BYTES)
        .map_err(|error| refused(format!("the update of Yjs cannot be read: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
