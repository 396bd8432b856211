//! Relative positions.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{Edit, EditError, Fault, MAX_POSITION_BYTES, Position, RootKind, Target};

use crate::support::{document, json};

fn text() -> Target {
    Target { root: "text".into(), kind: RootKind::Text, path: Vec::new() }
}

fn letters(index: u32, text: &str) -> Edit {
    Edit::InsertText { index, text: text.into(), attributes: None }
}

#[test]
fn a_position_stays_where_it_is_in_both_forms() {
    let mut document = document();
    let ends = |document: &rejoin_crdt::Document, index, before| {
        let position = document.position(&text(), index, before).unwrap();
        assert_eq!(Position::check(&position.bytes()), Ok(position.clone()));
        assert_eq!(Position::from_json(&position.to_json()), Some(position.clone()));
        position
    };
    assert_eq!(document.index_of(&ends(&document, 0, false)), Ok(Some(0)));
    document.perform(&[(text(), letters(0, "a😀bc"))]).unwrap();
    let places: Vec<(u32, bool, Position)> = [0, 1, 3, 4, 5]
        .into_iter()
        .flat_map(|index| [false, true].map(|before| (index, before)))
        .map(|(index, before)| (index, before, ends(&document, index, before)))
        .collect();
    for (index, _, position) in &places {
        assert_eq!(document.index_of(position), Ok(Some(*index)));
    }
    document.perform(&[(text(), letters(3, "--"))]).unwrap();
    for (index, before, position) in &places {
        let moved = *index > 3 || (*index == 3 && !before);
        assert_eq!(document.index_of(position), Ok(Some(index + if moved { 2 } else { 0 })));
    }
    document.perform(&[(text(), Edit::Delete { index: 0, length: 6 })]).unwrap();
    assert_eq!(document.index_of(&places[4].2), Ok(Some(0)), "where it stood is deleted");
    assert_eq!(document.position(&text(), 2, false), Err(EditError::OutOfRange));
}

#[test]
fn what_yjs_writes_is_read_and_written_as_it_came() {
    let cases: [(&[u8], &str); 5] = [
        (&[0, 1, 2, 0], r#"{"item":{"client":1,"clock":2},"assoc":0}"#),
        (&[0, 1, 2, 0x41], r#"{"item":{"client":1,"clock":2},"assoc":-1}"#),
        (&[1, 1, b't', 0], r#"{"tname":"t","assoc":0}"#),
        (&[1, 1, b't', 0x41], r#"{"tname":"t","assoc":-1}"#),
        (&[2, 1, 2, 0], r#"{"type":{"client":1,"clock":2},"assoc":0}"#),
    ];
    for (bytes, shown) in cases {
        let position = Position::check(bytes).unwrap();
        assert_eq!(position.bytes(), bytes);
        assert_eq!(position.to_json(), json(shown));
        assert_eq!(Position::from_json(&json(shown)), Some(position));
    }
    // Without a side, as it was once; and of nobody who is there.
    let old = Position::check(&[0, 9, 9]).unwrap();
    assert!(!old.before);
    assert_eq!(document().index_of(&old), Ok(None));
}

#[test]
fn what_is_none_is_refused() {
    let fault = |bytes: &[u8]| Position::check(bytes).unwrap_err().fault;
    assert_eq!(fault(&[]), Fault::Ends);
    assert_eq!(fault(&[3, 1, 1, 0]), Fault::Kind);
    assert_eq!(fault(&[0, 1, 2, 0, 0]), Fault::Trailing);
    assert_eq!(fault(&[1, 1, 0xff, 0]), Fault::Utf8);
    assert_eq!(fault(&[0, 1, 0x81, 0x80, 0x80, 0x80, 0x10, 0]), Fault::Clock);
    let name = |length: usize| {
        let mut bytes = vec![1, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
        bytes.extend(vec![b'n'; length]);
        bytes.push(0);
        bytes
    };
    assert!(Position::check(&name(MAX_POSITION_BYTES - 4)).is_ok());
    assert_eq!(fault(&name(MAX_POSITION_BYTES - 3)), Fault::Bytes);
    for text in
        ["{}", "null", r#"{"item":{"client":-1,"clock":0}}"#, r#"{"item":{"client":1}}"#, r#"{"tname":1}"#]
    {
        assert_eq!(Position::from_json(&json(text)), None, "{text}");
    }
}
