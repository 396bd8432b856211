//! Edits by name and kind.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{Document, Edit, EditError, RootKind, Step, Target, Value};
use rejoin_json::{Json, Object};

use crate::support::{document, json, of, sorted};

fn root(name: &str, kind: RootKind) -> Target {
    Target { root: name.into(), kind, path: Vec::new() }
}

fn within(name: &str, kind: RootKind, path: &[Step]) -> Target {
    Target { path: path.to_vec(), ..root(name, kind) }
}

fn text() -> Target {
    root("text", RootKind::Text)
}

fn letters(index: u32, text: &str) -> Edit {
    Edit::InsertText { index, text: text.into(), attributes: None }
}

fn object(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

fn insert(index: u32, values: &[Value]) -> Edit {
    Edit::Insert { index, values: values.to_vec() }
}

fn set(key: &str, value: Value) -> Edit {
    Edit::Set { key: key.into(), value }
}

/// A document with something of each kind.
fn filled() -> Document {
    let mut document = document();
    let element = || within("xml", RootKind::Xml, &[Step::Index(0)]);
    let first = [
        (text(), letters(0, "a😀c")),
        (text(), Edit::Format { index: 0, length: 1, attributes: object(r#"{"bold":true}"#) }),
        (text(), Edit::Embed { index: 4, value: json(r#"{"image":1}"#), attributes: Object::new() }),
        (
            root("array", RootKind::Array),
            insert(0, &[Value::Plain(json("1")), Value::Shared(json(r#"{"x":[]}"#))]),
        ),
        (root("map", RootKind::Map), set("note", Value::Text("hi".into()))),
        (root("map", RootKind::Map), set("gone", Value::Plain(json("null")))),
        (root("xml", RootKind::Xml), insert(0, &[Value::Element("p".into())])),
    ];
    let second = [
        (element(), set("class", Value::Plain(json(r#""big""#)))),
        (element(), insert(0, &[Value::XmlText("one".into())])),
        (within("map", RootKind::Map, &[Step::Key("note".into())]), letters(2, "!")),
        (root("map", RootKind::Map), Edit::Unset { key: "gone".into() }),
        (
            within("array", RootKind::Array, &[Step::Index(1), Step::Key("x".into())]),
            insert(0, &[Value::Plain(json("true"))]),
        ),
        (root("array", RootKind::Array), insert(2, &[Value::Plain(json("[2]"))])),
    ];
    let one = document.perform(&first).unwrap().unwrap();
    let two = document.perform(&second).unwrap().unwrap();
    // Each batch is one update, and both are all there is.
    assert!(sorted(&of([&one, &two])) == sorted(&document));
    document
}

#[test]
fn edits_of_each_kind_are_one_update_and_read_again() {
    let document = filled();
    let read = |target: &Target| document.read(target).unwrap();
    assert_eq!(read(&text()), Json::from("a😀c"));
    assert_eq!(read(&root("array", RootKind::Array)), json(r#"[1,{"x":[true]},[2]]"#));
    assert_eq!(read(&root("map", RootKind::Map)), json(r#"{"note":"hi!"}"#));
    assert_eq!(read(&root("xml", RootKind::Xml)), Json::from(r#"<p class="big">one</p>"#));
    assert_eq!(read(&within("map", RootKind::Map, &[Step::Key("note".into())])), Json::from("hi!"));
    let missing = within("map", RootKind::Map, &[Step::Key("no".into())]);
    assert_eq!(document.read(&missing), Err(EditError::Missing));
}

#[test]
fn a_batch_with_one_that_cannot_be_made_changes_nothing() {
    let mut document = filled();
    let (before, clocks) = (sorted(&document), document.clocks().clone());
    let array = || root("array", RootKind::Array);
    let deep = (0..64).fold(json("1"), |inner, _| vec![inner].into());
    let cases = [
        (text(), letters(6, "x"), EditError::OutOfRange),
        (text(), letters(2, "x"), EditError::WithinLetter),
        (text(), Edit::Delete { index: 0, length: 2 }, EditError::WithinLetter),
        (text(), Edit::Delete { index: 5, length: 2 }, EditError::OutOfRange),
        (text(), Edit::Delete { index: u32::MAX, length: u32::MAX }, EditError::OutOfRange),
        (text(), insert(0, &[Value::Plain(json("1"))]), EditError::WrongKind),
        (text(), set("k", Value::Plain(json("1"))), EditError::WrongKind),
        (array(), insert(4, &[Value::Plain(json("1"))]), EditError::OutOfRange),
        (array(), insert(0, &[Value::Element("p".into())]), EditError::WrongKind),
        (array(), insert(0, &[Value::Shared(deep)]), EditError::Depth),
        (array(), Edit::Delete { index: 2, length: 2 }, EditError::OutOfRange),
        (root("xml", RootKind::Xml), insert(0, &[Value::Plain(json("1"))]), EditError::WrongKind),
        (within("array", RootKind::Array, &[Step::Index(0)]), letters(0, "x"), EditError::Missing),
        (within("array", RootKind::Array, &[Step::Key("k".into())]), letters(0, "x"), EditError::WrongKind),
    ];
    for (target, edit, error) in cases {
        // Another one before it, which could be made.
        let batch =
            [(text(), letters(0, "x")), (text(), Edit::Delete { index: 0, length: 1 }), (target, edit)];
        assert_eq!(document.perform(&batch), Err(error), "{:?}", batch[2]);
        assert!(sorted(&document) == before, "{:?}", batch[2]);
        assert_eq!(document.clocks(), &clocks);
    }
    let overlap = [
        (within("map", RootKind::Map, &[Step::Key("note".into())]), letters(0, "x")),
        (root("map", RootKind::Map), Edit::Unset { key: "note".into() }),
    ];
    assert_eq!(document.perform(&overlap), Err(EditError::Overlap));
    assert!(sorted(&document) == before);
}

#[test]
fn edits_at_both_ends_are_made_and_those_of_nothing_are_none() {
    let mut document = filled();
    let ends = [
        (text(), letters(5, ">")),
        (text(), letters(0, "<")),
        (text(), Edit::Delete { index: 0, length: 7 }),
    ];
    assert!(document.perform(&ends).unwrap().is_some());
    assert_eq!(document.read(&text()), Ok(Json::from("")));
    let nothing = [
        (text(), letters(0, "")),
        (text(), Edit::Delete { index: 0, length: 0 }),
        (text(), Edit::Format { index: 0, length: 0, attributes: Object::new() }),
        (root("array", RootKind::Array), insert(0, &[])),
        (root("map", RootKind::Map), Edit::Unset { key: "none".into() }),
    ];
    assert_eq!(document.perform(&nothing), Ok(None));
    assert_eq!(document.perform(&[]), Ok(None));
}
