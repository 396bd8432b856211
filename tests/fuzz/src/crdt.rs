//! What clients of Yjs send: updates, state vectors, awareness and relative positions.

use bytes::Bytes;
use rejoin_crdt::awareness::{self, Entry};
use rejoin_crdt::doors::{Sync, hocuspocus, y_websocket};
use rejoin_crdt::{Clocks, Document, Position, StateVector, Update};
use rejoin_json::{Limits, Patch};

use crate::input::Input;

/// Bytes of an update in these targets.
const MAX_BYTES: usize = 1 << 20;

/// Bytes as an update: what is taken can be written in order, split and cut, and stays what it is.
pub fn update(bytes: &[u8]) {
    let Ok(update) = Update::check(Bytes::copy_from_slice(bytes), MAX_BYTES) else { return };
    assert_eq!(update.bytes(), bytes);
    let sorted = Update::check(update.sorted(), MAX_BYTES).expect("in another order it is an update too");
    assert_eq!(sorted.sorted(), *sorted.bytes());
    let split = update.clone().split(&Clocks::new());
    for part in split.ready.iter().chain(split.waiting.as_ref().map(|waiting| &waiting.update)) {
        let again = Update::check(part.bytes().clone(), MAX_BYTES).expect("a part is an update");
        assert_eq!(again.facts(), part.facts());
    }
    if let Some(ready) = split.ready {
        for part in ready.in_parts(&Clocks::new(), 64) {
            Update::check(part, MAX_BYTES).expect("a piece is an update");
        }
    }
}

/// Bytes as several updates of one document: whatever they are, it has no gap, can be written, and is the same when it is read again.
pub fn document(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut document = Document::new("fuzz", 1);
    while !input.is_empty() {
        let length = usize::from(input.byte()) | usize::from(input.byte() & 3) << 8;
        let Ok(update) = Update::check(Bytes::copy_from_slice(input.take(length)), MAX_BYTES) else {
            continue;
        };
        if document.apply(update) == Err(rejoin_crdt::ApplyError::Broken) {
            // Its driver makes it again without this update.
            return;
        }
    }
    let (Ok(json), Ok(written)) = (document.json(), document.since(&StateVector::default())) else { return };
    let written = Update::check(written, 1 << 26).expect("what is written is an update");
    let mut again = Document::new("again", 2);
    again.apply(written).expect("what is written can be applied");
    assert_eq!(again.waiting().len(), 0);
    let held = |document: &Document| document.clocks().iter().filter(|(_, clock)| **clock > 0).count();
    assert_eq!(held(&again), held(&document));
    assert_eq!(again.json().as_ref(), Ok(&json));
}

/// Bytes as awareness, and as a state vector.
pub fn awareness(bytes: &[u8]) {
    if let Ok(entries) = awareness::check(bytes) {
        assert_eq!(awareness::encode(&entries), bytes);
        assert!(entries.iter().all(|entry| !entry.is_gone() || entry.state.contains("null")));
    }
    if let Ok(vector) = StateVector::check(bytes) {
        assert!(vector.iter().count() <= bytes.len());
    }
}

/// Bytes as a relative position: what is taken is the same in both forms, and can be looked for in a document.
pub fn position(bytes: &[u8]) {
    let Ok(position) = Position::check(bytes) else { return };
    assert_eq!(Position::check(&position.bytes()).as_ref(), Ok(&position));
    assert_eq!(Position::from_json(&position.to_json()).as_ref(), Some(&position));
    let mut document = Document::new("fuzz", 1);
    let update = Update::check(Bytes::from_static(WRITTEN[0]), MAX_BYTES).expect("it is an update");
    document.apply(update).expect("it can be applied");
    let index = document.index_of(&position).expect("looking changes nothing");
    assert!(index.is_none_or(|index| index <= 2));
}

/// Bytes as a frame of each kind of Yjs client: what is read is what was sent, where there is one way to send it.
pub fn doors(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    if let Ok(y_websocket::Message::Sync(sync)) = y_websocket::read(&frame, MAX_BYTES) {
        match sync {
            Sync::Step1(_) => {}
            Sync::Step2(update) => assert!(same(&y_websocket::step2(update.bytes()), bytes)),
            Sync::Update(update) => assert!(same(&y_websocket::update(update.bytes()), bytes)),
        }
    }
    if let Ok(hocuspocus::Frame::About { address, message }) = hocuspocus::read(&frame, MAX_BYTES) {
        let (name, session) = hocuspocus::name_of(address);
        assert_eq!(name.len() + session.map_or(0, |session| session.len() + 1), address.len());
        if let hocuspocus::Message::Sync(Sync::Update(update)) = message {
            assert!(same(&hocuspocus::update(address, update.bytes()), bytes));
        }
    }
}

/// Whether a frame was written as it came. No encoder writes a number longer than it has to be, and none is read.
fn same(written: &Bytes, came: &[u8]) -> bool {
    written == came
}

/// Updates of a document that is patched, one after the other.
fn updates() -> Vec<Vec<u8>> {
    let patches = [
        r#"[{"op":"add","path":"/title","value":"one"},{"op":"add","path":"/list","value":[1,2.5,null,true,{"a":[]}]}]"#,
        r#"[{"op":"replace","path":"/title","value":"two"},{"op":"remove","path":"/list/1"}]"#,
        r#"[{"op":"add","path":"/list/-","value":{"deep":{"er":["\ud83d\ude00"]}}},{"op":"move","from":"/list/0","path":"/first"}]"#,
    ];
    let mut document = Document::new("seed", 9);
    let made = patches.iter().map(|patch| {
        let patch = Patch::parse(patch, &Limits::default()).expect("the patches are patches");
        document.patch(&patch, &Limits::default()).expect("they apply").expect("each changes something")
    });
    made.map(|update| update.bytes().to_vec()).collect()
}

/// A text that Yjs wrote, a deletion, types within types, and what waits for something else.
const WRITTEN: &[&[u8]] = &[
    &[1, 1, 1, 0, 4, 1, 1, 0x74, 2, 0x68, 0x69, 0],
    &[1, 1, 1, 2, 0x84, 1, 1, 1, 0x21, 0],
    &[0, 1, 1, 1, 0, 1],
    &[1, 2, 7, 0, 7, 1, 1, 0x61, 0, 0x27, 0, 7, 0, 1, 0x6b, 1, 0],
    &[1, 2, 5, 0, 7, 1, 1, 0x78, 3, 1, 0x70, 7, 0, 5, 0, 6, 0],
    &[1, 1, 3, 4, 0x86, 1, 1, 1, 0x62, 4, 0x74, 0x72, 0x75, 0x65, 0],
    &[1, 2, 2, 0, 10, 5, 0x84, 2, 4, 1, 0x78, 0],
    &[0, 0],
];

pub(crate) fn update_seeds() -> Vec<Vec<u8>> {
    updates().into_iter().chain(WRITTEN.iter().map(|bytes| bytes.to_vec())).collect()
}

pub(crate) fn document_seeds() -> Vec<Vec<u8>> {
    let framed = |update: &Vec<u8>| {
        let length = u16::try_from(update.len()).expect("the seeds are short").to_le_bytes();
        [&length[..], update].concat()
    };
    let all = update_seeds();
    let forward: Vec<u8> = all.iter().flat_map(framed).collect();
    let backward: Vec<u8> = all.iter().rev().flat_map(framed).collect();
    all.iter().map(framed).chain([forward, backward]).collect()
}

pub(crate) fn door_seeds() -> Vec<Vec<u8>> {
    let update = WRITTEN[0];
    let frames = [
        y_websocket::step1(&[1, 1, 2]),
        y_websocket::step2(update),
        y_websocket::update(update),
        y_websocket::awareness(&awareness_seeds()[1]),
        hocuspocus::step1("d1", &[1, 1, 2]),
        hocuspocus::step2("d1", update),
        hocuspocus::update("d1\0s", update),
        hocuspocus::awareness("d1", &awareness_seeds()[2]),
        Bytes::from_static(b"\x02d1\x02\x00\x03tok\x054.8.0"),
        Bytes::from_static(b"\x02d1\x07"),
    ];
    frames.iter().map(|frame| frame.to_vec()).collect()
}

pub(crate) fn position_seeds() -> Vec<Vec<u8>> {
    let seeds: [&[u8]; 6] =
        [&[0, 1, 0, 0], &[0, 1, 1, 0x41], &[0, 9, 9], &[1, 1, b't', 0], &[1, 1, b't', 0x41], &[2, 1, 0, 0]];
    seeds.iter().map(|bytes| bytes.to_vec()).collect()
}

pub(crate) fn awareness_seeds() -> Vec<Vec<u8>> {
    let entry = |client, clock, state| Entry { client, clock, state };
    let several = [entry(1, 1, r#"{"user":{"name":"ada"},"cursor":null}"#), entry(1 << 52, u32::MAX, "null")];
    vec![
        awareness::encode(&[]),
        awareness::encode(&several[..1]),
        awareness::encode(&several),
        vec![2, 9, 5, 7, 0],
    ]
}
