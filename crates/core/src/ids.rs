//! Replica ids: those that are drawn, and those that requests get.

use rejoin_wire::{ChangeHash, ChangeId, Counter, ReplicaId, Revision};
use sha2::{Digest, Sha256};

/// The upper 32 bits of the ids of keyed requests. No replica has such an id.
const KEYED: u128 = 0x6b65_7965;

/// The upper 32 bits of the ids of replicas that hear what they said. They differ from those of requests in their last bit, so that one comparison knows both.
const ECHOED: u128 = KEYED ^ 1;

/// A replica id, from bits that were drawn, for a driver that speaks for a client without a replica: over a link with such an id the authority tells its
/// changes of CRDT documents as it tells others, one message for everybody, instead of confirming that they stand as they were submitted.
pub const fn echoed_id(bits: u128) -> ReplicaId {
    ReplicaId(ECHOED << 96 | bits >> 32)
}

pub(crate) const fn is_echoed(replica: ReplicaId) -> bool {
    replica.0 >> 96 == ECHOED
}

/// The id of a replica from bits that were drawn.
pub(crate) const fn replica_id(bits: u128) -> ReplicaId {
    let id = ReplicaId(bits);
    if bits >> 97 == KEYED >> 1 { ReplicaId(!bits) } else { id }
}

/// The id of a replica from the beginning of a hash.
pub(crate) fn id_from(hash: &[u8; 32]) -> ReplicaId {
    replica_id(bits_of(hash))
}

/// The id under which a replica makes changes again that it cannot make under the name that they have, from the hash of the first of them and the
/// newest revision on which any of them may stand. Whoever holds the same changes, as the copy of a profile does, or the device itself after a crash
/// that took the answer away, finds the same id, so that they are accepted once.
pub(crate) fn forked_id(first: ChangeHash, newest: Revision) -> ReplicaId {
    replica_id(bits_of(&first.0) ^ u128::from(newest.0))
}

/// By what a request is known when it is repeated: a key, and a hash of what was asked for under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    key: Box<str>,
    asked: ChangeHash,
}

impl RequestKey {
    /// A key that its sender chose, and what was asked for, in as many parts as it has: all that makes it another request, and nothing that
    /// differs when it is sent again. It is what was sent and not what was made of it: the document may have moved on in between.
    pub fn new(key: &str, asked: &[&[u8]]) -> Self {
        let parts = [b"rejoin asked 1".as_slice()].into_iter().chain(asked.iter().copied());
        Self { key: key.into(), asked: ChangeHash(hash_of(parts)) }
    }

    /// The change that the request makes, whatever it is: a repeat names the same one, and so gets the first outcome.
    pub(crate) fn change(&self, principal: &str) -> ChangeId {
        let hash = hash_of(["rejoin request", principal, &self.key].into_iter().map(str::as_bytes));
        ChangeId { replica: ReplicaId(KEYED << 96 | bits_of(&hash) >> 32), counter: Counter(1) }
    }

    /// The key, and the hash of what was asked for under it: for a recording. With the feature `recording`.
    #[cfg(feature = "recording")]
    pub fn parts(&self) -> (&str, ChangeHash) {
        (&self.key, self.asked)
    }

    /// A key of these [`parts`](Self::parts). With the feature `recording`.
    #[cfg(feature = "recording")]
    pub fn from_parts(key: &str, asked: ChangeHash) -> Self {
        Self { key: key.into(), asked }
    }

    /// The hash under which the log has it.
    pub(crate) fn asked(&self) -> ChangeHash {
        self.asked
    }
}

/// A hash of parts that tells where each ends.
fn hash_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
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
    fn only_who_asks_for_it_hears_what_it_said() {
        for bits in [ECHOED << 96, ECHOED << 96 | 7, (ECHOED + 1) << 96 | 7, 0, u128::MAX] {
            assert!(!is_echoed(replica_id(bits)));
            let id = echoed_id(bits);
            assert!(is_echoed(id) && !is_keyed(id) && id.0 << 32 == bits & !u128::from(u32::MAX));
        }
    }

    #[test]
    fn no_replica_draws_the_id_of_a_request() {
        for bits in [KEYED << 96, KEYED << 96 | 7, (KEYED + 1) << 96 | 7, 0, u128::MAX] {
            assert!(!is_keyed(replica_id(bits)));
        }
        assert_eq!(replica_id(7), ReplicaId(7));
    }

    #[test]
    fn a_request_is_known_by_its_principal_and_its_key() {
        let change = |principal, key| RequestKey::new(key, &[]).change(principal);
        let ada = change("ada", "k1");
        assert!(is_keyed(ada.replica));
        assert_eq!(ada, change("ada", "k1"));
        assert_eq!(ada, RequestKey::new("k1", &[b"more"]).change("ada"));
        assert!(
            [("ada", "k2"), ("bob", "k1"), ("a", "dak1")].iter().all(|(who, key)| change(who, key) != ada)
        );
    }

    #[test]
    fn every_part_of_what_was_asked_counts_and_where_it_ends() {
        let asked = |parts: &[&[u8]]| RequestKey::new("k", parts).asked();
        assert_eq!(asked(&[b"put", b"{}"]), asked(&[b"put", b"{}"]));
        for other in [&[b"put".as_slice(), b"[]"][..], &[b"putt", b"{}"], &[b"pu", b"t{}"], &[b"put{}"], &[]]
        {
            assert_ne!(asked(other), asked(&[b"put", b"{}"]));
        }
    }
}
