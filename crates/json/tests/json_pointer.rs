//! JSON pointers: the examples of RFC 6901 and what schema validators accept.
//!
//! Relative JSON pointers, of which the data set has a file too, are another format, which nothing here reads.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{Json, Limits, Pointer};

fn parsed(file: &str) -> Option<Json> {
    let text = rejoin_conformance::file("json-pointer", file)?.text();
    Some(Json::parse(text, &Limits::default()).unwrap())
}

fn list<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    json.get(key).and_then(Json::as_array).unwrap().iter()
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap()
}

#[test]
fn pointers_of_the_rfc_find_what_they_should_and_nothing_else() {
    let Some(examples) = parsed("rfc6901-examples.json") else { return };
    let document = examples.get("document").unwrap();
    let find = |pointer: &str| document.pointer(Pointer::parse(pointer).ok()?);
    let mut count = 0;
    for example in list(&examples, "resolve") {
        assert_eq!(find(text(example, "pointer")), example.get("value"), "{example}");
        count += 1;
    }
    for example in list(&examples, "uri_fragment") {
        let pointer = percent_decoded(text(example, "pointer").strip_prefix('#').unwrap());
        assert_eq!(find(&pointer), example.get("value"), "{example}");
        count += 1;
    }
    for example in list(&examples, "must_fail") {
        assert_eq!(find(text(example, "pointer")), None, "{example}");
        count += 1;
    }
    assert_eq!(count, 37);
}

fn percent_decoded(fragment: &str) -> String {
    let mut pieces = fragment.split('%');
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        text.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        text.push_str(rest);
    }
    text
}

#[test]
fn pointers_are_well_formed_where_schema_validators_say_so() {
    let Some(groups) = parsed("json-pointer.json") else { return };
    let mut count = 0;
    for group in groups.as_array().unwrap() {
        for case in list(group, "tests") {
            // A schema says nothing about the format of what is not a string.
            let well_formed =
                case.get("data").unwrap().as_str().is_none_or(|text| Pointer::parse(text).is_ok());
            assert_eq!(Some(well_formed), case.get("valid").and_then(Json::as_bool), "{case}");
            count += 1;
        }
    }
    assert_eq!(count, 40);
}
