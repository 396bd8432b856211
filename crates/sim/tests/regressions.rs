//! Plans that once broke a claim, each with a sentence that says how: none does any more.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use rejoin_sim::{Plan, World};

#[test]
fn what_once_broke_a_claim_breaks_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut plans = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (plan, why) = Plan::read(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let why = why.unwrap_or_else(|| panic!("{} does not say why it is kept", path.display()));
        let result = World::new(plan).run();
        assert!(result.is_ok(), "{} ({why}): {}", path.display(), result.unwrap_err());
        plans += 1;
    }
    assert!(plans > 0, "there are no plans");
}
