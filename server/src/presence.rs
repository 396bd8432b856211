//! What members show, held once for all the links that are told of it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use rejoin_core::Presence;
use rejoin_wire::MemberId;

/// What is held, in so many parts that threads seldom wait for each other.
static HELD: LazyLock<[Mutex<Held>; PARTS]> = LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

const PARTS: usize = 16;

/// So many are held before those are looked for that nobody shows any more.
const FEWEST: usize = 64;

#[derive(Debug, Default)]
struct Held {
    by_hash: HashMap<u64, Weak<Presence>>,
    /// With so many, those go that nobody shows any more.
    most: usize,
}

/// What is equal to a member's presence, of which this text says what it shows, and is held by others already; itself where nobody holds it.
pub(crate) fn shared(member: MemberId, presence: &Arc<Presence>, state: &str) -> Arc<Presence> {
    let hash = HASHER.hash_one((member, state));
    let part = usize::try_from(hash % PARTS as u64).unwrap_or(0);
    let Some(held) = HELD.get(part) else { return Arc::clone(presence) };
    held.lock().unwrap_or_else(PoisonError::into_inner).share(hash, presence)
}

impl Held {
    fn share(&mut self, hash: u64, presence: &Arc<Presence>) -> Arc<Presence> {
        match self.by_hash.get(&hash).and_then(Weak::upgrade) {
            // Another of the same hash stays by itself.
            Some(held) if held == *presence => held,
            Some(_) => Arc::clone(presence),
            None => {
                if self.by_hash.len() >= self.most.max(FEWEST) {
                    self.by_hash.retain(|_, held| held.strong_count() > 0);
                    self.most = 2 * self.by_hash.len();
                    self.by_hash.shrink_to(self.most);
                }
                self.by_hash.insert(hash, Arc::downgrade(presence));
                Arc::clone(presence)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rejoin_json::{Json, Limits};

    use super::*;

    fn presence(principal: &str, state: &str) -> Arc<Presence> {
        let state = Json::parse(state, &Limits::default()).unwrap();
        Arc::new(Presence { principal: principal.into(), state })
    }

    #[test]
    fn what_is_equal_is_held_once_and_what_differs_by_itself() {
        let held = presence("ada", r#"{"at":1}"#);
        let again = |other: &Arc<Presence>| shared(MemberId(1), other, &other.state.canonical());
        assert!(Arc::ptr_eq(&again(&held), &held));
        assert!(Arc::ptr_eq(&again(&presence("ada", r#"{"at":1}"#)), &held));
        for other in [presence("bea", r#"{"at":1}"#), presence("ada", r#"{"at":2}"#)] {
            assert!(Arc::ptr_eq(&again(&other), &other));
        }
    }

    #[test]
    fn hashes_that_meet_share_nothing_that_differs() {
        let mut held = Held::default();
        let (one, other) = (presence("ada", "1"), presence("ada", "2"));
        assert!(Arc::ptr_eq(&held.share(7, &one), &one));
        assert!(Arc::ptr_eq(&held.share(7, &other), &other));
        assert!(Arc::ptr_eq(&held.share(7, &presence("ada", "1")), &one));
    }

    #[test]
    fn what_nobody_shows_any_more_is_forgotten() {
        let mut held = Held::default();
        let kept = presence("ada", "0");
        held.share(0, &kept);
        for hash in 1..100_000 {
            held.share(hash, &presence("ada", "1"));
            assert!(held.by_hash.len() <= FEWEST + 1);
        }
        assert!(Arc::ptr_eq(&held.share(0, &presence("ada", "0")), &kept));
    }
}
