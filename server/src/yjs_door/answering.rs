//! What a client lacks of a document, which is made by building it from its updates.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use rejoin_crdt::{ApplyError, Coverage, Document, StateVector, Update};
use rejoin_wire::CrdtUpdate;
use rejoin_wire::limits::MAX_CRDT_BYTES;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::room::Say;
use super::whole::{self, Version, Whole};

/// Bytes of a document up to which it is built where it is asked for, in a millisecond or so; larger ones hold up nobody but who asked.
pub(crate) const MAX_INLINE_BYTES: usize = 64 * 1024;

/// Larger documents that are built at a time: each takes many times its bytes meanwhile.
const MAX_BUILDS: usize = 4;

/// Bytes of what a document has deleted up to which a connection keeps it, until its client has said what the server lacks.
const MAX_COVERAGE_BYTES: usize = 1 << 20;

/// Updates that are left out of a document because it cannot be built with them; with more it is empty.
const MAX_LEFT_OUT: usize = 4;

static BUILDS: Semaphore = Semaphore::const_new(MAX_BUILDS);

/// What a client wants to know of a document.
pub(super) struct Question {
    pub(super) version: Version,
    pub(super) updates: Vec<CrdtUpdate>,
    /// What the client has, where it wants to know what it lacks.
    pub(super) lacks: Option<StateVector>,
    /// Whether the client is asked what it has that the server lacks.
    pub(super) asks: bool,
}

/// The answer.
pub(super) struct Answered {
    pub(super) said: Vec<Say>,
    /// What the document has, where the client was asked for what it lacks.
    pub(super) coverage: Option<Coverage>,
    /// Why there is none.
    pub(super) failed: Option<String>,
}

/// An answer that is being made.
pub(super) type Asked = Pin<Box<dyn Future<Output = Answered> + Send>>;

impl Question {
    /// Whether the answer takes no time to speak of.
    pub(super) fn is_short(&self) -> bool {
        let bytes: usize = self.updates.iter().map(|update| update.0.len()).sum();
        bytes <= MAX_INLINE_BYTES || self.wants_whole() && whole::is_ready(&self.version)
    }

    /// Whether nothing is asked for but what everybody is told who has nothing.
    fn wants_whole(&self) -> bool {
        self.lacks.as_ref().is_none_or(|lacks| *lacks == StateVector::default())
    }

    /// Answers on a thread of its own, when it is its turn. Whoever does not look for the answer holds up nobody.
    pub(super) fn ask(self) -> Asked {
        let mut build = Build(tokio::spawn(async move {
            let _turn = BUILDS.acquire().await;
            let answered = tokio::task::spawn_blocking(move || self.answer()).await;
            answered.unwrap_or_else(|error| Answered::failed(error.to_string()))
        }));
        Box::pin(
            async move { (&mut build.0).await.unwrap_or_else(|error| Answered::failed(error.to_string())) },
        )
    }

    pub(super) fn answer(self) -> Answered {
        self.try_answer().unwrap_or_else(|error| Answered::failed(error.to_string()))
    }

    fn try_answer(&self) -> Result<Answered, ApplyError> {
        if self.wants_whole()
            && let Some(whole) = whole::whole(&self.version, &self.updates)
        {
            return Ok(self.told(&whole));
        }
        let document = document_of(&self.updates);
        let mut said = Vec::new();
        if self.asks {
            said.push(Say::Step1(document.state_vector().encode()));
        }
        if let Some(lacks) = &self.lacks {
            said.push(Say::Step2(document.since(lacks)?));
            let waiting = document.waiting().map(|update| Say::Update(update.bytes().clone()));
            said.extend(waiting);
        }
        let coverage = if self.asks { Some(document.coverage()?) } else { None };
        let coverage = coverage.filter(|coverage| coverage.bytes() <= MAX_COVERAGE_BYTES);
        Ok(Answered { said, coverage, failed: None })
    }

    /// The answer where the whole document was built before.
    fn told(&self, whole: &Whole) -> Answered {
        let mut said = Vec::new();
        if self.asks {
            said.push(Say::Step1(whole.state_vector.clone()));
        }
        if self.lacks.is_some() {
            said.push(Say::Step2(whole.update.clone()));
            said.extend(whole.waiting.iter().map(|update| Say::Update(update.clone())));
        }
        let is_kept = self.asks && whole.coverage.bytes() <= MAX_COVERAGE_BYTES;
        Answered { said, coverage: is_kept.then(|| whole.coverage.clone()), failed: None }
    }
}

/// Its turn is given up with its connection.
struct Build(JoinHandle<Answered>);

impl Drop for Build {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answered {
    fn failed(why: String) -> Self {
        Self { said: Vec::new(), coverage: None, failed: Some(why) }
    }
}

/// The document with these updates. What it cannot be built with is left out, as it is at the authority.
pub(crate) fn document_of(updates: &[CrdtUpdate]) -> Document {
    let mut left_out = BTreeSet::new();
    while left_out.len() <= MAX_LEFT_OUT {
        match try_document_of(updates, &left_out) {
            Ok(document) => return document,
            Err(broken) => left_out.insert(broken),
        };
    }
    Document::new("", 0)
}

/// Fails with the number of the update that breaks it.
fn try_document_of(updates: &[CrdtUpdate], left_out: &BTreeSet<usize>) -> Result<Document, usize> {
    let mut document = Document::new("", 0);
    let kept = updates.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    for (at, update) in kept {
        let update = checked(&update.0);
        if update.is_some_and(|update| document.apply(update) == Err(ApplyError::Broken)) {
            return Err(at);
        }
    }
    Ok(document)
}

/// Each was checked when it was accepted.
fn checked(update: &Bytes) -> Option<Update> {
    Update::check(update.clone(), MAX_CRDT_BYTES).ok()
}
