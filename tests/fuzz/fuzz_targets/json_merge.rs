//! Merges contents and holds the outcome to the laws of the merge.
//!
//! The first byte says what the others are: JSON texts of base, current and incoming, line by line, or the dice that
//! throw a random document and random edits of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{Json, Limits, MergeOptions, Patch, merge_create, touched, undo};

#[allow(dead_code)]
#[path = "../../../crates/json/tests/merge_laws/laws.rs"]
mod laws;
#[allow(dead_code)]
#[path = "../../../crates/json/tests/merge_laws/random.rs"]
mod random;

use laws::{
    POLICIES, Triple, check_identities, check_nothing_lost, check_patch_merge, check_patches, check_records,
    merged, options, triple,
};
use random::Flavour;

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match Flavour::ALL.get(usize::from(*kind)) {
        Some(flavour) => {
            let seed: Vec<u32> = data.iter().map(|byte| u32::from(*byte)).collect();
            thrown(&seed, *flavour);
        }
        None => read(data),
    }
});

fn thrown(seed: &[u32], flavour: Flavour) {
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

fn read(data: &[u8]) {
    let limits = Limits::default();
    let mut contents = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        Json::parse(text, &limits).ok()
    });
    let (Some(base), Some(current), Some(incoming)) = (contents.next(), contents.next(), contents.next())
    else {
        return;
    };
    let triple = Triple { base, current, incoming, patch: Patch::new() };
    for policy in POLICIES {
        let outcome = merged(&triple.base, &triple.current, &triple.incoming, policy);
        check_patches(&triple.current, &outcome);
        check_identities(&triple, &outcome);
    }
    let created = merge_create(&triple.current, &triple.incoming, &MergeOptions::default()).expect("merged");
    check_patches(&triple.current, &created);
}
