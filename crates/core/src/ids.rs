//! Replica ids: those that are drawn, and those that requests get.

use rejoin_wire::ReplicaId;
use sha2::{Digest, Sha256};

/// The upper 32 bits of the ids of keyed requests. No replica has such an id.
const KEYED: u128 = 0x6b65_7965;

/// The id of a replica from bits that were drawn.
pub(crate) const fn replica_id(bits: u128) -> ReplicaId {
    let id = ReplicaId(bits);
    if is_keyed(id) { ReplicaId(!bits) } else { id }
}

/// The id of a replica from the beginning of a hash.
pub(crate) fn id_from(hash: &[u8; 32]) -> ReplicaId {
    replica_id(bits_of(hash))
}

/// The replica id under which a request with a key is made: a repeat has the same one, and so gets the first outcome.
pub(crate) fn keyed_id(principal: &str, key: &str) -> ReplicaId {
    let mut hasher = Sha256::new();
    for part in ["rejoin request", principal, key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    ReplicaId(KEYED << 96 | bits_of(&hasher.finalize().into()) >> 32)
}

/// Whether an id stands for one keyed request and for no replica. Such an id makes one change, and no clock holds it, or clocks would
/// grow with every request: whether the change has an outcome is asked of the log.
pub(crate) const fn is_keyed(replica: ReplicaId) -> bool {
    replica.0 >> 96 == KEYED
}

fn bits_of(hash: &[u8; 32]) -> u128 {
    hash.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn no_replica_draws_the_id_of_a_request() {
        for bits in [KEYED << 96, KEYED << 96 | 7, (KEYED + 1) << 96 | 7, 0, u128::MAX] {
            assert!(!is_keyed(replica_id(bits)));
        }
        assert_eq!(replica_id(7), ReplicaId(7));
    }

    #[test]
    fn a_request_is_known_by_its_principal_and_its_key() {
        let id = keyed_id("ada", "k1");
        assert!(is_keyed(id));
        assert_eq!(id, keyed_id("ada", "k1"));
        assert!(
            [keyed_id("ada", "k2"), keyed_id("bob", "k1"), keyed_id("a", "dak1")]
                .iter()
                .all(|other| *other != id)
        );
    }
}
