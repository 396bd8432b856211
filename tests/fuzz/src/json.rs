//! Everything that reads JSON, pointers and patches, and what is made of them.

use rejoin_json::{
    DiffOptions, Json, Limits, MergeOptions, ParseErrorKind, Patch, Pointer, apply, apply_inverting,
    merge_create, merge_patch_apply, merge_patch_diff, merge_patch_to_patch, touched, undo,
};

use crate::laws::{
    POLICIES, Triple, check_identities, check_nothing_lost, check_patch_merge, check_patches, check_records,
    merged, options, triple,
};
use crate::random::{self, Flavour};

/// Bytes as JSON: what is read agrees with another reader and is read again from its canonical text.
pub fn parse(bytes: &[u8]) {
    let limits = Limits::default();
    let theirs = serde_json::from_slice::<Json>(bytes);
    match Json::parse_bytes(bytes, &limits) {
        Ok(document) => {
            assert_eq!(theirs.ok().as_ref(), Some(&document));
            assert!(document.depth() <= limits.max_depth);
            let text = document.canonical();
            assert_eq!(document.encoded_len(), text.len());
            let again = Json::parse(&text, &limits).expect("canonical text is JSON");
            assert_eq!(again.canonical(), text);
            assert_eq!(again.depth(), document.depth());
        }
        // Others count levels to 128, and read an integer of any length as a double.
        Err(error) => assert!(
            theirs.is_err()
                || matches!(error.kind, ParseErrorKind::TooDeep { .. } | ParseErrorKind::IntegerOutOfRange),
            "{error}"
        ),
    }
}

/// Two lines of text, of which the second may be more than one.
fn lines(bytes: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(bytes).ok()?.split_once('\n')
}

/// A pointer, and on the next line a document: it finds there what another implementation finds.
pub fn pointer(bytes: &[u8]) {
    let Some((pointer, document)) = lines(bytes) else { return };
    let (Ok(pointer), Ok(document)) = (Pointer::parse(pointer), Json::parse(document, &Limits::default()))
    else {
        return;
    };
    let ours = document.pointer(pointer).map(Json::to_value);
    assert_eq!(ours.as_ref(), document.to_value().pointer(pointer.as_str()));
}

/// Bounds that small inputs reach.
const LIMITS: Limits = Limits {
    max_operations: 50,
    max_depth: 12,
    max_copied_bytes: 4_000,
    max_spliced_bytes: 4_000,
    align_arrays: true,
    max_document_bytes: 8_000,
    max_text_bytes: 1 << 20,
};

/// A document, and on the next line a patch: it applies in place as to a shared document, its inverse leads back, and a failure
/// leaves no trace.
pub fn patch(bytes: &[u8]) {
    let Some((document, patch)) = lines(bytes) else { return };
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
}

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

/// Two documents, line by line: one as a merge patch for the other, and the merge patch between them.
pub fn merge_patch(bytes: &[u8]) {
    let limits = Limits::default();
    let Some((document, merge_patch)) = lines(bytes) else { return };
    let (Ok(document), Ok(merge_patch)) = (Json::parse(document, &limits), Json::parse(merge_patch, &limits))
    else {
        return;
    };
    let mut merged = document.clone();
    merge_patch_apply(&mut merged, &merge_patch, &limits).expect("both are within the limits");
    assert_eq!(merged.encoded_len(), merged.canonical().len());
    assert!(merge_patch_to_patch(&merged, &merge_patch).is_empty());

    let mut theirs = document.to_value();
    json_patch::merge(&mut theirs, &merge_patch.to_value());
    assert_eq!(Json::from_value(&theirs).as_ref(), Ok(&merged));

    if let Some(difference) = merge_patch_diff(&document, &merge_patch) {
        let mut changed = document;
        merge_patch_apply(&mut changed, &difference, &limits).expect("both are within the limits");
        assert_eq!(changed, merge_patch);
    }
}

/// JSON texts, line by line.
fn documents<const N: usize>(bytes: &[u8]) -> Option<[Json; N]> {
    let mut documents = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        Json::parse(text, &Limits::default()).ok()
    });
    let found: Vec<Json> = documents.by_ref().take(N).collect();
    found.try_into().ok()
}

/// Compares documents and holds the difference to its laws: it leads from the one to the other, within its limits, and does not
/// depend on what they share.
///
/// The first byte says what the others are: JSON texts of two documents, line by line, or the dice that throw them; the second
/// and third bound the operations and the steps.
pub fn diff(bytes: &[u8]) {
    let [kind, max_operations, max_steps, rest @ ..] = bytes else { return };
    let seed: Vec<u32> = rest.iter().map(|byte| u32::from(*byte)).collect();
    let mut dice = random::Dice::of(&seed);
    let flavour = Flavour::ALL[usize::from(kind >> 2) % Flavour::ALL.len()];
    let both = match kind % 4 {
        0 => documents(rest),
        1 => Some([random::document(&mut dice, flavour), random::document(&mut dice, flavour)]),
        _ => {
            let from = random::document(&mut dice, flavour);
            let edits = 1 + dice.below(6);
            let (to, _) = random::edited(&from, &mut dice, flavour, "e", edits);
            Some([from, to])
        }
    };
    let Some([from, to]) = both else { return };
    check_difference(&from, &to, &DiffOptions::default());
    let tight = DiffOptions {
        max_operations: usize::from(*max_operations),
        max_steps: 8 * u64::from(*max_steps),
        min_splice_bytes: 0,
        ..DiffOptions::default()
    };
    check_difference(&from, &to, &tight);
}

fn check_difference(from: &Json, to: &Json, options: &DiffOptions) {
    let limits = Limits::default();
    let patch = rejoin_json::diff(from, to, options);
    assert!(patch.len() <= options.max_operations.max(1));
    assert_eq!(patch.is_empty(), from == to);
    let mut patched = from.clone();
    apply(&mut patched, &patch, &limits).expect("a difference applies");
    assert_eq!(patched, *to, "{patch}");
    assert_eq!(rejoin_json::diff(from, &unshared(to), options), patch);
}

/// Merges contents and holds the outcome to the laws of the merge.
///
/// The first byte says what the others are: JSON texts of base, current and incoming, line by line, or the dice that throw a
/// random document and random edits of it.
pub fn merge(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match Flavour::ALL.get(usize::from(kind % 8)) {
        Some(flavour) => {
            let seed: Vec<u32> = rest.iter().map(|byte| u32::from(*byte)).collect();
            check_thrown(&seed, *flavour);
        }
        None => {
            if let Some(contents) = documents(rest) {
                check_read(contents);
            }
        }
    }
}

fn check_thrown(seed: &[u32], flavour: Flavour) {
    let triple = triple(seed, flavour);
    let Triple { base, current, incoming, patch } = &triple;
    for policy in POLICIES {
        let outcome = merged(base, current, incoming, policy);
        check_patches(current, &outcome);
        check_records(&triple, &outcome, policy);
        check_nothing_lost(&triple, flavour, &outcome);
        check_identities(&triple, &outcome);
        check_patch_merge(base, patch, current, incoming, &options(policy));
    }
    let options = MergeOptions::default();
    touched(base, patch, &options.identity_keys);
    check_patches(current, &undo(base, incoming, current, &options).expect("undone"));
}

fn check_read([base, current, incoming]: [Json; 3]) {
    let triple = Triple { base, current, incoming, patch: Patch::new() };
    for policy in POLICIES {
        let outcome = merged(&triple.base, &triple.current, &triple.incoming, policy);
        check_patches(&triple.current, &outcome);
        check_identities(&triple, &outcome);
    }
    let created = merge_create(&triple.current, &triple.incoming, &MergeOptions::default()).expect("merged");
    check_patches(&triple.current, &created);
}
