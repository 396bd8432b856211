//! Three-way merge of texts (diff3, character by character).
//!
//! Each side is a list of changes against the base: stretches of it that were replaced. Changes that do not overlap both
//! survive; where they do, one side's wording is taken for the stretch that they cover together, and the caller
//! records it. All changes begin and end between two code points.
//!
//! Alignment by character finds more than people wrote: `open` and `closed` share two letters, `2024-01-02` and
//! `2024-02-01` most of them, and half of one with half of the other is a value that nobody wrote. Three rules guard
//! against that:
//! - changes with little left between them, and no whole word, are one change (after the clean-up of Fraser's
//!   diff-match-patch);
//! - a word with a digit in it is a number, a date, a version or an identifier, and changes as a whole;
//! - a side that kept nothing of the base, or wrote into an empty one, wrote a new value: there is nothing to merge.

use std::ops::Range;

use crate::{
    align::{Work, align, common_prefix, common_suffix},
    merge::Side,
};

/// Steps of an alignment, for each character of both texts: enough for edits anywhere, too few for two long texts
/// that have nothing to do with each other, where a coarse alignment serves as well.
const STEPS_PER_CHARACTER: u64 = 32;

/// Most steps of one alignment, some 10 ms.
const MAX_STEPS: u64 = 1 << 21;

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MergedText {
    pub(crate) text: String,
    /// Whether the sides overlapped, so that words of one of them are missing.
    pub(crate) overlapped: bool,
}

/// Merges two descendants of a text. Where they overlap, `winner` is asked, once.
///
/// `None` where the sides are two values rather than two edits of one text; see the [module](self).
pub(crate) fn merge_texts(
    base: &str,
    current: &str,
    incoming: &str,
    winner: impl FnOnce() -> Side,
) -> Option<MergedText> {
    let [ours, theirs] = [current, incoming].map(|side| (side, changes(base, side)));
    let keeps =
        |changes: &[Change]| changes.iter().map(|change| change.base.len()).sum::<usize>() < base.len();
    if !keeps(&ours.1) || !keeps(&theirs.1) {
        return None;
    }
    let regions = regions(ours.1, theirs.1);
    let stands: Vec<Stands> = regions.iter().map(|region| region.stands(base, current, incoming)).collect();
    let overlapped = stands.contains(&Stands::Winner);
    let winner = if overlapped { winner() } else { Side::Current };

    let mut text = String::with_capacity(current.len().max(incoming.len()));
    let mut kept = 0;
    for (region, stands) in regions.iter().zip(stands) {
        text.push_str(&base[kept..region.base.start]);
        let by_winner = |side| stands == Stands::Winner && winner == side;
        if matches!(stands, Stands::Current | Stands::Both) || by_winner(Side::Current) {
            region.write(&region.current, base, current, &mut text);
        }
        if matches!(stands, Stands::Incoming | Stands::Both) || by_winner(Side::Incoming) {
            region.write(&region.incoming, base, incoming, &mut text);
        }
        kept = region.base.end;
    }
    text.push_str(&base[kept..]);
    Some(MergedText { text, overlapped })
}

/// The stretches, in bytes, in which two texts differ, in order: what stands in the old one, and what stands there in the new one. They begin and end
/// between two code points, as somebody would have edited: words with little in common are replaced as a whole.
///
/// It takes some 10 ms at most: of long texts that have nothing to do with each other all is one stretch, or a few.
///
/// ```
/// assert_eq!(rejoin_json::diff_text("Hello", "Oh, Hello there"), [(0..0, 0..4), (5..5, 9..15)]);
/// ```
pub fn diff_text(old: &str, new: &str) -> Vec<(Range<usize>, Range<usize>)> {
    changes(old, new).into_iter().map(|change| (change.base, change.side)).collect()
}

/// A stretch of the base, in bytes, and what stands for it on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    base: Range<usize>,
    side: Range<usize>,
}

impl Change {
    /// How much it takes away or puts in, whichever is more.
    fn size(&self) -> usize {
        self.base.len().max(self.side.len())
    }

    /// Whether a stretch that is equal on both sides has a word in it with white space, or nothing, around it on both.
    fn has_whole_word(&self, base: &str, side: &str) -> bool {
        let between = &base[self.base.clone()];
        let opens = |text: &str, at: usize| text[..at].chars().next_back().is_none_or(char::is_whitespace);
        let closes = |text: &str, at: usize| text[at..].chars().next().is_none_or(char::is_whitespace);
        let mut inside = between;
        if !opens(base, self.base.start) || !opens(side, self.side.start) {
            inside = inside.trim_start_matches(|character: char| !character.is_whitespace());
        }
        if !closes(base, self.base.end) || !closes(side, self.side.end) {
            inside = inside.trim_end_matches(|character: char| !character.is_whitespace());
        }
        !inside.trim().is_empty()
    }
}

/// The changes that make `base` into `side`, in order, with something equal between any two.
fn changes(base: &str, side: &str) -> Vec<Change> {
    let aligned = join_scattered(aligned(base, side), base, side);
    join_touching(aligned.iter().enumerate().map(|(index, change)| {
        let from =
            index.checked_sub(1).and_then(|before| aligned.get(before)).map_or(0, |before| before.base.end);
        let to = aligned.get(index + 1).map_or(base.len(), |after| after.base.start);
        whole_words(change, base, side, from..to)
    }))
}

/// The changes between the characters that an alignment matches.
fn aligned(base: &str, side: &str) -> Vec<Change> {
    let prefix = floor_boundary(base, common_prefix(base.as_bytes(), side.as_bytes(), u8::eq));
    let (base_rest, side_rest) = (&base[prefix..], &side[prefix..]);
    let suffix = common_suffix(base_rest.as_bytes(), side_rest.as_bytes(), u8::eq);
    let base_end = ceil_boundary(base, base.len() - suffix);
    let side_end = base_end + side.len() - base.len();

    let mut changes = Vec::new();
    let mut change = Change { base: prefix..prefix, side: prefix..prefix };
    let mut close = |change: &Change| {
        if change.size() > 0 {
            changes.push(change.clone());
        }
    };
    let base_middle: Vec<char> = base[prefix..base_end].chars().collect();
    let side_middle: Vec<char> = side[prefix..side_end].chars().collect();
    let steps = STEPS_PER_CHARACTER * (base_middle.len() + side_middle.len()) as u64;
    let matches = align(&base_middle, &side_middle, &mut Work::new(steps.min(MAX_STEPS)));
    let (mut base_at, mut side_at) = (0, 0);
    let bytes = |characters: &[char]| characters.iter().map(|character| character.len_utf8()).sum::<usize>();
    for run in matches {
        change.base.end += bytes(&base_middle[base_at..run.a]);
        change.side.end += bytes(&side_middle[side_at..run.b]);
        close(&change);
        let equal = bytes(&base_middle[run.a..run.a + run.len]);
        (base_at, side_at) = (run.a + run.len, run.b + run.len);
        let (base_start, side_start) = (change.base.end + equal, change.side.end + equal);
        change = Change { base: base_start..base_start, side: side_start..side_start };
    }
    change.base.end = base_end;
    change.side.end = side_end;
    close(&change);
    changes
}

/// The last boundary of a character at or before `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first boundary of a character at or after `at`.
fn ceil_boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// Joins changes with no whole word left between them, and no more than either of them changes.
fn join_scattered(changes: Vec<Change>, base: &str, side: &str) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::with_capacity(changes.len());
    for mut change in changes {
        while let Some(before) = joined.pop_if(|before| {
            let between =
                Change { base: before.base.end..change.base.start, side: before.side.end..change.side.start };
            between.size() <= before.size().min(change.size()) && !between.has_whole_word(base, side)
        }) {
            change =
                Change { base: before.base.start..change.base.end, side: before.side.start..change.side.end };
        }
        joined.push(change);
    }
    joined
}

/// Widens a change over the words with digits that it cuts. Looks no further than `room`, where the neighbours begin.
fn whole_words(change: &Change, base: &str, side: &str, room: Range<usize>) -> Change {
    let before = &base[room.start..change.base.start];
    let after = &base[change.base.end..room.end];
    let (removed, inserted) = (&base[change.base.clone()], &side[change.side.clone()]);
    let head = &before[before.len() - last_word(before).len()..];
    let tail = first_word(after);
    let has_digit = |parts: &[&str]| parts.iter().any(|part| part.bytes().any(|byte| byte.is_ascii_digit()));

    let through = [removed, inserted].into_iter().any(|text| first_word(text).len() == text.len());
    let first = [head, first_word(removed), first_word(inserted), if through { tail } else { "" }];
    let last = [tail, last_word(removed), last_word(inserted), if through { head } else { "" }];
    let left = if has_digit(&first) { head.len() } else { 0 };
    let right = if has_digit(&last) { tail.len() } else { 0 };
    Change {
        base: change.base.start - left..change.base.end + right,
        side: change.side.start - left..change.side.end + right,
    }
}

/// The part of a word that a text begins with. Words are what numbers, dates and identifiers are made of: ASCII without
/// white space, so that a digit in a text without spaces, as Chinese has, does not make all of it one word.
fn first_word(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_graphic()).unwrap_or(text.len());
    &text[..end]
}

/// The part of a word that a text ends with.
fn last_word(text: &str) -> &str {
    let start = text.bytes().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |last| last + 1);
    &text[start..]
}

fn join_touching(changes: impl Iterator<Item = Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        match joined.last_mut() {
            Some(before) if before.base.end >= change.base.start => {
                before.base.end = before.base.end.max(change.base.end);
                before.side.end = before.side.end.max(change.side.end);
            }
            _ => joined.push(change),
        }
    }
    joined
}

/// A stretch of the base that one side changed, or both did with overlapping changes, or both inserted at.
#[derive(Debug)]
struct Region {
    base: Range<usize>,
    current: Vec<Change>,
    incoming: Vec<Change>,
}

/// Groups the changes of both sides by what they overlap, in order.
fn regions(current: Vec<Change>, incoming: Vec<Change>) -> Vec<Region> {
    let mut regions = Vec::with_capacity(current.len() + incoming.len());
    let (mut current, mut incoming) = (current.into_iter().peekable(), incoming.into_iter().peekable());
    loop {
        let first = match (current.peek(), incoming.peek()) {
            (None, None) => return regions,
            (Some(_), None) => current.next(),
            (None, Some(_)) => None,
            (Some(ours), Some(theirs)) if starts_first(ours, theirs) => current.next(),
            _ => None,
        };
        let mut region = match (first, incoming.peek()) {
            (Some(change), _) => {
                Region { base: change.base.clone(), current: vec![change], incoming: Vec::new() }
            }
            (None, _) => match incoming.next() {
                Some(change) => {
                    Region { base: change.base.clone(), current: Vec::new(), incoming: vec![change] }
                }
                None => return regions,
            },
        };
        loop {
            if let Some(change) = current.next_if(|change| region.meets(change)) {
                region.base.end = region.base.end.max(change.base.end);
                region.current.push(change);
            } else if let Some(change) = incoming.next_if(|change| region.meets(change)) {
                region.base.end = region.base.end.max(change.base.end);
                region.incoming.push(change);
            } else {
                break;
            }
        }
        regions.push(region);
    }
}

/// Whether a change goes before another: what is inserted at a point goes before what begins there, current first.
fn starts_first(ours: &Change, theirs: &Change) -> bool {
    let order = |change: &Change| (change.base.start, !change.base.is_empty());
    order(ours) <= order(theirs)
}

/// Whose text stands for a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Current,
    Incoming,
    /// Current's insertion, then incoming's.
    Both,
    /// The winner's; the sides overlap and differ.
    Winner,
}

impl Region {
    /// Whether a change that goes behind where the region starts overlaps with it, or both insert at one point.
    fn meets(&self, change: &Change) -> bool {
        change.base.start < self.base.end || self.base.is_empty() && change.base == self.base
    }

    fn stands(&self, base: &str, current: &str, incoming: &str) -> Stands {
        if self.incoming.is_empty() {
            return Stands::Current;
        }
        if self.current.is_empty() {
            return Stands::Incoming;
        }
        let [mut ours, mut theirs] = [String::new(), String::new()];
        self.write(&self.current, base, current, &mut ours);
        self.write(&self.incoming, base, incoming, &mut theirs);
        // Two insertions at one point both stay, unless they would run together into a word that nobody wrote.
        let apart = || ours.ends_with(char::is_whitespace) || theirs.starts_with(char::is_whitespace);
        match () {
            () if ours == theirs => Stands::Current,
            () if self.base.is_empty() && apart() => Stands::Both,
            () => Stands::Winner,
        }
    }

    /// Writes what one side has for the region.
    fn write(&self, changes: &[Change], base: &str, side: &str, text: &mut String) {
        let mut kept = self.base.start;
        for change in changes {
            text.push_str(&base[kept..change.base.start]);
            text.push_str(&side[change.side.clone()]);
            kept = change.base.end;
        }
        text.push_str(&base[kept..self.base.end]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The merged text when no words of either side are missing from it.
    fn clean(base: &str, current: &str, incoming: &str) -> Option<String> {
        let merged = merge_texts(base, current, incoming, || Side::Current)?;
        (!merged.overlapped).then_some(merged.text)
    }

    /// The merged texts where current wins and where incoming wins.
    fn overlapping(base: &str, current: &str, incoming: &str) -> Option<[String; 2]> {
        let [ours, theirs] =
            [Side::Current, Side::Incoming].map(|side| merge_texts(base, current, incoming, || side));
        let (ours, theirs) = (ours?, theirs?);
        assert!(ours.overlapped && theirs.overlapped);
        Some([ours.text, theirs.text])
    }

    #[test]
    fn changes_apart_both_survive() {
        assert_eq!(clean("the quick fox", "the slow fox", "the quick foxes").unwrap(), "the slow foxes");
        assert_eq!(clean("abcdef", "aXbcdef", "abcdYef").unwrap(), "aXbcdYef");
        assert_eq!(clean("hello world", "hello brave world", "hello world!").unwrap(), "hello brave world!");
        assert_eq!(clean("one two three", "two three", "one two").unwrap(), "two");
    }

    #[test]
    fn changes_that_touch_both_survive() {
        assert_eq!(
            clean("I like cats", "I like dogs", "I like cats and birds").unwrap(),
            "I like dogs and birds"
        );
        assert_eq!(clean("I like cats", "I like dogs", "I like big cats").unwrap(), "I like big dogs");
    }

    #[test]
    fn equal_changes_are_one() {
        assert_eq!(clean("the fox", "the red fox", "the red fox jumps").unwrap(), "the red fox jumps");
    }

    #[test]
    fn of_overlapping_changes_the_winner_stands() {
        assert_eq!(
            overlapping("the quick fox ran", "the slow fox ran", "the rapid fox ran far").unwrap(),
            ["the slow fox ran far", "the rapid fox ran far"],
        );
        assert_eq!(
            overlapping("keep this sentence here", "keep here", "keep this new sentence here").unwrap(),
            ["keep here", "keep this new sentence here"],
        );
    }

    #[test]
    fn insertions_at_one_point_both_stay_unless_they_make_a_word() {
        assert_eq!(clean("note", "note one", "note two").unwrap(), "note one two");
        assert_eq!(clean("list\n", "list\nmilk\n", "list\nbread\n").unwrap(), "list\nmilk\nbread\n");
        assert_eq!(overlapping("Dear ", "Dear Ann", "Dear Bob").unwrap(), ["Dear Ann", "Dear Bob"]);
    }

    #[test]
    fn texts_that_keep_nothing_of_the_base_are_values() {
        assert_eq!(clean("", "Ann", "Bob"), None);
        for (base, current, incoming) in [
            ("", "Ann", "Bob"),
            ("todo", "doing", "done"),
            ("open", "closed", "reopened"),
            ("draft", "", "drafted"),
            ("v1", "v2", "v10"),
            ("2024-01-02", "2024-01-05", "2024-02-02"),
            ("#ff0000", "#ff00ff", "#00ff00"),
            ("https://a.example/1", "https://b.example/1", "https://a.example/2"),
        ] {
            assert_eq!(merge_texts(base, current, incoming, || Side::Current), None, "{base}");
        }
    }

    #[test]
    fn a_word_with_a_digit_changes_as_a_whole() {
        assert_eq!(
            overlapping("meet at 10:30, room B", "meet at 11:30, room B", "meet at 10:45, room B").unwrap(),
            ["meet at 11:30, room B", "meet at 10:45, room B"],
        );
        assert_eq!(overlapping("Total: x", "Total: x5", "Total: x7").unwrap(), ["Total: x5", "Total: x7"]);
        assert_eq!(clean("Draft", "Draft 1", "My Draft").unwrap(), "My Draft 1");
    }

    #[test]
    fn changes_begin_and_end_between_code_points() {
        // é and è share their first byte, 😀 and 😁 their first three.
        assert_eq!(clean("aéb", "aèb", "aéc").unwrap(), "aèc");
        assert_eq!(clean("x😀y", "x😁y", "x😀z").unwrap(), "x😁z");
        assert_eq!(clean("你好世界", "您好世界", "你好世间").unwrap(), "您好世间");
    }

    #[test]
    fn a_long_text_costs_what_changed() {
        let long = "lorem ipsum dolor ".repeat(60_000);
        let (at, later) = (long.len() / 3, long.len() / 2);
        let current = format!("{}X{}", &long[..at], &long[at..]);
        let incoming = format!("{}Y{}", &long[..later], &long[later..]);
        let expected = format!("{}X{}Y{}", &long[..at], &long[at..later], &long[later..]);
        assert!(clean(&long, &current, &incoming).unwrap() == expected);
    }

    proptest! {
        #![proptest_config(rejoin_properties::cases(2_000))]

        #[test]
        fn a_merge_with_the_base_or_itself_is_the_side(base in "[ab1 é]{0,12}", side in "[ab1 é]{0,12}") {
            for (current, incoming) in [(&side, &base), (&base, &side), (&side, &side)] {
                if let Some(merged) = merge_texts(&base, current, incoming, || Side::Current) {
                    prop_assert_eq!(&merged.text, &side);
                    prop_assert!(!merged.overlapped);
                }
            }
        }

        #[test]
        fn changes_rebuild_the_side(base in "[abc1 é😀]{0,20}", side in "[abc1 é😀]{0,20}") {
            let changes = changes(&base, &side);
            let mut rebuilt = String::new();
            let mut kept = 0;
            for change in &changes {
                prop_assert!(kept == 0 || kept < change.base.start, "something equal is left between changes");
                rebuilt.push_str(&base[kept..change.base.start]);
                prop_assert_eq!(rebuilt.len(), change.side.start);
                rebuilt.push_str(&side[change.side.clone()]);
                kept = change.base.end;
            }
            rebuilt.push_str(&base[kept..]);
            prop_assert_eq!(rebuilt, side);
        }

        #[test]
        fn splices_apart_both_take_effect(
            cuts in prop::collection::btree_set(0..=26_usize, 4), words in any::<[bool; 2]>(),
        ) {
            // With every letter once there is one way only to read a change.
            let base = "abcdefghijklmnopqrstuvwxyz";
            let [a, b, c, d] = cuts.into_iter().collect::<Vec<_>>().try_into().unwrap();
            let [first, second] = words.map(|word| if word { "XYZ" } else { "" });
            let current = format!("{}{first}{}", &base[..a], &base[b..]);
            let incoming = format!("{}{second}{}", &base[..c], &base[d..]);
            let expected = format!("{}{first}{}{second}{}", &base[..a], &base[b..c], &base[d..]);
            prop_assert_eq!(clean(base, &current, &incoming), Some(expected));
        }
    }
}
