//! Every fuzz target, led by what its inputs reach. `REJOIN_FUZZ_TARGET` names the one that is run; the arguments are libFuzzer's.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use rejoin_fuzz::{TARGETS, Target, limits, target};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How many times longer an input may take here: each branch counts, and each operation is checked.
const SLOWER: u32 = 4;

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

/// Chooses the target and writes its seeds into the folder that `REJOIN_FUZZ_SEEDS` names, which should be one of the corpus. Where the
/// target is `--list` it names them all and stops.
fn begin() {
    let name = std::env::var("REJOIN_FUZZ_TARGET").unwrap_or_default();
    if name == "--list" {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(0);
    }
    let Some(target) = target(&name) else {
        eprintln!("REJOIN_FUZZ_TARGET is to be the name of a target; --list names them");
        std::process::exit(2);
    };
    if let Some(folder) = std::env::var_os("REJOIN_FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            if let Err(error) = std::fs::write(folder.join(format!("seed-{number:04}")), seed) {
                eprintln!("{}: {error}", folder.display());
                std::process::exit(2);
            }
        }
    }
    CHOSEN.get_or_init(|| target);
}

fuzz_target!(
    init: begin(),
    |bytes: &[u8]| {
        let target = CHOSEN.get().expect("the target was chosen before");
        if let Err(excess) = limits::held(target, bytes, SLOWER) {
            panic!("{excess}");
        }
    }
);
