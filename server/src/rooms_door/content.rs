//! What a document shows, and what each of its revisions changes of that, as operations of RFC 6902.

use rejoin_core::chain_after;
use rejoin_crdt::{ApplyError, Document, Update};
use rejoin_json::{DiffOptions, Json, Limits, Object, Operation, Patch, apply, diff};
use rejoin_wire::limits::MAX_CRDT_BYTES;
use rejoin_wire::{CrdtUpdate, Effect, Entry, Have, Message, Revision, Snapshot};

use crate::yjs_door::document_of;

/// A document as far as it was told.
pub(super) struct Content {
    shape: Shape,
    view: Json,
    have: Have,
    /// Whether it was asked for whole: what is told before that says nothing.
    is_asked: bool,
}

enum Shape {
    /// There is none yet: the first edit makes it a CRDT document.
    Absent,
    Deleted,
    Json,
    Crdt(Box<Document>),
}

/// What a document is, as far as it matters to whoever writes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing yet.
    Absent,
    Deleted,
    Json,
    Crdt,
}

/// What the replica told changes.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// A revision, and its operations.
    Batch(Revision, Json),
    /// All of it may be another.
    Whole,
    /// It was deleted at a revision.
    Deleted(Revision),
    /// It has to be asked for whole: what was told does not say what it shows.
    Lost,
}

impl Content {
    pub(super) fn new() -> Self {
        Self { shape: Shape::Absent, view: empty(), have: Have::default(), is_asked: true }
    }

    /// What it shows; an empty object where there is nothing.
    pub(super) fn view(&self) -> &Json {
        &self.view
    }

    /// How far it was told.
    pub(super) fn have(&self) -> Have {
        self.have
    }

    pub(super) fn kind(&self) -> Kind {
        match self.shape {
            Shape::Absent => Kind::Absent,
            Shape::Deleted => Kind::Deleted,
            Shape::Json => Kind::Json,
            Shape::Crdt(_) => Kind::Crdt,
        }
    }

    /// The document of Yjs, where it is one.
    pub(super) fn document(&self) -> Option<&Document> {
        match &self.shape {
            Shape::Crdt(document) => Some(document),
            Shape::Absent | Shape::Deleted | Shape::Json => None,
        }
    }

    /// Takes what the replica tells of the document.
    pub(super) fn take(&mut self, message: &Message) -> Vec<News> {
        match message {
            Message::Snapshot(snapshot) => {
                self.is_asked = false;
                vec![self.take_snapshot(snapshot)]
            }
            Message::Update(_) if self.is_asked => Vec::new(),
            Message::Update(update)
                if update.first != self.have.revision.next() || update.previous != self.have.chain =>
            {
                self.lose()
            }
            Message::Update(update) => {
                let mut news = Vec::with_capacity(update.entries.len());
                for entry in &update.entries {
                    let Some(step) = self.take_entry(entry) else { return self.lose() };
                    news.push(step);
                }
                news
            }
            _ => Vec::new(),
        }
    }

    fn lose(&mut self) -> Vec<News> {
        self.is_asked = true;
        vec![News::Lost]
    }

    fn take_snapshot(&mut self, snapshot: &Snapshot) -> News {
        self.have = Have { revision: snapshot.revision, chain: snapshot.chain };
        (self.shape, self.view) = match &snapshot.updates {
            _ if snapshot.revision == Revision(0) => (Shape::Absent, empty()),
            _ if snapshot.deleted => (Shape::Deleted, empty()),
            None => (Shape::Json, snapshot.content.clone()),
            Some(updates) => {
                let document = document_of(&updates.0);
                // It shows what can be shown, as everywhere.
                let view = document.json().unwrap_or_else(|_| empty());
                (Shape::Crdt(Box::new(document)), view)
            }
        };
        News::Whole
    }

    /// Takes the next revision; nothing where it does not say what the document shows.
    fn take_entry(&mut self, entry: &Entry) -> Option<News> {
        let revision = self.have.revision.next();
        let operations = match &entry.effect {
            Effect::Merged { update } => self.merged(update)?,
            Effect::Created { content, .. } => {
                (self.shape, self.view) = (Shape::Json, content.clone());
                whole(content)
            }
            Effect::Patched { patch } => self.patched(patch)?,
            Effect::Header { .. } | Effect::Void => none(),
            Effect::Deleted => {
                (self.shape, self.view) = (Shape::Deleted, empty());
                whole(&self.view)
            }
            // What a tombstone keeps was not told.
            Effect::Undeleted | Effect::Own => return None,
        };
        self.have = Have { revision, chain: chain_after(self.have.chain, entry) };
        match entry.effect {
            Effect::Deleted => Some(News::Deleted(revision)),
            _ => Some(News::Batch(revision, operations)),
        }
    }

    fn merged(&mut self, update: &CrdtUpdate) -> Option<Json> {
        let document = match &mut self.shape {
            // It shows nothing; what comes of it is told when it is back.
            Shape::Deleted => return Some(none()),
            Shape::Json => return None,
            Shape::Crdt(document) => document,
            absent @ Shape::Absent => {
                *absent = Shape::Crdt(Box::new(Document::new("", 0)));
                let Shape::Crdt(document) = absent else { return None };
                document
            }
        };
        // It was checked when it was accepted.
        let update = Update::check(update.0.clone(), MAX_CRDT_BYTES).ok()?;
        if document.apply(update) == Err(ApplyError::Broken) {
            return None;
        }
        let view = document.json().ok()?;
        let before = std::mem::replace(&mut self.view, view);
        Some(difference(&before, &self.view))
    }

    fn patched(&mut self, patch: &Patch) -> Option<Json> {
        if !matches!(self.shape, Shape::Json) {
            return matches!(self.shape, Shape::Deleted).then(none);
        }
        let before = self.view.clone();
        apply(&mut self.view, patch, &Limits::default()).ok()?;
        let is_rfc = !patch.iter().any(|operation| matches!(operation, Operation::Splice { .. }));
        Some(if is_rfc { patch.to_json() } else { difference(&before, &self.view) })
    }
}

fn empty() -> Json {
    Object::new().into()
}

fn none() -> Json {
    Vec::new().into()
}

/// Members of a room read RFC 6902, which has no splice.
pub(crate) fn difference(before: &Json, after: &Json) -> Json {
    let options = DiffOptions { min_splice_bytes: usize::MAX, ..DiffOptions::default() };
    diff(before, after, &options).to_json()
}

/// The operations that make any content into this one.
pub(crate) fn whole(view: &Json) -> Json {
    let mut operation = Object::new();
    operation.insert("op", "replace".into());
    operation.insert("path", "".into());
    operation.insert("value", view.clone());
    vec![Json::from(operation)].into()
}
