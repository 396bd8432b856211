//! What other implementations have written, and what they make of it.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_crdt::Clocks;
use rejoin_json::Json;
use yrs::{ReadTxn as _, Transact as _, WriteTxn as _};

use crate::support::{Dice, base64, check, document, of, sorted};

fn data(name: &str) -> Option<&'static [u8]> {
    Some(rejoin_conformance::file("yjs-compat", name)?.bytes)
}

/// The documents of the data set: the updates of each, its text, and the rest as bytes.
struct Cases {
    bytes: &'static [u8],
    left: u64,
}

struct Case {
    updates: Vec<&'static [u8]>,
    text: &'static str,
    /// As lib0 has it: a map, and an array.
    map: Json,
    array: Json,
}

impl Cases {
    fn new(mut bytes: &'static [u8]) -> Self {
        let left = number(&mut bytes);
        Self { bytes, left }
    }
}

impl Iterator for Cases {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        self.left = self.left.checked_sub(1)?;
        let bytes = &mut self.bytes;
        let updates = (0..number(bytes)).map(|_| buffer(bytes)).collect();
        let text = std::str::from_utf8(buffer(bytes)).unwrap();
        let (map, array) = (any(bytes), any(bytes));
        Some(Case { updates, text, map, array })
    }
}

fn take(bytes: &mut &'static [u8], count: usize) -> &'static [u8] {
    let (front, rest) = bytes.split_at(count);
    *bytes = rest;
    front
}

fn number(bytes: &mut &'static [u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn buffer(bytes: &mut &'static [u8]) -> &'static [u8] {
    let length = usize::try_from(number(bytes)).unwrap();
    take(bytes, length)
}

fn any(bytes: &mut &'static [u8]) -> Json {
    match take(bytes, 1)[0] {
        127 | 126 => Json::Null,
        125 => {
            let first = take(bytes, 1)[0];
            let (mut value, mut shift, mut byte) = (u64::from(first & 0x3f), 6, first);
            while byte >= 0x80 {
                byte = take(bytes, 1)[0];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
            }
            let value = value as f64;
            Json::number(if first & 0x40 == 0 { value } else { -value }).unwrap()
        }
        124 => Json::number(f32::from_be_bytes(take(bytes, 4).try_into().unwrap()).into()).unwrap(),
        123 => Json::number(f64::from_be_bytes(take(bytes, 8).try_into().unwrap())).unwrap(),
        121 => Json::Bool(false),
        120 => Json::Bool(true),
        119 => Json::from(std::str::from_utf8(buffer(bytes)).unwrap()),
        118 => {
            let mut members = rejoin_json::Object::new();
            for _ in 0..number(bytes) {
                let key = std::str::from_utf8(buffer(bytes)).unwrap();
                members.insert(key, any(bytes));
            }
            members.into()
        }
        117 => (0..number(bytes)).map(|_| any(bytes)).collect::<Vec<_>>().into(),
        other => panic!("a value of kind {other}"),
    }
}

#[test]
fn each_document_of_the_public_set_comes_out_as_yjs_has_it_in_any_order() {
    let Some(bytes) = data("small-test-dataset.bin") else { return };
    let (mut documents, mut updates) = (0, 0);
    let mut dice = Dice::new(1);
    for case in Cases::new(bytes) {
        let mut order: Vec<usize> = (0..case.updates.len()).collect();
        dice.shuffle(&mut order);
        let mut document = document();
        for at in order {
            document.apply(check(case.updates[at])).unwrap();
            updates += 1;
        }
        assert_eq!(document.waiting().len(), 0, "document {documents}");
        {
            // What types these are others have said: a map in a text looks like one in an array.
            let mut transaction = document.doc().transact_mut();
            transaction.get_or_insert_text("text");
            transaction.get_or_insert_map("map");
            transaction.get_or_insert_array("array");
        }
        let json = document.json().unwrap();
        let shown = |name: &str, empty: Json| json.get(name).cloned().unwrap_or(empty);
        assert_eq!(shown("text", "".into()), Json::from(case.text), "document {documents}");
        assert_eq!(shown("map", crate::support::json("{}")), case.map, "document {documents}");
        assert_eq!(shown("array", crate::support::json("[]")), case.array, "document {documents}");
        documents += 1;
    }
    assert_eq!((documents, updates), (5_320, 46_385));
}

#[test]
fn the_trace_of_a_paper_is_one_text_whole_and_in_parts_of_any_size() {
    let Some(bytes) = data("b4-update.bin") else { return };
    let update = check(bytes);
    let mut reference = document();
    reference.apply(update.clone()).unwrap();
    assert_eq!(reference.waiting().len(), 0);
    let written = sorted(&reference);
    for most in [500, 20_000, 1 << 20] {
        let mut document = document();
        let parts = update.in_parts(&Clocks::new(), most);
        assert!(parts.iter().all(|part| part.len() <= most + 64));
        for part in parts {
            document.apply(check(part)).unwrap();
            assert_eq!(document.waiting().len(), 0, "each part can be applied as it comes");
        }
        assert_eq!(document.clocks(), reference.clocks());
        assert!(sorted(&document) == written, "parts of {most}");
    }
}

#[test]
fn what_earlier_versions_wrote_is_understood() {
    let (Some(compat), Some(payloads)) = (data("compat-v13.2.0.json"), data("ycrdt-unit-payloads.json"))
    else {
        return;
    };
    let cases: serde_json::Value = serde_json::from_slice(compat).unwrap();
    for case in cases.as_array().unwrap() {
        let field = |name: &str| case[name].as_str().unwrap();
        let document = of([&check(base64(field("update_v1_b64")))]);
        let shown = document.json().unwrap().get(field("root")).cloned().unwrap();
        let expected = Json::try_from(&case["expected_yjs_13_6"]).unwrap();
        let expected = match shown {
            // What Yjs tells piece by piece, with marks and what is embedded, is a string here.
            Json::String(_) => {
                let pieces = expected.as_array().unwrap().iter();
                Json::from(pieces.filter_map(|piece| piece.get("insert")?.as_str()).collect::<String>())
            }
            _ => expected,
        };
        assert_eq!(shown, expected, "{}", field("name"));
    }
    // One of each pair is of the first format, the other of the second, which is refused, as are a state vector and other data.
    let taken = |case: &serde_json::Value| {
        let bytes = base64(case["b64"].as_str().unwrap());
        rejoin_crdt::Update::check(bytes.into(), 1 << 20).is_ok()
    };
    let cases: serde_json::Value = serde_json::from_slice(payloads).unwrap();
    let taken: Vec<bool> = cases.as_array().unwrap().iter().map(taken).collect();
    assert_eq!(taken, [true, true, false, true, false, true, false, false, false]);
}

#[test]
fn what_was_altered_on_its_way_is_refused_or_understood_by_yrs() {
    use yrs::updates::decoder::Decode as _;
    let Some(bytes) = data("small-test-dataset.bin") else { return };
    let updates: Vec<&[u8]> = Cases::new(bytes).take(20).flat_map(|case| case.updates).collect();
    let mut dice = Dice::new(2);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut update = dice.pick(&updates).to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(update.len());
            update[at] = u8::try_from(dice.below(256)).unwrap();
        }
        match rejoin_crdt::Update::check(update.clone().into(), 1 << 20) {
            Ok(checked) => {
                yrs::Update::decode_v1(&update).unwrap_or_else(|error| panic!("{error}: {update:02x?}"));
                // Whatever it says, there is no gap in what yrs has, and it can be written.
                let mut document = document();
                if document.apply(checked).is_ok() {
                    assert!(!document.doc().transact().has_missing_updates());
                    sorted(&document);
                }
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 1_000 && refused > 1_000, "{taken} {refused}");
}
