//! Which parts of the program made which changes, by which repeats are known.

use super::*;

/// Parts of the program whose newest number is known per document; the one that has been silent for longest is forgotten first. A browser
/// profile has a part for each tab of these weeks.
pub const MAX_PARTS: usize = 256;

/// The highest number of each part, the part that made the newest change last.
#[derive(Clone, Debug, Default)]
pub(super) struct Made(Vec<Origin>);

impl Made {
    /// As it was stored.
    pub(super) fn restored(origins: Vec<Origin>) -> Self {
        let mut made = Self::default();
        for origin in origins {
            made.note(origin);
        }
        made
    }

    pub(super) fn origins(&self) -> &[Origin] {
        &self.0
    }

    /// Takes note that this origin has made a change.
    pub(super) fn note(&mut self, origin: Origin) {
        if origin.number == 0 {
            return;
        }
        let mut newest = origin;
        if let Some(at) = self.0.iter().position(|made| made.part == origin.part) {
            newest = newest.max(self.0.remove(at));
        }
        self.0.push(newest);
        if self.0.len() > MAX_PARTS {
            self.0.remove(0);
        }
    }

    pub(super) fn has(&self, origin: Origin) -> bool {
        self.0.iter().any(|made| made.part == origin.part && origin.number <= made.number)
    }
}

impl Outbox {
    /// Whether a part of the program has made this change, or a later one.
    pub(crate) fn has_made(&self, origin: Origin) -> bool {
        // A part that is forgotten may have changes without an outcome all the same.
        origin.number != 0 && (self.made.has(origin) || self.own_of(origin).is_some())
    }

    /// Whether the change of an origin that has made it needs no repeat any more.
    pub(crate) fn keeps(&self, origin: Origin) -> bool {
        self.own_of(origin).is_none_or(|own| own.progress.kept)
            && !self.refused.values().any(|refused| *refused == origin)
    }

    /// Whether anything was made on behalf of a part of the program.
    pub(crate) fn has_origins(&self) -> bool {
        !self.made.0.is_empty()
    }

    fn own_of(&self, origin: Origin) -> Option<&Own> {
        self.pending().find(|own| own.progress.origin == origin)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const fn origin(part: u64, number: u64) -> Origin {
        Origin { part, number }
    }

    #[test]
    fn the_part_that_was_silent_for_longest_is_forgotten_first() {
        let mut made = Made::default();
        for part in 0..MAX_PARTS as u64 {
            made.note(origin(part, 5));
        }
        assert!(made.has(origin(0, 5)), "as many as are known");
        made.note(origin(0, 6));
        made.note(origin(1_000, 1));
        assert!(made.has(origin(0, 6)) && made.has(origin(1_000, 1)));
        assert!(!made.has(origin(1, 5)), "the one that spoke least lately");
        assert!(made.has(origin(2, 5)));
        assert_eq!(made.origins().len(), MAX_PARTS);
    }

    #[test]
    fn what_a_part_made_before_counts_and_what_it_makes_next_does_not() {
        let mut made = Made::restored(vec![origin(7, 5), origin(8, 1), origin(7, 3)]);
        assert!(made.has(origin(7, 5)) && made.has(origin(7, 4)));
        assert!(!made.has(origin(7, 6)) && !made.has(origin(9, 1)));
        made.note(origin(9, 0));
        assert_eq!(made.origins(), [origin(8, 1), origin(7, 5)], "no number is no origin");
    }
}
