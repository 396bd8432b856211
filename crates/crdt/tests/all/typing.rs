//! Edits of texts by index, made with what is remembered of the texts and without it: both are the same document, and everybody else's.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{Document, Edit, EditError, RootKind, Target, Update, Value, Watched};
use rejoin_json::{Json, Limits, Object, Patch};
use yrs::{Doc, GetString as _, ReadTxn as _, Text as _, Transact as _, WriteTxn as _};

use crate::support::{Dice, check, json, of, peer, sorted, take, whole};

const ROOTS: [&str; 2] = ["one", "two"];
const LETTERS: [&str; 7] =
    ["a", "bc", "😀", "d😀e", "é\u{301}", "\u{10ffff}\u{fffd}", "a longer piece 🦀 of text"];

fn text(root: &str) -> Target {
    Target { root: root.into(), kind: RootKind::Text, path: Vec::new() }
}

fn letters(index: u32, text: &str) -> Edit {
    Edit::InsertText { index, text: text.into(), attributes: None }
}

fn bold(value: &str) -> Object {
    json(&format!(r#"{{"b":{value}}}"#)).as_object().unwrap().clone()
}

/// An edit that changes nothing, and has the batch made by yrs alone.
fn nothing() -> (Target, Edit) {
    let map = Target { root: "map".into(), kind: RootKind::Map, path: Vec::new() };
    (map, Edit::Unset { key: "none".into() })
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

/// Two documents of one client that go through the same, one of them without what is remembered, and each with others, to whom it sends what it writes.
struct Pair {
    remembering: Watched,
    walking: Watched,
    /// Those of each of the two.
    peers: [[Doc; 2]; 2],
    /// What the first of them has not heard yet.
    sent: [Vec<Update>; 2],
    dice: Dice,
    has_marks: bool,
}

fn watched() -> Watched {
    let mut watched = Watched::new(Document::new("here", 5));
    ROOTS.iter().for_each(|root| watched.watch(root, RootKind::Text).unwrap());
    watched
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self {
            remembering: watched(),
            walking: watched(),
            peers: [[peer(3), peer(9)], [peer(3), peer(9)]],
            sent: [Vec::new(), Vec::new()],
            dice: Dice::new(seed),
            has_marks: seed.is_multiple_of(3),
        }
    }

    fn read(&self, root: &str) -> String {
        self.walking.document().read(&text(root)).unwrap().as_str().unwrap().to_owned()
    }

    /// UTF-16 units, with what is embedded.
    fn length(&self, root: &str) -> usize {
        let transaction = self.walking.document().doc().transact();
        transaction.get_text(root).map_or(0, |text| text.len(&transaction) as usize)
    }

    /// An edit of a text of so many units, and how many there are after it. Some cannot be made.
    fn edit(&mut self, length: usize) -> (Edit, usize) {
        let dice = &mut self.dice;
        // Where somebody types, it goes on; and often at the ends.
        let at = match dice.below(6) {
            0 => 0,
            1 => length,
            2 => length + dice.below(2),
            3 => length / 2,
            _ => dice.below(length + 1),
        };
        let index = number(at);
        let what = if self.has_marks && dice.below(10) == 0 { 10 + dice.below(2) } else { dice.below(10) };
        match what {
            0..=4 => {
                let piece = *dice.pick(&LETTERS);
                let piece =
                    if !self.has_marks && dice.below(40) == 0 { piece.repeat(400) } else { piece.to_owned() };
                (letters(index, &piece), length + piece.encode_utf16().count())
            }
            5..=8 => {
                let most = if dice.below(10) == 0 { length + 1 } else { 6 };
                let gone = dice.below(most + 1);
                (Edit::Delete { index, length: number(gone) }, length.saturating_sub(gone))
            }
            9 => (letters(index, ""), length),
            10 => {
                let attributes = bold(dice.pick::<&str>(&["true", "null"]));
                (Edit::InsertText { index, text: "bold".into(), attributes: Some(attributes) }, length + 4)
            }
            _ => {
                let attributes = bold(dice.pick::<&str>(&["true", "null", "1"]));
                let length = number(dice.below(6).min(length.saturating_sub(at)));
                if dice.below(4) == 0 {
                    let value = json(r#"{"image":1}"#);
                    return (Edit::Embed { index, value, attributes: Object::new() }, length as usize + 1);
                }
                (Edit::Format { index, length, attributes }, length as usize)
            }
        }
    }

    fn perform(&mut self) {
        let mut lengths = ROOTS.map(|root| self.length(root));
        let count = if self.dice.below(5) == 0 { 1 + self.dice.below(6) } else { 1 };
        let mut batch = Vec::new();
        for _ in 0..count {
            let root = usize::from(self.dice.below(5) == 0);
            let (edit, length) = self.edit(lengths[root]);
            lengths[root] = length;
            batch.push((text(ROOTS[root]), edit));
        }
        let walked: Vec<_> = batch.iter().cloned().chain([nothing()]).collect();
        let made = self.remembering.perform(&batch);
        let expected = self.walking.perform(&walked);
        assert_eq!(made.as_ref().err(), expected.as_ref().err(), "{batch:?}");
        self.send(made.unwrap_or(None).into_iter().collect(), expected.unwrap_or(None).into_iter().collect());
    }

    fn send(&mut self, made: Vec<Update>, expected: Vec<Update>) {
        assert_eq!(made.is_empty(), expected.is_empty());
        for (sent, more) in self.sent.iter_mut().zip([made, expected]) {
            for update in &more {
                // It is what somebody else may send, too.
                assert_eq!(check(update.bytes().clone()).facts(), update.facts());
            }
            sent.extend(more);
        }
    }

    /// Somebody else gets what was sent, edits, and tells.
    fn hear(&mut self) {
        let at = self.dice.below(2);
        let root = *self.dice.pick(&ROOTS);
        let edits: Vec<[usize; 3]> =
            (0..=self.dice.below(3)).map(|_| [(); 3].map(|()| self.dice.below(1 << 20))).collect();
        let watched = [&mut self.remembering, &mut self.walking];
        for ((watched, peers), sent) in watched.into_iter().zip(&self.peers).zip(&mut self.sent) {
            let peer = &peers[at];
            let held = whole(watched.document().doc());
            if at == 0 {
                sent.drain(..).for_each(|update| take(peer, update.bytes()));
            } else {
                take(peer, &held);
            }
            edits.iter().for_each(|edit| edit_there(peer, root, *edit, self.has_marks));
            let told = check(whole(peer));
            if at == 1 {
                // The first one is told everything in its order: plain yrs loses things where it has gaps.
                sent.push(told.clone());
            }
            watched.apply(told).unwrap();
        }
    }

    /// yrs makes again in no order what it takes back, so that the one without anything to remember begins anew with what the other one has.
    fn take_back(&mut self) {
        let is_undo = self.dice.below(3) > 0;
        let made = if is_undo { self.remembering.undo() } else { self.remembering.redo() }.unwrap();
        self.sent[0].extend(made);
        self.remembering.told();
        let whole = sorted(self.remembering.document());
        self.walking = watched();
        self.walking.apply(check(whole)).unwrap();
        self.walking.told();
        let Self { peers: [one, other], sent, .. } = self;
        sent[1].clear();
        *other = [peer(3), peer(9)];
        sent[0].drain(..).for_each(|update| take(&one[0], update.bytes()));
        one.iter().zip(other).for_each(|(one, other)| take(other, &crate::support::whole(one)));
    }

    /// Edits of another kind beside those of texts.
    fn otherwise(&mut self) {
        let array = Target { root: "array".into(), kind: RootKind::Array, path: Vec::new() };
        let put = Edit::Insert { index: 0, values: vec![Value::Plain(json("1"))] };
        let both = [(array, put), (text("one"), letters(0, "beside"))];
        let run = |watched: &mut Watched| watched.perform(&both).unwrap().into_iter().collect();
        let (made, expected) = (run(&mut self.remembering), run(&mut self.walking));
        self.send(made, expected);
    }

    fn compare(&mut self) {
        let (one, other) = (self.remembering.document(), self.walking.document());
        for root in ROOTS {
            assert_eq!(one.read(&text(root)), other.read(&text(root)));
            assert_eq!(self.remembering.pieces(root), self.walking.pieces(root));
        }
        assert_eq!(one.json(), other.json());
        assert_eq!(one.clocks(), other.clocks());
        if self.dice.below(8) == 0 {
            // All that was ever written, as far as it is joined by whoever loads it.
            let all = |document: &Document| sorted(&of([&check(sorted(document))]));
            assert!(all(one) == all(other));
        }
        // Of several roots yrs tells in no order.
        let told = |watched: &mut Watched| {
            let mut told: Vec<String> = watched.told().iter().map(Json::canonical).collect();
            told.sort();
            told
        };
        assert_eq!(told(&mut self.remembering), told(&mut self.walking));
    }

    fn end(&mut self) {
        for _ in 0..8 {
            self.hear();
        }
        for root in ROOTS {
            let read = self.read(root);
            let watched = [&self.remembering, &self.walking];
            for (watched, peer) in watched
                .into_iter()
                .zip(&self.peers)
                .flat_map(|(one, peers)| peers.iter().map(move |peer| (one, peer)))
            {
                take(peer, &whole(watched.document().doc()));
                let transaction = peer.transact();
                assert_eq!(
                    transaction.get_text(root).map_or(String::new(), |text| text.get_string(&transaction)),
                    read
                );
            }
        }
    }
}

/// An edit by chance, of plain yrs.
fn edit_there(peer: &Doc, root: &str, [what, from, length]: [usize; 3], has_marks: bool) {
    let mut transaction = peer.transact_mut();
    let text = transaction.get_or_insert_text(root);
    let content: Vec<u16> = text.get_string(&transaction).encode_utf16().collect();
    let piece = LETTERS[length % LETTERS.len()];
    if text.len(&transaction) as usize != content.len() {
        return text.insert(&mut transaction, 0, piece);
    }
    let whole = |at: usize| {
        if content.get(at).is_some_and(|unit| (0xdc00..0xe000).contains(unit)) { at + 1 } else { at }
    };
    let from = whole(from % (content.len() + 1));
    let length = whole((from + length % 8).min(content.len())) - from;
    match what % if has_marks { 4 } else { 3 } {
        0 if length > 0 => text.remove_range(&mut transaction, number(from), number(length)),
        3 if length > 0 => {
            let attributes = [("b".into(), true.into())].into_iter().collect();
            text.format(&mut transaction, number(from), number(length), attributes);
        }
        _ => text.insert(&mut transaction, number(from), piece),
    }
}

#[test]
fn what_is_remembered_of_a_text_changes_nothing_but_the_time_it_takes() {
    for seed in 0..if cfg!(target_arch = "wasm32") { 3 } else { 24 } {
        let mut pair = Pair::new(seed);
        for step in 0..120 {
            // Some have nobody else for long.
            match pair.dice.below(if seed % 2 == 0 { 30 } else { 12 }) {
                0 => pair.hear(),
                // What yrs cleans of marks depends on what is kept to be made again.
                1 if !pair.has_marks => pair.take_back(),
                2 if pair.dice.below(6) == 0 => pair.otherwise(),
                _ => pair.perform(),
            }
            pair.remembering.clock(1 + step * 300);
            pair.walking.clock(1 + step * 300);
            pair.compare();
        }
        pair.end();
    }
}

#[test]
fn patches_of_a_text_and_edits_of_it_know_of_each_other() {
    let mut document = Document::new("here", 1);
    let type_at = |document: &mut Document, index, piece: &str| {
        document.perform(&[(text("one"), letters(index, piece))]).unwrap().unwrap()
    };
    for (index, piece) in [(0, "a"), (1, "b"), (2, "c"), (1, "-")] {
        type_at(&mut document, index, piece);
    }
    let patch = r#"[{"op":"replace","path":"/one","value":"xa-b"}]"#;
    document.patch(&Patch::parse(patch, &Limits::default()).unwrap(), &Limits::default()).unwrap();
    for (index, piece) in [(4, "1"), (5, "2"), (6, "3"), (0, "0")] {
        type_at(&mut document, index, piece);
    }
    assert_eq!(document.read(&text("one")), Ok(Json::from("0xa-b123")));
    // Edits by yrs itself, too.
    document
        .edit(|transaction| {
            transaction.get_or_insert_text("one").remove_range(transaction, 0, 2);
            Ok::<(), EditError>(())
        })
        .unwrap();
    type_at(&mut document, 4, "4");
    assert_eq!(document.read(&text("one")), Ok(Json::from("a-b1423")));
}

#[test]
fn batches_that_cannot_be_made_leave_what_is_remembered_as_the_document_is() {
    let mut document = Document::new("here", 1);
    let put = |index, piece: &str| (text("one"), letters(index, piece));
    let delete = |index, length| (text("one"), Edit::Delete { index, length });
    for (index, piece) in [(0, "ab😀cd"), (6, "e"), (7, "f")] {
        document.perform(&[put(index, piece)]).unwrap();
    }
    let before = sorted(&document);
    let refused = [
        (vec![put(9, "x")], EditError::OutOfRange),
        (vec![put(3, "x")], EditError::WithinLetter),
        (vec![delete(2, 1)], EditError::WithinLetter),
        (vec![delete(3, 1)], EditError::WithinLetter),
        (vec![delete(3, 0)], EditError::WithinLetter),
        (vec![delete(5, 4)], EditError::OutOfRange),
        (vec![delete(u32::MAX, u32::MAX)], EditError::OutOfRange),
        (vec![put(0, "x"), put(10, "x")], EditError::OutOfRange),
        (vec![delete(0, 1), put(2, "x")], EditError::WithinLetter),
        (vec![put(0, "😀"), put(1, "x")], EditError::WithinLetter),
    ];
    for (batch, error) in refused {
        assert_eq!(document.perform(&batch), Err(error), "{batch:?}");
        assert!(sorted(&document) == before, "{batch:?}");
    }
    assert_eq!(document.perform(&[put(0, ""), delete(8, 0)]), Ok(None));
    document.perform(&[put(0, "<"), delete(3, 2), put(7, ">")]).unwrap().unwrap();
    assert_eq!(document.read(&text("one")), Ok(Json::from("<abcdef>")));
}

#[test]
fn a_root_that_is_also_an_array_is_edited_as_yrs_sees_it() {
    let mut document = Document::new("here", 1);
    let array = Target { root: "one".into(), kind: RootKind::Array, path: Vec::new() };
    let put = |index, piece: &str| (text("one"), letters(index, piece));
    document.perform(&[put(0, "abc")]).unwrap();
    let values = vec![Value::Plain(json("1")), Value::Plain(json("2"))];
    document.perform(&[(array, Edit::Insert { index: 1, values })]).unwrap();
    for piece in ["1", "2", "3"] {
        document.perform(&[put(1, piece)]).unwrap();
    }
    // A text shows no values, but they take their places.
    document.perform(&[(text("one"), Edit::Delete { index: 5, length: 1 })]).unwrap();
    assert_eq!(document.read(&text("one")), Ok(Json::from("a321c")));
}

#[test]
fn letters_that_were_put_by_index_are_taken_back_and_those_of_others_stay() {
    for seed in 0..6 {
        let (mut own, other, mut dice) = (watched(), peer(9), Dice::new(seed));
        let mut shown = Vec::new();
        for round in 0..30 {
            own.end_group();
            for _ in 0..5 {
                let length =
                    own.document().read(&text("one")).unwrap().as_str().unwrap().encode_utf16().count();
                let index = number(dice.below(length + 1));
                let update = own.perform(&[(text("one"), letters(index, "own"))]).unwrap().unwrap();
                take(&other, update.bytes());
            }
            if round % 3 == 0 {
                edit_there(&other, "one", [1, dice.below(100), 0], false);
                own.apply(check(whole(&other))).unwrap();
            }
            shown.push(own.document().read(&text("one")).unwrap());
        }
        while own.can_undo() {
            for update in own.undo().unwrap() {
                take(&other, update.bytes());
            }
            // Between edits that are taken back, others are made and taken back.
            let before = own.document().read(&text("one")).unwrap();
            own.end_group();
            for index in 0..3 {
                own.perform(&[(text("one"), letters(index, "x"))]).unwrap().unwrap();
            }
            own.undo().unwrap();
            assert_eq!(own.document().read(&text("one")).unwrap(), before);
        }
        let left = own.document().read(&text("one")).unwrap();
        assert_eq!(left, Json::from("a".repeat(10).as_str()));
        assert!(shown.iter().any(|shown| *shown != left));
        take(&other, &whole(own.document().doc()));
        assert_eq!(
            own.document().read(&text("one")).unwrap().as_str(),
            Some(&*other.get_or_insert_text("one").get_string(&other.transact()))
        );
    }
}
