//! Laws of the tree, its text and its patches, on random documents.
#![allow(clippy::unwrap_used)]

use proptest::{collection::vec, prelude::*, sample::Index};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use rejoin_json::{
    Json, Limits, Operation, ParseErrorKind, Patch, PointerBuf, apply, apply_inverting, invert,
    merge_patch_apply, merge_patch_diff, merge_patch_to_patch,
};

const LIMITS: Limits = Limits {
    max_operations: 100,
    max_depth: 10,
    max_copied_bytes: 2_000,
    max_spliced_bytes: 2_000,
    align_arrays: true,
    max_document_bytes: 4_000,
    max_text_bytes: 1 << 20,
};

fn config() -> ProptestConfig {
    rejoin_properties::cases(512)
}

/// Few keys, so that they meet; among them what needs escapes in pointers, in text, and in UTF-16.
fn key() -> impl Strategy<Value = String> {
    let keys = ["", "a", "b", "0", "-", "a/b", "~", "\"\n", "é", "\u{e000}", "😀", "__proto__"];
    proptest::sample::select(keys.to_vec()).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Json> {
    let numbers = [0.5, -1.5e-7, 1e21, -1.797e308, 5e-324, 9_007_199_254_740_992.0, 1_424_953_923_781_206.2];
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-20..20_i32).prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        proptest::sample::select(numbers.to_vec()).prop_map(Json::Number),
        any::<f64>().prop_filter_map("refused", Json::number),
        key().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ]
}

fn document() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::from),
            vec((key(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.into(), value)).collect()),
        ]
    })
}

/// An operation that still has to choose its places in the document that it will find.
#[derive(Clone, Debug)]
struct Draft {
    name: usize,
    path: Index,
    from: Index,
    /// Goes below the chosen place when there is one.
    below: Option<String>,
    value: Json,
    at: Index,
    end: Index,
}

fn draft() -> impl Strategy<Value = Draft> {
    (
        0..9_usize,
        any::<Index>(),
        any::<Index>(),
        proptest::option::of(key()),
        document(),
        any::<Index>(),
        any::<Index>(),
    )
        .prop_map(|(name, path, from, below, value, at, end)| Draft {
            name,
            path,
            from,
            below,
            value,
            at,
            end,
        })
}

impl Draft {
    fn operation(&self, document: &Json) -> Operation {
        let places = places(document);
        let mut path = self.path.get(&places).clone();
        let from = self.from.get(&places).clone();
        let value = self.value.clone();
        if let Some(below) = &self.below {
            path.push_back(below.as_str());
        }
        match self.name {
            0 | 1 => Operation::Add { path, value },
            2 => Operation::Remove { path },
            3 => Operation::Replace { path, value },
            4 | 5 => Operation::Move { from, path },
            6 => Operation::Copy { from, path },
            7 => Operation::Test { value: document.pointer(&from).unwrap().clone(), path: from },
            _ => self.splice(document, from),
        }
    }

    fn splice(&self, document: &Json, path: PointerBuf) -> Operation {
        let text = document.pointer(&path).and_then(Json::as_str).unwrap_or_default();
        let places: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (*self.at.get(&places), *self.end.get(&places));
        let insert = self.value.as_str().unwrap_or("\\é").to_owned();
        Operation::Splice { path, at: a.min(b), remove: a.abs_diff(b), insert }
    }
}

/// Every place in the document.
fn places(document: &Json) -> Vec<PointerBuf> {
    let mut places = vec![PointerBuf::new()];
    let mut next = 0;
    while let Some(place) = places.get(next).cloned() {
        match document.pointer(&place).unwrap() {
            Json::Array(array) => {
                places.extend((0..array.len()).map(|index| place.with_trailing_token(index)));
            }
            Json::Object(object) => {
                places.extend(object.iter().map(|(key, _)| place.with_trailing_token(&**key)));
            }
            _ => {}
        }
        next += 1;
    }
    places
}

/// A document and a patch that applies to it.
fn patched_document() -> impl Strategy<Value = (Json, Patch)> {
    (document(), vec(draft(), 0..12)).prop_map(|(document, drafts)| {
        let mut working = document.clone();
        let mut patch = Patch::new();
        for draft in drafts {
            let operation = draft.operation(&working);
            patch.0.push(operation);
            let mut whole = document.clone();
            if apply(&mut whole, &patch, &LIMITS).is_ok() {
                working = whole;
            } else {
                patch.0.pop();
            }
        }
        (document, patch)
    })
}

/// A copy that shares nothing.
fn unshared(document: &Json) -> Json {
    Json::parse(&document.canonical(), &Limits::default()).unwrap()
}

/// Every node knows its length and depth.
fn assert_measured(value: &Json) {
    let depths = match value {
        Json::Array(array) => array.iter().map(measured_depth).max(),
        Json::Object(object) => object.iter().map(|(_, value)| measured_depth(value)).max(),
        _ => None,
    };
    let depth = depths.unwrap_or_default() + usize::from(value.is_container());
    assert_eq!(value.depth(), depth, "{value}");
    assert_eq!(value.encoded_len(), value.canonical().len(), "{value}");
}

fn measured_depth(value: &Json) -> usize {
    assert_measured(value);
    value.depth()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn canonical_text_is_read_as_what_it_was_written_from(document in document()) {
        let text = document.canonical();
        let read = Json::parse(&text, &Limits::default()).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.canonical(), text);
        prop_assert_eq!(read.content_hash(), document.content_hash());
        assert_measured(&read);
        assert_measured(&document);
    }

    #[test]
    fn other_readers_and_writers_agree(document in document()) {
        let value: serde_json::Value = serde_json::from_str(&document.canonical()).unwrap();
        prop_assert_eq!(&Json::from_value(&value).unwrap(), &document);
        prop_assert_eq!(&value.as_f64(), &document.as_f64());
        let text = serde_json::to_string_pretty(&document).unwrap();
        prop_assert_eq!(&Json::parse(&text, &Limits::default()).unwrap(), &document);
        prop_assert_eq!(&serde_json::from_str::<Json>(&text).unwrap(), &document);
        prop_assert_eq!(Json::from_value(&document.to_value()).unwrap(), document);
    }

    #[test]
    fn a_damaged_text_is_refused_where_another_reader_refuses_it(
        document in document(), at in any::<Index>(), damage in proptest::sample::select(b"\"\\[]{},:0-.e \n\xc3\x01u".to_vec()),
    ) {
        let mut text = document.canonical().into_bytes();
        let at = at.index(text.len());
        text[at] = damage;
        let ours = Json::parse_bytes(&text, &Limits::default());
        // What is beyond 64 bits the other reader tells us as a double, which no longer says that it was an integer.
        if !matches!(&ours, Err(refused) if refused.kind == ParseErrorKind::IntegerOutOfRange) {
            prop_assert_eq!(ours.ok(), serde_json::from_slice::<Json>(&text).ok());
        }
    }

    #[test]
    fn a_patch_does_what_another_implementation_does((document, mut patch) in patched_document()) {
        // The whole document can be moved only to where it is, which others refuse.
        patch.0.retain(|operation| !matches!(operation, Operation::Move { from, .. } if from.is_root()));
        let mut ours = unshared(&document);
        apply(&mut ours, &patch, &LIMITS).unwrap();
        assert_measured(&ours);
        let mut theirs = document.to_value();
        json_patch::patch(&mut theirs, &patch.to_json_patch(&document, &LIMITS).unwrap()).unwrap();
        prop_assert_eq!(Json::from_value(&theirs).unwrap(), ours);
    }

    #[test]
    fn a_patch_and_its_inverse_leave_everything_as_it_was((document, patch) in patched_document()) {
        let mut changed = unshared(&document);
        let back = apply_inverting(&mut changed, &patch, &LIMITS).unwrap();
        prop_assert_eq!(&invert(&document, &patch, &LIMITS).unwrap(), &back);
        let after = changed.clone();
        let forward = apply_inverting(&mut changed, &back, &LIMITS).unwrap();
        prop_assert_eq!(changed.canonical(), document.canonical());
        assert_measured(&changed);
        apply(&mut changed, &forward, &LIMITS).unwrap();
        prop_assert_eq!(changed.canonical(), after.canonical());
    }

    #[test]
    fn a_patch_that_fails_leaves_no_trace((document, mut patch) in patched_document(), draft in draft()) {
        let mut after = document.clone();
        apply(&mut after, &patch, &LIMITS).unwrap();
        patch.0.push(draft.operation(&after));
        let (mut in_place, mut shared) = (unshared(&document), document.clone());
        let result = apply(&mut in_place, &patch, &LIMITS);
        prop_assert_eq!(&apply(&mut shared, &patch, &LIMITS), &result);
        prop_assert_eq!(&in_place, &shared);
        assert_measured(&in_place);
        if let Err(error) = result {
            prop_assert_eq!(error.operation, patch.len() - 1);
            prop_assert_eq!(in_place.canonical(), document.canonical());
            prop_assert!(shared.ptr_eq(&document) || !document.is_container());
        }
    }

    #[test]
    fn a_patch_is_read_as_it_is_written((document, patch) in patched_document()) {
        let read = Patch::parse(&patch.to_string(), &Limits::default()).unwrap();
        prop_assert_eq!(&read, &patch);
        prop_assert_eq!(patch.to_string().len(), patch.encoded_len());
        let standard = patch.without_splices(&document, &LIMITS).unwrap();
        let theirs = standard.to_json_patch(&document, &LIMITS).unwrap();
        prop_assert_eq!(Patch::try_from(&theirs).unwrap(), standard);
    }

    #[test]
    fn a_merge_patch_does_what_another_implementation_does(document in document(), merge_patch in document()) {
        let mut ours = unshared(&document);
        merge_patch_apply(&mut ours, &merge_patch, &Limits::default()).unwrap();
        assert_measured(&ours);
        let mut theirs = document.to_value();
        json_patch::merge(&mut theirs, &merge_patch.to_value());
        prop_assert_eq!(&Json::from_value(&theirs).unwrap(), &ours);
        let mut again = ours.clone();
        merge_patch_apply(&mut again, &merge_patch, &Limits::default()).unwrap();
        prop_assert_eq!(&again, &ours);
        prop_assert!(merge_patch_to_patch(&ours, &merge_patch).is_empty());
    }

    #[test]
    fn the_difference_as_a_merge_patch_leads_from_one_to_the_other(from in document(), to in document()) {
        if let Some(difference) = merge_patch_diff(&from, &to) {
            let mut changed = from;
            merge_patch_apply(&mut changed, &difference, &Limits::default()).unwrap();
            prop_assert_eq!(changed, to);
        } else {
            prop_assert!(to.canonical().contains("null"));
        }
    }
}
