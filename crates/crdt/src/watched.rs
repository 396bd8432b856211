//! A document that somebody looks at: what becomes of it is told, and own edits can be taken back.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rejoin_json::{Array, Json, Object};
use yrs::types::text::YChange;
use yrs::types::{Attrs, Change, Delta, EntryChange, Event, PathSegment};
use yrs::undo::{Options, UndoManager};
use yrs::{Any, DeepObservable, Out, Text as _, Transact as _, TransactionMut, WriteTxn as _};

use crate::document::{Applied, ApplyError, Document, OWN};
use crate::editing::{Edit, EditError, RootKind, Target};
use crate::update::Update;
use crate::view;

/// Own edits that follow one another within so many milliseconds are taken back together.
pub const UNDO_PAUSE_MS: u64 = 500;

/// How many groups of own edits can be taken back. With one more all are forgotten: yrs forgets no part of them.
pub const MAX_UNDO: usize = 10_000;

/// A document whose roots are watched: what becomes of them is told, and own edits of them can be taken back, nobody else's.
pub struct Watched {
    // Dropped first: it takes its observers off the document.
    undo: UndoManager<()>,
    document: Document,
    now_ms: Arc<AtomicU64>,
    /// What yrs made by itself. Not to be sent between threads: the document has it too.
    made: Rc<RefCell<Vec<Vec<u8>>>>,
    told: Rc<RefCell<Vec<Json>>>,
    roots: BTreeMap<String, RootKind>,
}

impl Watched {
    /// Looks at a document, and at no root of it yet.
    pub fn new(document: Document) -> Self {
        let now_ms = Arc::new(AtomicU64::new(1));
        let clock = Arc::clone(&now_ms);
        let undo = UndoManager::with_options(Options {
            capture_timeout_millis: UNDO_PAUSE_MS,
            tracked_origins: HashSet::from([OWN.into()]),
            capture_transaction: None,
            timestamp: Arc::new(move || clock.load(Ordering::Relaxed)),
            init_undo_stack: Vec::new(),
            init_redo_stack: Vec::new(),
        });
        Self { undo, document, now_ms, made: Rc::default(), told: Rc::default(), roots: BTreeMap::new() }
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Says what time it is, in milliseconds of any clock. One that goes back is not followed.
    pub fn clock(&mut self, now_ms: u64) {
        self.now_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Watches a root from now on.
    ///
    /// # Errors
    ///
    /// [`EditError::WrongKind`] where it is watched as one of another kind, and [`EditError::Broken`].
    pub fn watch(&mut self, name: &str, kind: RootKind) -> Result<(), EditError> {
        if let Some(known) = self.roots.get(name) {
            return if *known == kind { Ok(()) } else { Err(EditError::WrongKind) };
        }
        let doc = self.document.doc().clone();
        let mut transaction = doc.try_transact_mut().map_err(|_| ApplyError::Broken)?;
        match kind {
            RootKind::Text => {
                let root = transaction.get_or_insert_text(name);
                drop(transaction);
                self.follow(name, &root);
            }
            RootKind::Array => {
                let root = transaction.get_or_insert_array(name);
                drop(transaction);
                self.follow(name, &root);
            }
            RootKind::Map => {
                let root = transaction.get_or_insert_map(name);
                drop(transaction);
                self.follow(name, &root);
            }
            RootKind::Xml => {
                let root = transaction.get_or_insert_xml_fragment(name);
                drop(transaction);
                self.follow(name, &root);
            }
        }
        if self.roots.is_empty() {
            let made = Rc::clone(&self.made);
            let undo = self.undo.as_origin();
            doc.observe_update_v1(OWN, move |transaction, event| {
                if transaction.origin() == Some(&undo) {
                    made.borrow_mut().push(event.update.clone());
                }
            })
            .map_err(|_| ApplyError::Broken)?;
        }
        self.roots.insert(name.to_owned(), kind);
        Ok(())
    }

    fn follow(&mut self, name: &str, root: &impl DeepObservable) {
        self.undo.expand_scope(self.document.doc(), root);
        let told = Rc::clone(&self.told);
        let name: Arc<str> = name.into();
        root.observe_deep(OWN, move |transaction, events| {
            for event in events.iter() {
                told.borrow_mut().push(shown(transaction, &name, event));
            }
        });
    }

    /// What became of the watched roots since this was asked last: an object for each type that changed, with the name of its `root`, its `path` in it, and either
    /// `delta`, pieces that `retain`, `insert` or `delete`, or `keys`, with the `action` at each key.
    pub fn told(&mut self) -> Vec<Json> {
        std::mem::take(&mut *self.told.borrow_mut())
    }

    /// As [`Document::apply`].
    ///
    /// # Errors
    ///
    /// [`ApplyError`].
    pub fn apply(&mut self, update: Update) -> Result<Applied, ApplyError> {
        self.document.apply(update)
    }

    /// As [`Document::perform`]. It can be taken back, as far as its root is watched.
    ///
    /// # Errors
    ///
    /// [`EditError`].
    pub fn perform(&mut self, edits: &[(Target, Edit)]) -> Result<Option<Update>, EditError> {
        if self.undo.undo_stack().len() >= MAX_UNDO {
            self.undo.clear_all();
        }
        self.document.perform(edits)
    }

    /// The pieces of a root text, as what would have to be inserted to have it, with their marks.
    ///
    /// # Errors
    ///
    /// [`EditError::Broken`].
    pub fn pieces(&self, name: &str) -> Result<Json, EditError> {
        let mut transaction = self.document.doc().try_transact_mut().map_err(|_| ApplyError::Broken)?;
        let text = transaction.get_or_insert_text(name);
        let pieces = text.diff(&transaction, YChange::identity);
        let pieces: Vec<Json> = pieces
            .into_iter()
            .map(|piece| inserted(view::json(&transaction, piece.insert), piece.attributes.as_deref()))
            .collect();
        Ok(Array::from(pieces).into())
    }

    /// Takes back the newest group of own edits that is not, as updates for everybody; none where there is nothing to take back.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Broken`].
    pub fn undo(&mut self) -> Result<Vec<Update>, ApplyError> {
        self.take_back(|undo| undo.undo_blocking())
    }

    /// Makes again what was taken back last.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Broken`].
    pub fn redo(&mut self) -> Result<Vec<Update>, ApplyError> {
        self.take_back(|undo| undo.redo_blocking())
    }

    fn take_back(
        &mut self,
        run: impl FnOnce(&mut UndoManager<()>) -> bool,
    ) -> Result<Vec<Update>, ApplyError> {
        let Self { undo, document, made, .. } = self;
        document.take_back(|| {
            run(undo);
            std::mem::take(&mut *made.borrow_mut())
        })
    }

    /// Whether there is something to take back.
    pub fn can_undo(&self) -> bool {
        self.undo.can_undo()
    }

    /// Whether something was taken back that can be made again.
    pub fn can_redo(&self) -> bool {
        self.undo.can_redo()
    }

    /// Has the next edit begin a group of its own.
    pub fn end_group(&mut self) {
        self.undo.reset();
    }
}

/// An event as JSON.
fn shown(transaction: &TransactionMut<'_>, root: &str, event: &Event) -> Json {
    let mut members = Object::new();
    members.insert("root", Json::from(root));
    let path = event.path().into_iter().map(|segment| match segment {
        PathSegment::Key(key) => Json::from(&*key),
        PathSegment::Index(index) => Json::from(index),
    });
    members.insert("path", Array::from(path.collect::<Vec<_>>()).into());
    match event {
        Event::Text(event) => members.insert("delta", text_delta(transaction, event.delta(transaction))),
        Event::XmlText(event) => members.insert("delta", text_delta(transaction, event.delta(transaction))),
        Event::Array(event) => members.insert("delta", delta(transaction, event.delta(transaction))),
        Event::XmlFragment(event) => members.insert("delta", delta(transaction, event.delta(transaction))),
        Event::Map(event) => {
            let keys = event.keys(transaction).iter().map(|(key, change)| {
                let (action, before) = match change {
                    EntryChange::Inserted(_) => ("add", None),
                    EntryChange::Updated(before, _) => ("update", Some(before)),
                    EntryChange::Removed(before) => ("delete", Some(before)),
                };
                let mut members = Object::new();
                members.insert("action", Json::from(action));
                // What a type held that is gone, nobody knows any more.
                if let Some(Out::Any(_)) = before {
                    members.insert(
                        "oldValue",
                        before.map_or(Json::Null, |out| view::json(transaction, out.clone())),
                    );
                }
                (key.as_ref().into(), members.into())
            });
            members.insert("keys", Object::from_entries(keys.collect()).into())
        }
    };
    members.into()
}

fn text_delta(transaction: &TransactionMut<'_>, pieces: &[Delta]) -> Json {
    let pieces = pieces.iter().map(|piece| match piece {
        Delta::Inserted(value, attributes) => {
            inserted(view::json(transaction, value.clone()), attributes.as_deref())
        }
        Delta::Deleted(length) => counted("delete", *length, None),
        Delta::Retain(length, attributes) => counted("retain", *length, attributes.as_deref()),
    });
    Array::from(pieces.collect::<Vec<_>>()).into()
}

fn delta(transaction: &TransactionMut<'_>, pieces: &[Change]) -> Json {
    let pieces = pieces.iter().map(|piece| match piece {
        Change::Added(values) => {
            let values = values.iter().map(|value| view::json(transaction, value.clone()));
            inserted(Array::from(values.collect::<Vec<_>>()).into(), None)
        }
        Change::Removed(length) => counted("delete", *length, None),
        Change::Retain(length) => counted("retain", *length, None),
    });
    Array::from(pieces.collect::<Vec<_>>()).into()
}

fn inserted(value: Json, attributes: Option<&Attrs>) -> Json {
    marked("insert", value, attributes)
}

fn counted(what: &str, length: u32, attributes: Option<&Attrs>) -> Json {
    marked(what, Json::from(length), attributes)
}

fn marked(what: &str, value: Json, attributes: Option<&Attrs>) -> Json {
    let mut members = Object::new();
    members.insert(what, value);
    if let Some(attributes) = attributes.filter(|attributes| !attributes.is_empty()) {
        let attributes = attributes
            .iter()
            .map(|(name, value): (&Arc<str>, &Any)| (name.as_ref().into(), view::plain(value)));
        members.insert("attributes", Object::from_entries(attributes.collect()).into());
    }
    members.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn watched(client: u64) -> Watched {
        let mut watched = Watched::new(Document::new("room", client));
        watched.watch("body", RootKind::Text).unwrap();
        watched.watch("list", RootKind::Array).unwrap();
        watched.watch("map", RootKind::Map).unwrap();
        watched
    }

    fn target(root: &str, kind: RootKind) -> Target {
        Target { root: root.into(), kind, path: Vec::new() }
    }

    fn edit(watched: &mut Watched, root: &str, kind: RootKind, edit: Edit) -> Update {
        watched.perform(&[(target(root, kind), edit)]).unwrap().unwrap()
    }

    fn typed(watched: &mut Watched, index: u32, text: &str) -> Update {
        let text = Edit::InsertText { index, text: text.into(), attributes: None };
        edit(watched, "body", RootKind::Text, text)
    }

    fn body(watched: &Watched) -> String {
        watched.document().read(&target("body", RootKind::Text)).unwrap().as_str().unwrap().to_owned()
    }

    fn told(watched: &mut Watched) -> String {
        Json::from(Array::from(watched.told())).canonical()
    }

    #[test]
    fn only_own_edits_are_taken_back_and_others_follow() {
        let (mut ada, mut ben) = (watched(1), watched(2));
        ben.apply(typed(&mut ada, 0, "own ")).unwrap();
        ada.apply(typed(&mut ben, 4, "foreign")).unwrap();
        assert_eq!(body(&ada), "own foreign");
        for update in ada.undo().unwrap() {
            ben.apply(update).unwrap();
        }
        assert_eq!((body(&ada), body(&ben)), ("foreign".into(), "foreign".into()));
        assert!(!ada.can_undo() && ada.can_redo() && ada.undo().unwrap().is_empty());
        for update in ada.redo().unwrap() {
            ben.apply(update).unwrap();
        }
        assert_eq!((body(&ada), body(&ben)), ("own foreign".into(), "own foreign".into()));
        assert_eq!(ada.document().clocks(), ben.document().clocks());
        // What is written on top is known to hold together.
        ben.apply(typed(&mut ada, 4, "more ")).unwrap();
        assert_eq!((body(&ben), ben.document().waiting_bytes()), ("own more foreign".into(), 0));
    }

    #[test]
    fn edits_are_taken_back_together_up_to_the_pause() {
        let mut ada = watched(1);
        for (at, (now_ms, letter)) in [(1_000, "a"), (1_000 + UNDO_PAUSE_MS - 1, "b")].iter().enumerate() {
            ada.clock(*now_ms);
            typed(&mut ada, u32::try_from(at).unwrap(), letter);
        }
        ada.clock(1_000 + 2 * UNDO_PAUSE_MS - 1);
        typed(&mut ada, 2, "c");
        ada.undo().unwrap();
        assert_eq!(body(&ada), "ab");
        ada.undo().unwrap();
        assert_eq!((body(&ada), ada.can_undo()), (String::new(), false));
        typed(&mut ada, 0, "d");
        ada.end_group();
        typed(&mut ada, 1, "e");
        ada.undo().unwrap();
        assert_eq!(body(&ada), "d");
    }

    #[test]
    fn what_becomes_of_roots_is_told_once_whoever_did_it() {
        let (mut ada, mut ben) = (watched(1), watched(2));
        let first = typed(&mut ada, 0, "a\u{1f600}b");
        let own = r#"[{"delta":[{"insert":"a😀b"}],"path":[],"root":"body"}]"#;
        assert_eq!((told(&mut ada), told(&mut ada)), (own.into(), "[]".into()));
        ben.apply(first).unwrap();
        assert_eq!(told(&mut ben), own);
        let gone = edit(&mut ben, "body", RootKind::Text, Edit::Delete { index: 1, length: 2 });
        ada.apply(gone).unwrap();
        assert_eq!(told(&mut ada), r#"[{"delta":[{"retain":1},{"delete":2}],"path":[],"root":"body"}]"#);
        let values = vec![crate::Value::Plain(Json::from(7_u32))];
        edit(&mut ada, "list", RootKind::Array, Edit::Insert { index: 0, values });
        assert_eq!(told(&mut ada), r#"[{"delta":[{"insert":[7]}],"path":[],"root":"list"}]"#);
        let set = |number: u32| Edit::Set { key: "k".into(), value: crate::Value::Plain(Json::from(number)) };
        edit(&mut ada, "map", RootKind::Map, set(1));
        edit(&mut ada, "map", RootKind::Map, set(2));
        let keys = r#"[{"keys":{"k":{"action":"add"}},"path":[],"root":"map"},{"keys":{"k":{"action":"update","oldValue":1}},"path":[],"root":"map"}]"#;
        assert_eq!(told(&mut ada), keys);
    }

    #[test]
    fn a_root_is_of_one_kind_and_shows_its_marks() {
        let mut ada = watched(1);
        assert_eq!(ada.watch("body", RootKind::Map), Err(EditError::WrongKind));
        assert_eq!(ada.watch("body", RootKind::Text), Ok(()));
        typed(&mut ada, 0, "bold");
        let mut attributes = Object::new();
        attributes.insert("b", Json::Bool(true));
        edit(&mut ada, "body", RootKind::Text, Edit::Format { index: 0, length: 2, attributes });
        let pieces = ada.pieces("body").unwrap().canonical();
        assert_eq!(pieces, r#"[{"attributes":{"b":true},"insert":"bo"},{"insert":"ld"}]"#);
    }

    #[test]
    fn updates_are_merged_and_say_the_same() {
        let (mut ada, mut ben) = (watched(1), watched(2));
        let updates = ["a", "b", "c"].map(|letter| typed(&mut ada, 0, letter));
        ben.apply(Update::merged(&updates).unwrap()).unwrap();
        assert_eq!(body(&ben), "cba");
        assert!(Update::merged(&[]).unwrap().is_empty());
    }
}
