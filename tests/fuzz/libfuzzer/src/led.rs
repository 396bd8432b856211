//! Every fuzz target, led by what its inputs reach. `REJOIN_FUZZ_TARGET` names the one that is run; the arguments are libFuzzer's.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use rejoin_fuzz::{TARGETS, Target, limits, target};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How many times longer an input may take here: each branch counts, and each operation is checked.
const SLOWER: u32 = 4;

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("REJOIN_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("REJOIN_FUZZ_TARGET names no target: it is one of {}", names.join(", "))
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(excess) = limits::held(CHOSEN.get_or_init(chosen), bytes, SLOWER) {
        panic!("{excess}");
    }
});
