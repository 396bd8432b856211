//! Compares documents and holds the difference to its laws: it leads from the one to the other, within its limits, and
//! does not depend on what they share.
//!
//! The first byte says what the others are: JSON texts of two documents, line by line, or the dice that throw them; the
//! second and third bound the operations and the steps.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_json::{DiffOptions, Json, Limits, apply, diff};

#[path = "../../../crates/json/tests/diff_laws/random.rs"]
mod random;

fuzz_target!(|data: &[u8]| {
    let [kind, max_operations, max_steps, data @ ..] = data else { return };
    let seed = || -> Vec<u32> { data.iter().map(|byte| u32::from(*byte)).collect() };
    let documents = match kind % 3 {
        0 => read(data),
        1 => Some(random::related(&seed())),
        _ => Some(random::unrelated(&seed())),
    };
    let Some((from, to)) = documents else { return };
    check(&from, &to, &DiffOptions::default());
    let tight = DiffOptions {
        max_operations: usize::from(*max_operations),
        max_steps: 8 * u64::from(*max_steps),
        min_splice_bytes: 0,
        ..DiffOptions::default()
    };
    check(&from, &to, &tight);
});

fn read(data: &[u8]) -> Option<(Json, Json)> {
    let mut documents = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        Json::parse(text, &Limits::default()).ok()
    });
    Some((documents.next()?, documents.next()?))
}

fn check(from: &Json, to: &Json, options: &DiffOptions) {
    let limits = Limits::default();
    let patch = diff(from, to, options);
    assert!(patch.len() <= options.max_operations.max(1));
    assert_eq!(patch.is_empty(), from == to);
    let mut patched = from.clone();
    apply(&mut patched, &patch, &limits).expect("a difference applies");
    assert_eq!(patched, *to, "{patch}");

    let unshared = Json::parse(&to.canonical(), &limits).expect("canonical text is JSON");
    assert_eq!(diff(from, &unshared, options), patch);
}
