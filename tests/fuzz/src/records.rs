//! Stored records: what a database gives back may be of another release, damaged, or somebody else's.

use rejoin_core::fuzzing::RECORDS;
use sha2::{Digest, Sha256};

use crate::replica::bodies_of_a_history;

/// Bytes of the checksum behind each record.
const CHECKSUM_BYTES: usize = 8;

/// A stored body behind the number of its kind. Where the number is even it is given the checksum that it must have: bytes that are
/// foreign and not merely damaged.
///
/// What is read is written in one form: that is read and written the same.
pub(crate) fn records(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let (_, reread) = RECORDS[usize::from(kind / 2) % RECORDS.len()];
    let body = if kind % 2 == 0 { sealed(body) } else { body.to_vec() };
    if let Ok(written) = reread(&body) {
        let again = reread(&written).expect("what is written can be read");
        assert_eq!(again, written);
    }
}

/// A body behind its checksum.
pub(crate) fn sealed(body: &[u8]) -> Vec<u8> {
    let digest = Sha256::digest(body);
    [body, &digest[..CHECKSUM_BYTES]].concat()
}

/// Without its checksum.
pub(crate) fn unsealed(body: &[u8]) -> &[u8] {
    body.len().checked_sub(CHECKSUM_BYTES).and_then(|end| body.get(..end)).unwrap_or(body)
}

/// The bodies that an authority and a follower have stored after a short history, as records of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let bodies = bodies_of_a_history();
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
