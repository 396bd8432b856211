//! Stored records: what a database gives back may be of another release, damaged, or somebody else's.

use rejoin_core::fuzzing::{RECORDS, sealed, unsealed};

use crate::replica::bodies_of_a_history;

/// A stored body behind the number of its kind. Where the number is even it is given the checksum that it must have: bytes that are
/// foreign and not merely damaged.
///
/// What is read is written in one form: that is read and written the same.
pub(crate) fn records(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let (_, reread) = RECORDS[usize::from(kind / 2) % RECORDS.len()];
    let body = if kind % 2 == 0 { sealed(None, body) } else { body.to_vec() };
    if let Ok(written) = reread(&body) {
        let again = reread(&written).expect("what is written can be read");
        assert_eq!(again, written);
    }
}

/// The bodies that an authority and a follower have stored after a short history, as records of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // Rows and checkpoints have the checksums of their documents; here nobody knows whose they are.
    let bodies: Vec<_> = bodies_of_a_history().iter().map(|body| sealed(None, unsealed(body))).collect();
    let number = |kind: usize, odd: u8| 2 * u8::try_from(kind).expect("few kinds") + odd;
    let mut seeds = Vec::new();
    for (kind, (_, reread)) in RECORDS.iter().enumerate() {
        for body in &bodies {
            if reread(body).is_ok() {
                seeds.push([&[number(kind, 0)], unsealed(body)].concat());
                seeds.push([&[number(kind, 1)], body.as_slice()].concat());
            }
        }
    }
    seeds.sort();
    seeds.dedup();
    seeds
}
