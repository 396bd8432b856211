//! CRDT documents for browsers.
//!
//! It is [`rejoin_crdt::Watched`] behind wasm-bindgen, in a module of its own: the engine of a page carries the updates of such documents without it, and
//! only a page that shows one through `rejoin/crdt` loads it. [`Room`] never calls into JavaScript: what became of the document is taken with
//! [`Room::told`]. Values cross as JSON texts; indices and lengths of texts are in UTF-16 units, as JavaScript counts.

use bytes::Bytes;
use js_sys::{Array, Uint8Array};
use rejoin_crdt::{
    ApplyError, Document, Edit, EditError, Position, RootKind, Target, Update, Value, Watched,
};
use rejoin_json::{Json, Limits, Object};
use wasm_bindgen::prelude::*;

/// The allocator of a page, which has one thread. It is a third of the size of the standard library's.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Why something was not done: a code, then a sentence behind a space.
type Refusal = String;

/// A document as a page shows it. Kinds of roots are `text`, `array` and `map`.
#[wasm_bindgen]
pub struct Room(Watched);

#[wasm_bindgen]
impl Room {
    /// An empty document, edited here by a client of this id, below 2^53, that nobody else has.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn new(name: &str, client: f64) -> Room {
        Room(Watched::new(Document::new(name, client as u64)))
    }

    /// Says what time it is, in milliseconds: edits within half a second are taken back together.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn clock(&mut self, now_ms: f64) {
        self.0.clock(now_ms as u64);
    }

    /// Says of which kind a root is.
    pub fn watch(&mut self, kind: &str, root: &str) -> Result<(), Refusal> {
        self.0.watch(root, kind_of(kind)?).map_err(refusal)
    }

    /// What became of the document since this was asked last, as a JSON array; see [`Watched::told`].
    pub fn told(&mut self) -> String {
        Json::from(rejoin_json::Array::from(self.0.told())).canonical()
    }

    /// Applies an update of somebody else. What refers to missing ones waits.
    pub fn apply(&mut self, update: Vec<u8>) -> Result<(), Refusal> {
        self.0.apply(checked(update)?).map(drop).map_err(|error| refusal(error.into()))
    }

    /// Whether an update says something of a client.
    #[allow(clippy::cast_precision_loss)]
    pub fn is_of(&self, update: Vec<u8>, client: f64) -> bool {
        checked(update)
            .is_ok_and(|update| update.facts().inserted.iter().any(|run| run.client as f64 == client))
    }

    /// Puts letters into a text, with marks as a JSON object; without any they have those around them.
    pub fn insert_text(
        &mut self,
        root: &str,
        index: u32,
        text: String,
        attributes: Option<String>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let attributes = attributes.map(|attributes| object(&attributes)).transpose()?;
        self.edit(RootKind::Text, root, Edit::InsertText { index, text, attributes })
    }

    /// Marks a part of a text; `null` takes a mark away.
    pub fn format(
        &mut self,
        root: &str,
        index: u32,
        length: u32,
        attributes: &str,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let attributes = object(attributes)?;
        self.edit(RootKind::Text, root, Edit::Format { index, length, attributes })
    }

    /// Deletes from a text or an array.
    pub fn remove(
        &mut self,
        kind: &str,
        root: &str,
        index: u32,
        length: u32,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        self.edit(kind_of(kind)?, root, Edit::Delete { index, length })
    }

    /// Puts values, a JSON array, into an array.
    pub fn insert(&mut self, root: &str, index: u32, values: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let Json::Array(values) = json(values)? else { return Err(NO_VALUE.into()) };
        let values = values.iter().map(|value| Value::Plain(value.clone())).collect();
        self.edit(RootKind::Array, root, Edit::Insert { index, values })
    }

    /// Sets the member of a map.
    pub fn set(&mut self, root: &str, key: String, value: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let value = Value::Plain(json(value)?);
        self.edit(RootKind::Map, root, Edit::Set { key, value })
    }

    /// Removes the member of a map, if it is there.
    pub fn unset(&mut self, root: &str, key: String) -> Result<Option<Vec<u8>>, Refusal> {
        self.edit(RootKind::Map, root, Edit::Unset { key })
    }

    fn edit(&mut self, kind: RootKind, root: &str, edit: Edit) -> Result<Option<Vec<u8>>, Refusal> {
        let made = self.0.perform(&[(target(kind, root), edit)]).map_err(refusal)?;
        Ok(made.map(|update| update.bytes().to_vec()))
    }

    /// What stands in a root, as JSON.
    pub fn read(&self, kind: &str, root: &str) -> Result<String, Refusal> {
        let read = self.0.document().read(&target(kind_of(kind)?, root));
        read.map(|value| value.canonical()).map_err(refusal)
    }

    /// The pieces of a text with their marks, as a JSON array.
    pub fn pieces(&self, root: &str) -> Result<String, Refusal> {
        self.0.pieces(root).map(|pieces| pieces.canonical()).map_err(refusal)
    }

    /// The position at an index of a text or an array, in the form in JSON that Yjs has.
    pub fn position(&self, kind: &str, root: &str, index: u32, before: bool) -> Result<String, Refusal> {
        let position = self.0.document().position(&target(kind_of(kind)?, root), index, before);
        position.map(|position| position.to_json().canonical()).map_err(refusal)
    }

    /// Where a position is by now; nothing where it is none, or what it stands at is not there.
    pub fn index_of(&self, position: &str) -> Result<Option<u32>, Refusal> {
        let Some(position) = Position::from_json(&json(position)?) else { return Ok(None) };
        self.0.document().index_of(&position).map_err(|error| refusal(error.into()))
    }

    /// Takes back the newest own edits; the updates that do it.
    pub fn undo(&mut self) -> Result<Array, Refusal> {
        self.0.undo().map(|updates| listed(&updates)).map_err(|error| refusal(error.into()))
    }

    /// Makes again what was taken back last.
    pub fn redo(&mut self) -> Result<Array, Refusal> {
        self.0.redo().map(|updates| listed(&updates)).map_err(|error| refusal(error.into()))
    }

    /// Whether there is something to take back.
    pub fn can_undo(&self) -> bool {
        self.0.can_undo()
    }

    /// Whether something was taken back.
    pub fn can_redo(&self) -> bool {
        self.0.can_redo()
    }

    /// Has the next edit be taken back by itself.
    pub fn end_group(&mut self) {
        self.0.end_group();
    }

    /// Own updates, in their order, as one in several of about so many bytes, each good behind those before it.
    pub fn parts(&self, updates: &Array, most: u32) -> Result<Array, Refusal> {
        let updates = updates.iter().map(|update| checked(Uint8Array::new(&update).to_vec()));
        let updates = updates.collect::<Result<Vec<_>, _>>()?;
        let update = match <[Update; 1]>::try_from(updates) {
            Ok([update]) => update,
            Err(updates) => Update::merged(&updates).ok_or("invalid_update they cannot be merged")?,
        };
        // Whoever gets them has what they were written upon.
        let mut before = self.0.document().clocks().clone();
        before.extend(update.facts().inserted.iter().map(|run| (run.client, run.start)));
        let parts = update.in_parts(&before, most as usize);
        Ok(parts.iter().map(|part| JsValue::from(Uint8Array::new_from_slice(part))).collect())
    }
}

const NO_VALUE: &str = "invalid_value it is no value of JSON that a document can hold";

fn checked(update: Vec<u8>) -> Result<Update, Refusal> {
    let most = update.len();
    Update::check(Bytes::from(update), most).map_err(|error| format!("invalid_update {error}"))
}

fn listed(updates: &[Update]) -> Array {
    updates.iter().map(|update| JsValue::from(Uint8Array::new_from_slice(update.bytes()))).collect()
}

fn target(kind: RootKind, root: &str) -> Target {
    Target { root: root.to_owned(), kind, path: Vec::new() }
}

fn kind_of(name: &str) -> Result<RootKind, Refusal> {
    match name {
        "text" => Ok(RootKind::Text),
        "array" => Ok(RootKind::Array),
        "map" => Ok(RootKind::Map),
        _ => Err(refusal(EditError::WrongKind)),
    }
}

fn json(text: &str) -> Result<Json, Refusal> {
    Json::parse(text, &Limits::default()).map_err(|_| NO_VALUE.into())
}

fn object(text: &str) -> Result<Object, Refusal> {
    match json(text)? {
        Json::Object(members) => Ok(members),
        _ => Err(NO_VALUE.into()),
    }
}

fn refusal(error: EditError) -> Refusal {
    let code = match error {
        EditError::WrongKind => "wrong_kind",
        EditError::Broken(ApplyError::Gap) => "gap",
        EditError::Broken(_) => "broken",
        _ => "out_of_range",
    };
    format!("{code} {error}")
}
