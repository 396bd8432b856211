//! Hashes of changes and of histories.

use sha2::{Digest, Sha256};

use crate::binary::{Wire, Writer};
use crate::change::Change;
use crate::id::{ChainHash, ChangeHash, DocumentId};

/// Begins what is hashed for a change, so that the hash is never one of something else.
const CHANGE_DOMAIN: &[u8] = b"rejoin change 1\0";

/// Room for what is hashed of most changes.
const USUAL_BYTES: usize = 256;

/// Begins what is hashed for a history.
const CHAIN_DOMAIN: &[u8] = b"rejoin chain 1\0";

impl Change {
    /// The hash by which a repeated change is told from another one under the same counter.
    ///
    /// SHA-256 of `rejoin change 1` and a zero byte, the document's id and the change, both in the compact encoding.
    #[must_use]
    pub fn hash(&self, document: &DocumentId) -> ChangeHash {
        let mut out = Writer::with_capacity(USUAL_BYTES);
        out.raw(CHANGE_DOMAIN);
        document.write(&mut out);
        self.write(&mut out);
        ChangeHash(Sha256::digest(out.into_bytes()).into())
    }
}

impl ChainHash {
    /// The chain hash of the revision that the change makes, when this is the one of the revision before.
    ///
    /// SHA-256 of `rejoin chain 1` and a zero byte, this hash and the change's.
    #[must_use]
    pub fn then(self, change: ChangeHash) -> Self {
        let hasher = Sha256::new().chain_update(CHAIN_DOMAIN).chain_update(self.0).chain_update(change.0);
        Self(hasher.finalize().into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{changes, document};
    use crate::{Body, Counter, ReplicaId, Revision, UnixMillis};

    fn change() -> Change {
        Change {
            replica: ReplicaId(1),
            counter: Counter(2),
            base: Revision(3),
            over: Counter(2),
            time: UnixMillis(5),
            body: Body::Delete,
        }
    }

    #[test]
    fn hashes_are_those_of_the_documentation() {
        // printf 'rejoin change 1\0\5notes\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3\2\5\3' | sha256sum
        let hash = change().hash(&document());
        assert_eq!(hash.to_string(), "4236006c15f293c53042778c3d6af8c7ff0bd3682933725f39c8f06e52a2df35");
        // The same of 'rejoin chain 1\0', 32 zeros and the hash above.
        assert_eq!(
            ChainHash::default().then(hash).to_string(),
            "941e23a28be677a074a2f5981496e4efb78cd02a6ab33a00092d93d78e6f4be2"
        );
    }

    #[test]
    fn every_part_of_a_change_counts() {
        let hash = change().hash(&document());
        let others = [
            Change { replica: ReplicaId(2), ..change() },
            Change { counter: Counter(3), ..change() },
            Change { base: Revision(4), ..change() },
            Change { over: Counter(1), ..change() },
            Change { time: UnixMillis(6), ..change() },
            Change { body: Body::Void, ..change() },
        ];
        assert!(others.iter().all(|other| other.hash(&document()) != hash));
        assert_ne!(change().hash(&"other".parse().unwrap()), hash);
    }

    #[test]
    fn a_chain_tells_the_order() {
        let (one, two) = (ChangeHash([1; 32]), ChangeHash([2; 32]));
        let start = ChainHash::default();
        assert_ne!(start.then(one).then(two), start.then(two).then(one));
    }

    proptest! {
        #![proptest_config(rejoin_properties::default_cases())]

        #[test]
        fn a_change_has_the_same_hash_after_a_journey(change in changes()) {
            let json: Change = serde_json::from_str(&serde_json::to_string(&change).unwrap()).unwrap();
            let binary: Change = crate::from_bytes(&crate::to_bytes(&change)).unwrap();
            prop_assert_eq!(json.hash(&document()), change.hash(&document()));
            prop_assert_eq!(binary.hash(&document()), change.hash(&document()));
        }
    }
}
