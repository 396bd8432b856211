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
use rejoin_wire::limits::MAX_CRDT_BYTES;
use rejoin_wire::{CrdtUpdate, DocumentId};
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

/// With which byte the characters of values begin, at least, as UTF-8.
const FIRST_BYTE: u8 = 0xf3;

/// Most bytes of updates whose JSON is remembered: a world is small.
const MAX_REMEMBERED: usize = 4_096;

/// Whose view of a document is asked for: that of a node, by its number, or that of the log.
pub(crate) const LOG: usize = usize::MAX;

/// What updates come to, each found out once: all replicas hold the same.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    known: RefCell<BTreeMap<[u8; 32], Json>>,
    /// Documents as their holders have them open, so that each update is applied once to each of them. Who looks has another one than who writes, so that
    /// what is written is the same whoever looks on.
    kept: RefCell<BTreeMap<(DocumentId, usize, Use), Kept>>,
}

/// What for somebody has a document open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Looking,
    Writing,
}

/// A document that somebody has open.
struct Kept {
    client: u64,
    /// What was applied.
    crdt: Crdt,
    document: Document,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kept").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Kept {
    fn new(client: u64) -> Self {
        Self { client, crdt: Crdt::default(), document: Document::new("", client) }
    }

    /// Brings it to these updates. What is not among them any more cannot be taken out: then it is made again.
    fn bring_to(&mut self, crdt: &Crdt) {
        if !self.crdt.beyond(crdt).is_empty() {
            *self = Self::new(self.client);
        }
        for update in crdt.beyond(&self.crdt) {
            // What the engine took although it cannot be applied is missing in what is shown.
            let _ = Update::check(update.0, MAX_CRDT_BYTES).map(|update| self.document.apply(update));
        }
        self.crdt = crdt.clone();
    }
}

impl Shown {
    /// What updates show as JSON that somebody holds.
    pub(crate) fn json(&self, id: &DocumentId, holder: usize, crdt: &Crdt) -> Json {
        let mut hasher = Sha256::new();
        for update in crdt.updates() {
            hasher.update(update.0.len().to_le_bytes());
            hasher.update(&update.0);
        }
        let key: [u8; 32] = hasher.finalize().into();
        if let Some(json) = self.known.borrow().get(&key) {
            return json.clone();
        }
        let json = self.written_json(id, holder, crdt).unwrap_or_else(|| {
            self.open((id, holder, Use::Looking), None, crdt, |kept| kept.document.json().unwrap_or_default())
        });
        let mut known = self.known.borrow_mut();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(key, json.clone());
        json
    }

    /// What a document shows in which somebody writes, if just these updates are in it.
    fn written_json(&self, id: &DocumentId, holder: usize, crdt: &Crdt) -> Option<Json> {
        let kept = self.kept.borrow();
        let kept = kept.get(&(id.clone(), holder, Use::Writing))?;
        let is_that = kept.crdt.beyond(crdt).is_empty() && crdt.beyond(&kept.crdt).is_empty();
        is_that.then(|| kept.document.json().unwrap_or_default())
    }

    /// What a view shows, of either kind of document.
    pub(crate) fn content(&self, id: &DocumentId, holder: usize, view: &View) -> Json {
        view.crdt.as_ref().map_or_else(|| view.content.clone(), |crdt| self.json(id, holder, crdt))
    }

    /// How much of what a client wrote updates have.
    pub(crate) fn written(&self, id: &DocumentId, holder: usize, crdt: Option<&Crdt>, client: u64) -> u32 {
        let Some(crdt) = crdt else { return 0 };
        let written = |kept: &mut Kept| kept.document.clocks().get(&client).copied();
        self.open((id, holder, Use::Writing), None, crdt, written).unwrap_or(0)
    }

    /// What somebody types next into a document; `None` where nothing comes of it.
    pub(crate) fn update(
        &self,
        (id, holder): (&DocumentId, usize),
        crdt: Option<&Crdt>,
        client: u64,
        maps: bool,
        dice: &mut Dice,
        issuer: &mut Issuer,
    ) -> Option<CrdtUpdate> {
        let crdt = crdt.cloned().unwrap_or_default();
        self.open((id, holder, Use::Writing), Some(client), &crdt, |kept| {
            let shown = kept.document.json().ok()?;
            let edits = (0..dice.between(1, 3)).map(|_| {
                if maps && dice.chance(5_000) {
                    edit_map(&shown, dice, issuer)
                } else {
                    edit(&shown, dice, issuer)
                }
            });
            let edits: Vec<(Target, Edit)> = edits.collect();
            // Each of a batch sees what the ones before it made: an index may be gone by then.
            let update = kept.document.perform(&edits).ok().flatten()?;
            let update = CrdtUpdate(update.bytes().clone());
            kept.crdt = kept.crdt.with(update.clone());
            Some(update)
        })
    }

    /// Does something with a document as its holder has it, as whom it writes where that matters.
    fn open<T>(
        &self,
        (id, holder, purpose): (&DocumentId, usize, Use),
        client: Option<u64>,
        crdt: &Crdt,
        act: impl FnOnce(&mut Kept) -> T,
    ) -> T {
        let mut kept = self.kept.borrow_mut();
        let kept = kept
            .entry((id.clone(), holder, purpose))
            .or_insert_with(|| Kept::new(client.unwrap_or_default()));
        if client.is_some_and(|client| client != kept.client) {
            *kept = Kept::new(client.unwrap_or_default());
        }
        kept.bring_to(crdt);
        act(kept)
    }
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
    // A character of that plane and the last one begins with one of the two highest bytes that any does.
    for bytes in update.0.windows(4).filter(|bytes| bytes[0] >= FIRST_BYTE) {
        let token = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
        found.extend(token.filter(|token| u32::from(*token) >= FIRST));
    }
}
