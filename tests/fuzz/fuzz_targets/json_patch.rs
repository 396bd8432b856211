//! A document, and on the next line a patch: it applies in place as to a shared document, its inverse leads back, and a
//! failure leaves no trace.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{Json, Limits, Patch, apply, apply_inverting};

const LIMITS: Limits = Limits {
    max_operations: 50,
    max_depth: 12,
    max_copied_bytes: 4_000,
    max_spliced_bytes: 4_000,
    max_document_bytes: 8_000,
    max_text_bytes: 1 << 20,
};

fuzz_target!(|text: &str| {
    let Some((document, patch)) = text.split_once('\n') else { return };
    let (Ok(document), Ok(patch)) = (Json::parse(document, &LIMITS), Patch::parse(patch, &Limits::default()))
    else {
        return;
    };
    assert_eq!(Patch::parse(&patch.to_string(), &Limits::default()).as_ref(), Ok(&patch));
    let (mut in_place, mut shared, mut inverted) =
        (unshared(&document), document.clone(), unshared(&document));
    let result = apply(&mut in_place, &patch, &LIMITS);
    assert_eq!(apply(&mut shared, &patch, &LIMITS), result);
    assert_eq!(in_place, shared);
    assert_eq!(in_place.encoded_len(), in_place.canonical().len());
    let back = apply_inverting(&mut inverted, &patch, &LIMITS);
    assert_eq!(inverted, in_place);
    match back {
        Ok(back) => {
            let unbounded = Limits { max_operations: usize::MAX, max_depth: 128, ..LIMITS };
            apply(&mut inverted, &back, &unbounded).expect("the inverse applies");
            assert_eq!(inverted.canonical(), document.canonical());
            agrees_with_another(&document, &patch, &in_place);
        }
        Err(error) => {
            assert_eq!(result, Err(error));
            assert_eq!(in_place.canonical(), document.canonical());
        }
    }
});

fn unshared(document: &Json) -> Json {
    Json::parse(&document.canonical(), &Limits::default()).expect("canonical text is JSON")
}

/// Others refuse to move the whole document to where it is; whatever else they do, they do the same.
fn agrees_with_another(document: &Json, patch: &Patch, expected: &Json) {
    let theirs = patch.to_json_patch(document, &LIMITS).expect("the patch applies");
    let mut value = document.to_value();
    if json_patch::patch(&mut value, &theirs).is_ok() {
        assert_eq!(Json::from_value(&value).as_ref(), Ok(expected));
    }
}
