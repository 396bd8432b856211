//! Two documents, line by line: one as a merge patch for the other, and the merge patch between them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{Json, Limits, merge_patch_apply, merge_patch_diff, merge_patch_to_patch};

fuzz_target!(|text: &str| {
    let limits = Limits::default();
    let Some((document, merge_patch)) = text.split_once('\n') else { return };
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
});
