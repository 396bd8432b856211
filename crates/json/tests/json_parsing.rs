//! JSONTestSuite: what must parse does, what must not is refused, and what readers may decide is decided here.
#![allow(clippy::unwrap_used)]

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{Json, Limits, MAX_DEPTH};

/// Of the texts that readers may accept or refuse, those that are accepted: numbers too small for a double are 0.
const ACCEPTED: &[&str] = &["i_number_double_huge_neg_exp.json", "i_number_real_underflow.json"];

const LIMITS: Limits = Limits {
    max_operations: 0,
    max_depth: MAX_DEPTH,
    max_copied_bytes: 0,
    max_spliced_bytes: 0,
    align_arrays: true,
    max_document_bytes: 1 << 20,
    max_text_bytes: 1 << 20,
};

#[test]
fn every_text_of_the_suite_is_decided_as_it_should_be() {
    let Some(files) = rejoin_conformance::files("json-parsing") else { return };
    let mut decided = [0; 3];
    for file in files.iter().filter(|file| file.name.contains("test_parsing/")) {
        let name = file.name.rsplit('/').next().unwrap();
        let parsed = Json::parse_bytes(file.bytes, &LIMITS);
        let (class, accepted) = match name.split('_').next().unwrap() {
            "y" => (0, true),
            "n" => (1, false),
            "i" => (2, ACCEPTED.contains(&name)),
            _ => panic!("{name} is in no class"),
        };
        assert_eq!(parsed.is_ok(), accepted, "{name}: {parsed:?}");
        if let Ok(value) = parsed {
            let canonical = value.canonical();
            assert_eq!(Json::parse(&canonical, &LIMITS).as_ref(), Ok(&value), "{name}");
            assert_eq!(value.encoded_len(), canonical.len(), "{name}");
        }
        decided[class] += 1;
    }
    assert_eq!(decided, [95, 188, 35], "files that must parse, must not, and may");
}

#[test]
fn what_readers_transform_differently_is_decided() {
    let decisions = [
        ("number_1.0.json", Some("[1]")),
        ("number_1.000000000000000005.json", Some("[1]")),
        ("number_1000000000000000.json", Some("[1000000000000000]")),
        ("number_10000000000000000999.json", None),
        ("number_1e-999.json", Some("[0]")),
        ("number_1e6.json", Some("[1000000]")),
        ("number_-9223372036854775808.json", None),
        ("number_-9223372036854775809.json", None),
        ("number_9223372036854775807.json", None),
        ("number_9223372036854775808.json", None),
        ("object_key_nfc_nfd.json", Some("{\"e\u{301}\":\"NFD\",\"\u{e9}\":\"NFC\"}")),
        ("object_key_nfd_nfc.json", Some("{\"e\u{301}\":\"NFD\",\"\u{e9}\":\"NFC\"}")),
        ("object_same_key_different_values.json", Some(r#"{"a":2}"#)),
        ("object_same_key_same_value.json", Some(r#"{"a":1}"#)),
        ("object_same_key_unclear_values.json", Some(r#"{"a":0}"#)),
        ("string_1_escaped_invalid_codepoint.json", None),
        ("string_1_invalid_codepoint.json", None),
        ("string_2_escaped_invalid_codepoints.json", None),
        ("string_2_invalid_codepoints.json", None),
        ("string_3_escaped_invalid_codepoints.json", None),
        ("string_3_invalid_codepoints.json", None),
        ("string_with_escaped_NULL.json", Some(r#"["A\u0000B"]"#)),
    ];
    let Some(files) = rejoin_conformance::files("json-parsing") else { return };
    let files: Vec<_> = files.iter().filter(|file| file.name.contains("test_transform/")).collect();
    assert_eq!(files.len(), decisions.len());
    for file in files {
        let name = file.name.rsplit('/').next().unwrap();
        let (_, expected) =
            decisions.iter().find(|(decided, _)| *decided == name).unwrap_or_else(|| panic!("{name}"));
        let parsed = Json::parse_bytes(file.bytes, &LIMITS).ok().map(|value| value.canonical());
        assert_eq!(parsed.as_deref(), *expected, "{name}");
    }
}
