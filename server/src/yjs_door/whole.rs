//! Whole documents, as they are told to everybody who joins with nothing: each version is built once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use rejoin_crdt::{ApplyError, Coverage, StateVector};
use rejoin_wire::{ChainHash, CrdtUpdate, DocumentId};

use super::answering::document_of;

/// Bytes of a document from which on it is kept: smaller ones are built as fast as they are looked for.
pub(super) const MIN_KEPT_BYTES: usize = 16 * 1024;

/// Documents that are kept, of each the newest version that was asked for.
pub(super) const MAX_KEPT: usize = 32;

/// Bytes of those together: eight of the largest.
pub(super) const MAX_KEPT_BYTES: usize = 64 * 1024 * 1024;

static KEPT: Wholes = Wholes::new();

/// A version of a document. The hash of its chain is that of no other, and that of no other document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) document: DocumentId,
    pub(super) chain: ChainHash,
}

/// What somebody is told who has nothing.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) state_vector: Vec<u8>,
    pub(super) update: Bytes,
    /// Updates that wait for others.
    pub(super) waiting: Vec<Bytes>,
    pub(super) coverage: Coverage,
}

impl Whole {
    fn of(updates: &[CrdtUpdate]) -> Result<Self, ApplyError> {
        let document = document_of(updates);
        Ok(Self {
            state_vector: document.state_vector().encode(),
            update: document.since(&StateVector::default())?,
            waiting: document.waiting().map(|update| update.bytes().clone()).collect(),
            coverage: document.coverage()?,
        })
    }
}

/// Made by who asks first, while the others wait; nothing where it cannot be made.
type Cell = Arc<OnceLock<Option<Arc<Whole>>>>;

struct Kept {
    version: Version,
    bytes: usize,
    cell: Cell,
}

/// Versions in the order in which they were asked for.
struct Wholes(Mutex<VecDeque<Kept>>);

impl Wholes {
    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    /// The place of a version of so many bytes. Older versions go, and what was asked for longest ago where there is too much.
    fn cell(&self, version: &Version, bytes: usize) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|one| one.version.document == version.document);
        let before = at.and_then(|at| kept.remove(at)).filter(|one| one.version == *version);
        let one = before.unwrap_or_else(|| Kept { version: version.clone(), bytes, cell: Cell::default() });
        let cell = Arc::clone(&one.cell);
        kept.push_back(one);
        while kept.len() > MAX_KEPT || kept.iter().map(|one| one.bytes).sum::<usize>() > MAX_KEPT_BYTES {
            kept.pop_front();
        }
        cell
    }

    fn ready(&self, version: &Version) -> Option<Arc<Whole>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.iter().find(|one| one.version == *version)?;
        one.cell.get().cloned().flatten()
    }
}

/// A version of a document with these updates; `None` where it cannot be built, or is too small to be kept.
pub(super) fn whole(version: &Version, updates: &[CrdtUpdate]) -> Option<Arc<Whole>> {
    let bytes = updates.iter().map(|update| update.0.len()).sum();
    if bytes < MIN_KEPT_BYTES {
        return None;
    }
    let cell = KEPT.cell(version, bytes);
    cell.get_or_init(|| Whole::of(updates).ok().map(Arc::new)).clone()
}

/// Whether it takes no time to tell somebody a version who has nothing.
pub(super) fn is_ready(version: &Version) -> bool {
    KEPT.ready(version).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn version(document: &str, chain: u8) -> Version {
        Version { document: DocumentId::new(document).unwrap(), chain: ChainHash([chain; 32]) }
    }

    fn names(wholes: &Wholes) -> Vec<String> {
        let kept = wholes.0.lock().unwrap();
        kept.iter().map(|one| one.version.document.as_str().to_owned()).collect()
    }

    #[test]
    fn a_version_is_made_once_and_goes_with_the_next_one() {
        let wholes = Wholes::new();
        let first = wholes.cell(&version("a", 1), 10);
        assert!(Arc::ptr_eq(&first, &wholes.cell(&version("a", 1), 10)));
        assert!(wholes.ready(&version("a", 1)).is_none(), "nobody has made it yet");
        first.get_or_init(|| Whole::of(&[]).ok().map(Arc::new));
        assert!(wholes.ready(&version("a", 1)).is_some());
        assert!(!Arc::ptr_eq(&first, &wholes.cell(&version("a", 2), 10)));
        assert!(wholes.ready(&version("a", 1)).is_none());
        assert_eq!(names(&wholes), ["a"]);
    }

    #[test]
    fn what_was_asked_for_longest_ago_goes_where_there_is_too_much() {
        let wholes = Wholes::new();
        for name in 0..MAX_KEPT {
            wholes.cell(&version(&name.to_string(), 1), 1);
        }
        wholes.cell(&version("0", 1), 1);
        assert_eq!(names(&wholes).len(), MAX_KEPT);
        wholes.cell(&version("new", 1), 1);
        let left = names(&wholes);
        assert_eq!(
            (left.len(), left.contains(&"1".into()), left.contains(&"0".into())),
            (MAX_KEPT, false, true)
        );

        let wholes = Wholes::new();
        wholes.cell(&version("a", 1), MAX_KEPT_BYTES / 2);
        wholes.cell(&version("b", 1), MAX_KEPT_BYTES / 2);
        assert_eq!(names(&wholes), ["a", "b"]);
        wholes.cell(&version("c", 1), 1);
        assert_eq!(names(&wholes), ["b", "c"]);
        wholes.cell(&version("large", 1), MAX_KEPT_BYTES + 1);
        assert!(names(&wholes).is_empty(), "it is for those who have asked already");
    }

    #[test]
    fn small_documents_are_not_kept() {
        // A text with so many letters, in an update whose length takes two bytes.
        let update = |bytes: usize| {
            let length = bytes - 11;
            let part = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap();
            let head = [1, 1, 1, 0, 4, 1, 1, b't', part(0) | 0x80, part(7)];
            CrdtUpdate([head.as_slice(), &vec![b'x'; length], &[0]].concat().into())
        };
        let small = version("small", 1);
        assert!(whole(&small, &[update(MIN_KEPT_BYTES - 1)]).is_none() && !is_ready(&small));
        let large = version("large enough", 1);
        let first = whole(&large, &[update(MIN_KEPT_BYTES)]).unwrap();
        assert!(is_ready(&large));
        assert!(Arc::ptr_eq(&first, &whole(&large, &[update(MIN_KEPT_BYTES)]).unwrap()));
        assert!(first.update.len() > MIN_KEPT_BYTES - 100);
    }
}
