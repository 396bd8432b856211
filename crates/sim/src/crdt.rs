//! CRDT documents of a world: what they show, and what people write into them.
//!
//! Elements come and go, and letters too, and members of maps. Nothing takes the place of something else, which of two that do so at once would leave
//! no trace: each member has a key of its own, and texts within a map are never taken out of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rejoin_core::{Crdt, View};
use rejoin_crdt::{Document, Edit, RootKind, Step, Target, Update, Value};
use rejoin_json::{Json, Operation, Patch, PointerBuf};
use rejoin_wire::CrdtUpdate;
use rejoin_wire::limits::MAX_CRDT_BYTES;
use sha2::{Digest, Sha256};

use crate::dice::Dice;
use crate::tokens::{FIRST, Issuer, Token};

/// Where the elements are.
const LIST: &str = "list";

/// Where the letters are.
const BODY: &str = "body";

/// Where values stand by key, which come and go.
const CARDS: &str = "cards";

/// Where texts stand by key, in which letters come and go.
const NOTES: &str = "notes";

/// Most bytes of updates whose JSON is remembered: a world is small.
const MAX_REMEMBERED: usize = 4_096;

/// What updates come to, each found out once: all replicas hold the same.
#[derive(Debug, Default)]
pub(crate) struct Shown(RefCell<BTreeMap<[u8; 32], Json>>);

impl Shown {
    /// What updates show as JSON.
    pub(crate) fn json(&self, crdt: &Crdt) -> Json {
        let mut hasher = Sha256::new();
        for update in crdt.updates() {
            hasher.update(update.0.len().to_le_bytes());
            hasher.update(&update.0);
        }
        let key: [u8; 32] = hasher.finalize().into();
        if let Some(json) = self.0.borrow().get(&key) {
            return json.clone();
        }
        let json = document(crdt, 0).json().unwrap_or_default();
        let mut known = self.0.borrow_mut();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(key, json.clone());
        json
    }

    /// What a view shows, of either kind of document.
    pub(crate) fn content(&self, view: &View) -> Json {
        view.crdt.as_ref().map_or_else(|| view.content.clone(), |crdt| self.json(crdt))
    }
}

/// The document as a program has it that writes under a client id.
fn document(crdt: &Crdt, client: u64) -> Document {
    let mut document = Document::new("", client);
    for update in crdt.updates() {
        // What the engine took although it cannot be applied is missing in what is shown.
        let _ = Update::check(update.0, MAX_CRDT_BYTES).map(|update| document.apply(update));
    }
    document
}

/// How much of what a client wrote updates have.
pub(crate) fn written(crdt: Option<&Crdt>, client: u64) -> u32 {
    let document = crdt.map(|crdt| document(crdt, client));
    document.and_then(|document| document.clocks().get(&client).copied()).unwrap_or(0)
}

/// What somebody types next into a document; `None` where nothing comes of it.
pub(crate) fn update(
    crdt: Option<&Crdt>,
    client: u64,
    maps: bool,
    dice: &mut Dice,
    issuer: &mut Issuer,
) -> Option<CrdtUpdate> {
    let mut document = document(crdt.unwrap_or(&Crdt::default()), client);
    let shown = document.json().ok()?;
    let edits = (0..dice.between(1, 3)).map(|_| {
        if maps && dice.chance(5_000) { edit_map(&shown, dice, issuer) } else { edit(&shown, dice, issuer) }
    });
    let edits: Vec<(Target, Edit)> = edits.collect();
    // Each of a batch sees what the ones before it made: an index may be gone by then.
    let update = document.perform(&edits).ok().flatten()?;
    Some(CrdtUpdate(update.bytes().clone()))
}

fn edit_map(shown: &Json, dice: &mut Dice, issuer: &mut Issuer) -> (Target, Edit) {
    let target = |root: &str, kind, path| Target { root: root.into(), kind, path };
    let (cards, notes) = (keys(shown, CARDS), keys(shown, NOTES));
    let note = |dice: &mut Dice| {
        let key = dice.pick(&notes).clone();
        let text = shown.get(NOTES).and_then(|notes| notes.get(&key)).and_then(Json::as_str);
        let letters = text.map_or(0, |text| text.chars().count());
        (target(NOTES, RootKind::Map, vec![Step::Key(key)]), letters)
    };
    let at = |dice: &mut Dice, length: usize| 2 * u32::try_from(dice.below(length)).unwrap_or(0);
    let set = |root: &str, value: &dyn Fn(String) -> Value, issuer: &mut Issuer| {
        let token = issuer.issue();
        let edit = Edit::Set { key: key_of(token), value: value(token.to_string()) };
        (target(root, RootKind::Map, Vec::new()), edit)
    };
    match dice.below(8) {
        0 if !cards.is_empty() => {
            (target(CARDS, RootKind::Map, Vec::new()), Edit::Unset { key: dice.pick(&cards).clone() })
        }
        1 => set(NOTES, &Value::Text, issuer),
        2 => set(
            CARDS,
            &|text| Value::Shared(Json::from_iter([(Arc::from("value"), Json::from(text))])),
            issuer,
        ),
        3 | 4 if !notes.is_empty() => {
            let (target, letters) = note(dice);
            let text = issuer.issue().to_string();
            (target, Edit::InsertText { index: at(dice, letters + 1), text, attributes: None })
        }
        5 if !notes.is_empty() => match note(dice) {
            (target, 0) => {
                (target, Edit::InsertText { index: 0, text: issuer.issue().to_string(), attributes: None })
            }
            (target, letters) => (target, Edit::Delete { index: at(dice, letters), length: 2 }),
        },
        _ => set(CARDS, &|text| Value::Plain(text.into()), issuer),
    }
}

fn keys(shown: &Json, root: &str) -> Vec<String> {
    let members = shown.get(root).and_then(Json::as_object);
    members.into_iter().flat_map(|members| members.iter().map(|(key, _)| key.to_string())).collect()
}

/// A key that nobody else uses.
fn key_of(token: Token) -> String {
    format!("{:x}", u32::from(token))
}

fn edit(shown: &Json, dice: &mut Dice, issuer: &mut Issuer) -> (Target, Edit) {
    let elements = shown.get(LIST).and_then(Json::as_array).map_or(0, |list| list.len());
    let letters = shown.get(BODY).and_then(Json::as_str).map_or(0, |body| body.chars().count());
    let root = |name: &str, kind| Target { root: name.into(), kind, path: Vec::new() };
    let (list, body) = (root(LIST, RootKind::Array), root(BODY, RootKind::Text));
    let at = |dice: &mut Dice, length: usize| u32::try_from(dice.below(length)).unwrap_or(0);
    match dice.below(6) {
        0 if elements > 0 => (list, Edit::Delete { index: at(dice, elements), length: 1 }),
        // Every letter is a pair of units.
        1 if letters > 0 => (body, Edit::Delete { index: 2 * at(dice, letters), length: 2 }),
        2 | 3 => {
            let text = issuer.issue().to_string();
            (body, Edit::InsertText { index: 2 * at(dice, letters + 1), text, attributes: None })
        }
        _ => {
            let values = vec![Value::Plain(issuer.issue().to_string().into())];
            (list, Edit::Insert { index: at(dice, elements + 1), values })
        }
    }
}

/// What somebody without a replica does to what a document shows.
pub(crate) fn patch(shown: &Json, maps: bool, dice: &mut Dice, issuer: &mut Issuer) -> Patch {
    if maps && shown.get(CARDS).is_some() && dice.chance(4_000) {
        let (cards, token) = (keys(shown, CARDS), issuer.issue());
        let path = |key: &str| PointerBuf::from_tokens([CARDS, key]);
        let mut operations =
            vec![Operation::Add { path: path(&key_of(token)), value: token.to_string().into() }];
        if dice.chance(3_000) && !cards.is_empty() {
            operations.push(Operation::Remove { path: path(dice.pick(&cards).as_str()) });
        }
        return Patch(operations);
    }
    let elements = shown.get(LIST).and_then(Json::as_array).map(|list| list.len());
    let at = |key: &str| PointerBuf::from_tokens([LIST, key]);
    let value = Json::from(issuer.issue().to_string());
    let operation = match elements {
        None => return Patch(Vec::new()),
        Some(elements) if dice.chance(2_500) && elements > 0 => {
            let path = at(&dice.below(elements).to_string());
            return Patch(vec![Operation::Remove { path }, Operation::Add { path: at("-"), value }]);
        }
        Some(elements) => Operation::Add { path: at(&dice.below(elements + 1).to_string()), value },
    };
    Patch(vec![operation])
}

/// The tokens in an update: in its letters as they travel.
pub(crate) fn find_in_update(update: &CrdtUpdate, found: &mut Vec<Token>) {
    for bytes in update.0.windows(4) {
        let token = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
        found.extend(token.filter(|token| u32::from(*token) >= FIRST));
    }
}
