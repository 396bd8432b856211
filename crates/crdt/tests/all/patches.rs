//! The JSON view of a document, and JSON Patches on it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::{Document, PatchingError, ROOT_MAP};
use rejoin_json::{Json, Limits, Patch};
use yrs::types::{Attrs, xml::XmlElementPrelim};
use yrs::{
    Any, Array as _, Doc, GetString as _, In, Map as _, MapPrelim, ReadTxn as _, Text as _, TextPrelim,
    Transact as _, WriteTxn as _, Xml as _, XmlFragment as _, XmlTextPrelim,
};

use crate::support::{Dice, check, document, json, of, peer, sorted, whole};

fn patch(text: &str) -> Patch {
    Patch::parse(text, &Limits::default()).unwrap()
}

fn apply(document: &mut Document, text: &str) -> Result<bool, PatchingError> {
    let update = document.patch(&patch(text), &Limits::default())?;
    Ok(update.is_some())
}

fn view(document: &Document) -> String {
    document.json().unwrap().canonical()
}

/// A document as somebody's editor has made it.
fn made_by(edit: impl FnOnce(&Doc)) -> Document {
    let doc = peer(9);
    edit(&doc);
    of([&check(whole(&doc))])
}

#[test]
fn what_a_patch_adds_is_there_and_so_it_is_for_others() {
    let mut here = document();
    assert_eq!(view(&here), "{}");
    let added = r#"[{"op":"add","path":"/slide","value":3},{"op":"add","path":"/deck","value":{"title":"Q3","pages":[1,{"n":2}]}}]"#;
    let update = here.patch(&patch(added), &Limits::default()).unwrap().unwrap();
    assert_eq!(view(&here), r#"{"deck":{"pages":[1,{"n":2}],"title":"Q3"},"slide":3}"#);
    let mut there = Document::new("there", 2);
    there.apply(update).unwrap();
    assert_eq!(view(&there), view(&here));
    // Both edit one list.
    apply(&mut here, r#"[{"op":"add","path":"/deck/pages/0","value":0}]"#).unwrap();
    let other = there.patch(&patch(r#"[{"op":"add","path":"/deck/pages/-","value":3},{"op":"replace","path":"/deck/pages/1/n","value":7}]"#), &Limits::default());
    here.apply(other.unwrap().unwrap()).unwrap();
    assert_eq!(view(&here), r#"{"deck":{"pages":[0,1,{"n":7},3],"title":"Q3"},"slide":3}"#);
}

#[test]
fn a_patch_that_does_not_apply_changes_nothing() {
    let mut document = document();
    apply(&mut document, r#"[{"op":"add","path":"/a","value":[1]}]"#).unwrap();
    let before = sorted(&document);
    for refused in [
        r#"[{"op":"add","path":"/b","value":1},{"op":"test","path":"/a/0","value":2}]"#,
        r#"[{"op":"remove","path":"/b"}]"#,
        r#"[{"op":"add","path":"/a/7","value":1}]"#,
    ] {
        assert!(matches!(apply(&mut document, refused), Err(PatchingError::Patch(_))), "{refused}");
    }
    assert_eq!(apply(&mut document, r#"[{"op":"replace","path":"","value":[]}]"#), Err(PatchingError::Top));
    let deep = "[".repeat(64) + &"]".repeat(64);
    let deep = format!(r#"[{{"op":"add","path":"/d","value":{deep}}}]"#);
    assert!(matches!(apply(&mut document, &deep), Err(PatchingError::Depth | PatchingError::Patch(_))));
    assert_eq!(apply(&mut document, "[]"), Ok(false));
    assert_eq!(sorted(&document), before);
}

#[test]
fn what_others_call_their_types_stands_under_their_names() {
    let document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        transaction.get_or_insert_text("body").insert(&mut transaction, 0, "hello");
        transaction.get_or_insert_array("list").push_back(&mut transaction, 1);
        let map = transaction.get_or_insert_map("map");
        map.insert(&mut transaction, "bytes", Any::Buffer([1, 2].into()));
        map.insert(&mut transaction, "nothing", Any::Undefined);
        map.insert(&mut transaction, "text", In::from(TextPrelim::new("inner")));
        transaction.get_or_insert_map(ROOT_MAP).insert(&mut transaction, "slide", 1);
        // One that has the name of another, and one in which there is nothing.
        transaction.get_or_insert_map(ROOT_MAP).insert(&mut transaction, "body", "hidden");
        let gone = transaction.get_or_insert_text("gone");
        gone.insert(&mut transaction, 0, "x");
        gone.remove_range(&mut transaction, 0, 1);
    });
    let expected =
        r#"{"body":"hello","list":[1],"map":{"bytes":[1,2],"nothing":null,"text":"inner"},"slide":1}"#;
    assert_eq!(document.json().unwrap(), json(expected));
}

#[test]
fn xml_is_text_whose_attributes_are_in_order_and_is_replaced_as_a_whole() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        let fragment = transaction.get_or_insert_xml_fragment("page");
        let paragraph = fragment.push_back(&mut transaction, XmlElementPrelim::empty("p"));
        for name in ["z", "a", "m"] {
            paragraph.insert_attribute(&mut transaction, name, "1 < \"2\"");
        }
        let text = paragraph.push_back(&mut transaction, XmlTextPrelim::new("a & b"));
        text.format(&mut transaction, 0, 1, Attrs::from([("bold".into(), Any::Bool(true))]));
    });
    let attribute = "1 &lt; &quot;2&quot;";
    let shown = format!("<p a=\"{attribute}\" m=\"{attribute}\" z=\"{attribute}\">a &amp; b</p>");
    assert_eq!(document.json().unwrap().get("page").unwrap().as_str(), Some(shown.as_str()));
    apply(&mut document, r#"[{"op":"replace","path":"/page","value":"plain"}]"#).unwrap();
    assert_eq!(view(&document), r#"{"page":"plain"}"#);
}

#[test]
fn a_string_in_the_place_of_a_text_edits_the_part_that_differs() {
    let mut here = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        let text = transaction.get_or_insert_text("body");
        text.insert(&mut transaction, 0, "one 😀two three");
    });
    let mut there = Document::new("there", 2);
    there.apply(check(sorted(&here))).unwrap();
    let replaced = r#"[{"op":"replace","path":"/body","value":"one 😀2 three"}]"#;
    let update = here.patch(&patch(replaced), &Limits::default()).unwrap().unwrap();
    let other = there.patch(
        &patch(r#"[{"op":"splice","path":"/body","at":0,"remove":3,"insert":"1"}]"#),
        &Limits::default(),
    );
    let other = other.unwrap().unwrap();
    here.apply(other).unwrap();
    there.apply(update).unwrap();
    assert_eq!(view(&here), r#"{"body":"1 😀2 three"}"#);
    assert_eq!(view(&there), view(&here));
}

#[test]
fn what_is_embedded_in_a_text_stays_where_its_string_is_patched() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        let text = transaction.get_or_insert_text("body");
        text.insert(&mut transaction, 0, "abcd");
        text.insert_embed(&mut transaction, 2, Any::from_json(r#"{"image":"x.png"}"#).unwrap());
    });
    apply(&mut document, r#"[{"op":"replace","path":"/body","value":"aXYd"}]"#).unwrap();
    assert_eq!(view(&document), r#"{"body":"aXYd"}"#);
    let pieces = {
        let mut transaction = document.doc().transact_mut();
        let text = transaction.get_or_insert_text("body");
        text.diff(&transaction, |_| ()).len()
    };
    assert_eq!(pieces, 3, "the text, what is embedded, and the rest");
    apply(&mut document, r#"[{"op":"replace","path":"/body","value":""}]"#).unwrap();
    apply(&mut document, r#"[{"op":"add","path":"/list","value":[]}]"#).unwrap();
    assert_eq!(document.json().unwrap().get("body").unwrap().as_str(), Some(""), "it is not empty");
    // A string that is embedded looks like text, and goes with it.
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        let text = transaction.get_or_insert_text("body");
        text.insert(&mut transaction, 0, "abcd");
        text.insert_embed(&mut transaction, 2, Any::from("image"));
    });
    apply(&mut document, r#"[{"op":"replace","path":"/body","value":"aXYd"}]"#).unwrap();
    assert_eq!(view(&document), r#"{"body":"aXYd"}"#);
}

#[test]
fn a_value_within_one_that_is_replaced_as_a_whole_can_be_patched() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        let map = transaction.get_or_insert_map("m");
        map.insert(&mut transaction, "plain", Any::from_json(r#"{"a":[1,{"b":2}]}"#).unwrap());
        map.insert(&mut transaction, "shared", MapPrelim::from([("a", 1)]));
        let array = transaction.get_or_insert_array("l");
        array.push_back(&mut transaction, Any::from_json(r#"{"c":1}"#).unwrap());
    });
    let all = r#"[{"op":"replace","path":"/m/plain/a/1/b","value":3},{"op":"remove","path":"/m/plain/a/0"},
        {"op":"add","path":"/l/0/d","value":2},{"op":"move","from":"/m/shared/a","path":"/l/0/e"},
        {"op":"copy","from":"/m/plain","path":"/copied"}]"#;
    apply(&mut document, all).unwrap();
    let expected =
        r#"{"copied":{"a":[{"b":3}]},"l":[{"c":1,"d":2,"e":1}],"m":{"plain":{"a":[{"b":3}]},"shared":{}}}"#;
    assert_eq!(document.json().unwrap(), json(expected));
}

#[test]
fn root_types_keep_what_they_are_where_a_value_fits_and_go_where_it_does_not() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        transaction.get_or_insert_array("list").push_back(&mut transaction, 1);
        transaction.get_or_insert_map("map").insert(&mut transaction, "a", 1);
        transaction.get_or_insert_text("body").insert(&mut transaction, 0, "x");
    });
    apply(
        &mut document,
        r#"[{"op":"replace","path":"","value":{"list":[2,3],"map":{"b":1},"body":7,"more":null}}]"#,
    )
    .unwrap();
    assert_eq!(view(&document), r#"{"body":7,"list":[2,3],"map":{"b":1},"more":null}"#);
    apply(
        &mut document,
        r#"[{"op":"remove","path":"/list"},{"op":"remove","path":"/map"},{"op":"remove","path":"/more"}]"#,
    )
    .unwrap();
    assert_eq!(view(&document), r#"{"body":7}"#);
    // Where a root type was, its next value of that kind is looked for.
    apply(
        &mut document,
        r#"[{"op":"remove","path":"/body"},{"op":"add","path":"/list","value":[9]},{"op":"add","path":"/body","value":"again"}]"#,
    )
    .unwrap();
    assert_eq!(view(&document), r#"{"body":"again","list":[9]}"#);
    let transaction = document.doc().transact();
    assert_eq!(transaction.get_array("list").unwrap().len(&transaction), 1);
    assert_eq!(transaction.get_text("body").unwrap().get_string(&transaction), "again");
}

#[test]
fn a_root_type_that_a_patch_empties_is_the_one_that_it_fills_again() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        transaction.get_or_insert_array("list").push_back(&mut transaction, 1);
        transaction.get_or_insert_map("map").insert(&mut transaction, "a", 1);
    });
    let patch = r#"[{"op":"remove","path":"/list/0"},{"op":"add","path":"/list/-","value":2},
        {"op":"remove","path":"/map/a"},{"op":"add","path":"/map/b","value":2}]"#;
    apply(&mut document, patch).unwrap();
    assert_eq!(view(&document), r#"{"list":[2],"map":{"b":2}}"#);
    let transaction = document.doc().transact();
    assert_eq!(transaction.get_array("list").unwrap().len(&transaction), 1);
    assert_eq!(transaction.get_map("map").unwrap().len(&transaction), 1);
    assert!(transaction.get_map(ROOT_MAP).is_none_or(|map| map.len(&transaction) == 0));
}

#[test]
fn a_text_that_stays_in_a_whole_content_is_edited_where_it_differs() {
    let mut document = made_by(|doc| {
        let mut transaction = doc.transact_mut();
        transaction.get_or_insert_text("body").insert(&mut transaction, 0, "Hello, world");
        transaction.get_or_insert_map("map").insert(&mut transaction, "a", 1);
    });
    let before = document.clocks().clone();
    apply(&mut document, r#"[{"op":"replace","path":"","value":{"body":"Hello, you","map":{"a":1}}}]"#)
        .unwrap();
    assert_eq!(view(&document), r#"{"body":"Hello, you","map":{"a":1}}"#);
    let written: u32 = document.clocks().values().sum::<u32>() - before.values().sum::<u32>();
    assert_eq!(written, 3, "only `you` is new");
    apply(&mut document, r#"[{"op":"replace","path":"/body","value":"Oh, Hello, you there"}]"#).unwrap();
    let written: u32 = document.clocks().values().sum::<u32>() - before.values().sum::<u32>() - written;
    assert_eq!(written, 10, "only `Oh, ` and ` there` are new");
}

/// Patches that are drawn for what a document is.
fn drawn(dice: &mut Dice, value: &Json, path: &str, operations: &mut Vec<String>) {
    let fresh = |dice: &mut Dice| {
        (*dice.pick(&["1", "null", "\"s\"", "[]", "{}", "[1,[2]]", r#"{"a":{"b":[]}}"#])).to_owned()
    };
    let (members, values) = (value.as_object(), value.as_array());
    match (members, values) {
        (Some(members), _) => {
            let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
            match dice.below(4) {
                0 if !keys.is_empty() => {
                    operations.push(format!(r#"{{"op":"remove","path":"{path}/{}"}}"#, dice.pick(&keys)));
                }
                1 if !keys.is_empty() => {
                    let key = *dice.pick(&keys);
                    drawn(dice, &members.get(key).cloned().unwrap(), &format!("{path}/{key}"), operations);
                }
                _ => {
                    let key = *dice.pick(&["a", "b", "c"]);
                    operations
                        .push(format!(r#"{{"op":"add","path":"{path}/{key}","value":{}}}"#, fresh(dice)));
                }
            }
        }
        (_, Some(values)) => match dice.below(4) {
            0 if !values.is_empty() => {
                let at = dice.below(values.len());
                operations.push(format!(r#"{{"op":"remove","path":"{path}/{at}"}}"#));
            }
            1 if !values.is_empty() => {
                let at = dice.below(values.len());
                drawn(dice, &values.get(at).cloned().unwrap(), &format!("{path}/{at}"), operations);
            }
            _ => {
                let at = dice.below(values.len() + 1);
                operations.push(format!(r#"{{"op":"add","path":"{path}/{at}","value":{}}}"#, fresh(dice)));
            }
        },
        _ => operations.push(format!(r#"{{"op":"replace","path":"{path}","value":{}}}"#, fresh(dice))),
    }
}

#[test]
fn any_patch_makes_of_the_view_what_it_makes_of_plain_json() {
    for seed in 0..100 {
        let mut dice = Dice::new(seed);
        let mut document = document();
        let mut others = Document::new("others", 2);
        let mut plain = json("{}");
        for _ in 0..40 {
            let mut operations = Vec::new();
            drawn(&mut dice, &plain, "", &mut operations);
            let patch = patch(&format!("[{}]", operations.join(",")));
            rejoin_json::apply(&mut plain, &patch, &Limits::default()).unwrap();
            let update = document.patch(&patch, &Limits::default()).unwrap();
            assert_eq!(document.json().unwrap(), plain, "seed {seed}: {patch:?}");
            if let Some(update) = update {
                others.apply(update).unwrap();
            }
        }
        assert_eq!(others.json().unwrap(), plain, "seed {seed}");
    }
}
